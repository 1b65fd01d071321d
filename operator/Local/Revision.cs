using k8s;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Api.Checks;

namespace WebhookOperator.Local;

/// <summary>What an API server does when an object is written: it assigns the metadata, and holds the rules between two versions.</summary>
internal static class Revision
{
    /// <summary>The object as it will be in force; null if nothing at all is new.</summary>
    /// <param name="current">The version in force; null if the object is new.</param>
    /// <param name="claim">What the file says now.</param>
    /// <param name="now">For the creation time.</param>
    /// <param name="changed">False where only the file is another.</param>
    public static SavedObject? Next(SavedObject? current, ManifestSet.Claim claim, DateTimeOffset now, out bool changed)
    {
        var resource = claim.Resource;
        var old = current?.Resource.Metadata;
        var sameSpec = current is not null
            && (ReferenceEquals(current.Resource, resource) || SpecText(current.Resource) == SpecText(resource));
        changed = !sameSpec
            || !Same(old?.Labels, resource.Metadata.Labels) || !Same(old?.Annotations, resource.Metadata.Annotations);
        if (!changed && current!.File == claim.File)
            return null;
        return new SavedObject(claim.File, With(resource, new V1ObjectMeta
        {
            Name = claim.Key.Name,
            NamespaceProperty = claim.Key.Namespace,
            Labels = resource.Metadata.Labels,
            Annotations = resource.Metadata.Annotations,
            Uid = old?.Uid ?? Guid.NewGuid().ToString(),
            Generation = old is null ? 1 : old.Generation + (sameSpec ? 0 : 1),
            CreationTimestamp = old?.CreationTimestamp ?? now.UtcDateTime,
        }));
    }

    /// <summary>Why the file's version can't follow the one in force; null if it can.</summary>
    public static ManifestFault? Refusal(SavedObject? current, ManifestSet.Claim claim) =>
        current?.Resource is WebhookSecret before && claim.Resource is WebhookSecret after
        && SecretChecks.CheckChange(before, after) is [var fault, ..]
            ? new ManifestFault(claim.DisplayFile, claim.Line, 1, fault.Field, $"{fault.Message} ({claim.Key})")
            : null;

    private static string SpecText(IKubernetesObject<V1ObjectMeta> resource) => KubernetesJson.Serialize(resource switch
    {
        WebhookSubscription subscription => subscription.Spec,
        WebhookSecret secret => secret.Spec,
        _ => With(resource, new V1ObjectMeta()),
    });

    private static IKubernetesObject<V1ObjectMeta> With(IKubernetesObject<V1ObjectMeta> resource, V1ObjectMeta metadata) =>
        resource switch
        {
            WebhookSubscription subscription => subscription with { Metadata = metadata },
            WebhookSecret secret => secret with { Metadata = metadata },
            V1Secret secret => secret with { Metadata = metadata },
            _ => throw new ArgumentException($"No such kind: {resource.Kind}", nameof(resource)),
        };

    private static bool Same(IDictionary<string, string>? a, IDictionary<string, string>? b) =>
        (a?.Count ?? 0) == (b?.Count ?? 0)
        && (a is null || a.All(entry => b!.TryGetValue(entry.Key, out var value) && value == entry.Value));
}
