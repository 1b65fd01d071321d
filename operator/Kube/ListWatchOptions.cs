using System.Text.Json;
using k8s;
using k8s.Models;

namespace WebhookOperator.Kube;

/// <summary>What a <see cref="ListWatch{T}"/> reads, and how much of it is kept.</summary>
internal sealed record ListWatchOptions<T> where T : class, IKubernetesObject<V1ObjectMeta>
{
    /// <summary>Null for all.</summary>
    public string? Namespace { get; init; }

    /// <summary>As kubectl's <c>--selector</c>; null for all objects.</summary>
    public string? LabelSelector { get; init; }

    /// <summary>Objects a page of the list.</summary>
    public int PageSize { get; init; } = 500;

    /// <summary>Drops what nobody reads before the object is kept: with thousands of objects it is most of the memory.</summary>
    public Func<T, T>? Trim { get; init; }

    /// <summary>
    /// What stands in the cache for an object that the type can't hold, say one that an older schema let through;
    /// with null, or where it gives null, the object is left out, and one that was there before stays as it was.
    /// </summary>
    public Func<V1ObjectMeta, JsonException, T?>? Unreadable { get; init; }

    /// <summary>How to mend it where the API server does not know the resource: a sentence, with the command.</summary>
    public string? NotFoundHint { get; init; }
}
