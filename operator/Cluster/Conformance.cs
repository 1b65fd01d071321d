using System.Collections.Immutable;
using System.Text.Json;
using k8s;
using k8s.Models;
using WebhookOperator.Api.Checks;
using WebhookOperator.Api.Schema;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Cluster;

/// <summary>
/// Holds what the API server gives out against the schema of this version: an older CRD may have let through
/// what the operator can't work with.
/// </summary>
internal static class Conformance
{
    /// <summary>Every fault in the spec; empty if it fits.</summary>
    public static ImmutableArray<FieldFault> Misfits(IKubernetesObject<V1ObjectMeta> resource)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(KubernetesJson.Serialize((object)resource))); // JSON is YAML.
        return
        [
            .. CrdSchema.For(resource.Kind).Validate((YamlMappingNode)stream.Documents[0].RootNode)
                .Where(finding => finding.Field == "spec" || finding.Field.StartsWith("spec.", StringComparison.Ordinal))
                .Select(finding => new FieldFault(finding.Field, finding.Message)),
        ];
    }

    /// <summary>What is told of an object whose JSON the C# types can't hold.</summary>
    public static ImmutableArray<FieldFault> Unreadable(JsonException fault) =>
        [new(fault.Path?.TrimStart('$', '.') is { Length: > 0 } path ? path : "spec",
            "has a value of the wrong type; apply the CRDs of this version (webhook-operator crds | kubectl apply --server-side -f -), and then the resource again")];
}
