using k8s;
using k8s.Models;
using WebhookOperator.Kube;

namespace WebhookOperator.Tests.Kube;

/// <summary>A kind that is of no use but to be followed.</summary>
internal sealed record Widget : IKubernetesObject<V1ObjectMeta>
{
    public static readonly KubeResource Resource = new("example.test", "v1", "widgets", "Widget");

    public string ApiVersion { get; set; } = Resource.ApiVersion;
    public string Kind { get; set; } = Resource.Kind;
    public V1ObjectMeta Metadata { get; set; } = new();
    public WidgetSpec? Spec { get; set; }
}

internal sealed record WidgetSpec
{
    public int Size { get; init; }
    public string? Text { get; init; }
}
