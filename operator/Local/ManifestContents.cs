using System.Collections.Immutable;
using k8s;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Api.Schema;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Local;

/// <summary>What one file of manifests says.</summary>
internal sealed record ManifestContents
{
    /// <summary>The documents without a fault, in order; keys are distinct.</summary>
    public required ImmutableArray<ManifestObject> Objects { get; init; }

    public required ImmutableArray<ManifestFault> Faults { get; init; }

    /// <summary>Documents of kinds that mean nothing here, each said as a fault would be.</summary>
    public required ImmutableArray<ManifestFault> Ignored { get; init; }

    /// <summary>The objects whose documents have faults.</summary>
    public required ImmutableHashSet<ResourceKey> Broken { get; init; }

    /// <summary>The file may also speak of objects that can't be told from it: a syntax error, or a document without a valid name.</summary>
    public required bool Incomplete { get; init; }
}

/// <summary>A valid object of a manifest, and where its fields stand.</summary>
internal sealed class ManifestObject(ResourceKey key, IKubernetesObject<V1ObjectMeta> resource, string file, YamlMappingNode node)
{
    public ResourceKey Key => key;

    /// <summary>A <see cref="WebhookSubscription"/>, <see cref="WebhookSecret"/> or <see cref="V1Secret"/>.</summary>
    public IKubernetesObject<V1ObjectMeta> Resource => resource;

    public string File => file;

    /// <summary>Where the document begins.</summary>
    public int Line => (int)node.Start.Line;

    /// <summary>Says something about a field of this object.</summary>
    public ManifestFault Fault(string field, string message) =>
        ManifestFault.From(file, FieldLocator.Locate(node, field, message));
}
