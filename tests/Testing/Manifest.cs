using System.Text.Json.Nodes;
using k8s;
using WebhookOperator.Api;
using WebhookOperator.Api.Checks;
using WebhookOperator.Api.Schema;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Tests.Testing;

/// <summary>One YAML document of a kind that has a CRD.</summary>
internal sealed record Manifest(string Kind, YamlMappingNode Document)
{
    /// <summary>The documents of the operator's own kinds.</summary>
    public static IReadOnlyList<Manifest> Parse(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        return [.. from document in stream.Documents
                   let root = document.RootNode as YamlMappingNode
                   where root is not null
                   let kind = root.Children.TryGetValue(new YamlScalarNode("kind"), out var node) ? (node as YamlScalarNode)?.Value : null
                   where kind is WebhookSubscription.KubeKind or WebhookSecret.KubeKind
                   select new Manifest(kind, root)];
    }

    public CrdSchema Schema => CrdSchema.For(Kind);

    public IReadOnlyList<Finding> Validate() => Schema.Validate(Document);

    public JsonObject Json => Schema.ToJson(Document);

    public IReadOnlyList<FieldFault> Check() => Kind == WebhookSecret.KubeKind
        ? SecretChecks.Check(KubernetesJson.Deserialize<WebhookSecret>(Json.ToJsonString()))
        : SubscriptionChecks.Check(KubernetesJson.Deserialize<WebhookSubscription>(Json.ToJsonString()));

    /// <summary>What a user is told: the faults of the structure, or else the broken rules.</summary>
    public IReadOnlyList<Finding> Findings()
    {
        var findings = Validate();
        return findings.Count > 0
            ? findings
            : [.. Check().Select(fault => FieldLocator.Locate(Document, fault.Field, fault.Message))];
    }
}
