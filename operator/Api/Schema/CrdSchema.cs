using System.Collections.Frozen;
using System.Text.Json.Nodes;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Api.Schema;

/// <summary>
/// The schema of one kind, read from its CRD. It judges a manifest as the API server does with strict field
/// validation, except for the CEL rules, which <see cref="Checks"/> holds.
/// </summary>
internal sealed class CrdSchema
{
    private static readonly FrozenDictionary<string, CrdSchema> ByKind = Crds.All
        .Select(crd => Read(crd.Yaml))
        .ToFrozenDictionary(schema => schema.Kind);

    private CrdSchema(string kind, SchemaNode root)
    {
        Kind = kind;
        Root = root;
    }

    public string Kind { get; }

    public SchemaNode Root { get; }

    /// <exception cref="ArgumentException">There is no CRD of this kind.</exception>
    public static CrdSchema For(string kind) => ByKind.TryGetValue(kind, out var schema)
        ? schema
        : throw new ArgumentException($"no CRD has the kind {kind}", nameof(kind));

    /// <summary>Every fault, in the order of the document; empty for a document that would be taken.</summary>
    public IReadOnlyList<Finding> Validate(YamlMappingNode document) => SchemaValidator.Validate(Root, document);

    /// <summary>
    /// The document with its types and defaults, as the API server would create it: fields that no schema
    /// knows are dropped, and so is the status that a manifest may hold. Only for documents without findings
    /// is the result sure to fit the C# types.
    /// </summary>
    public JsonObject ToJson(YamlMappingNode document)
    {
        var json = (JsonObject)TypedJson.Convert(Root, document);
        json["status"] = TypedJson.DefaultOf(Root.Properties["status"]);
        return json;
    }

    private static CrdSchema Read(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        var spec = stream.Documents[0].RootNode["spec"];
        var kind = ((YamlScalarNode)spec["names"]["kind"]).Value!;
        var root = SchemaNode.Read((YamlMappingNode)spec["versions"][0]["schema"]["openAPIV3Schema"]);
        return new CrdSchema(kind, root with
        {
            Required = ["apiVersion", "kind", "metadata", .. root.Required],
            Properties = new Dictionary<string, SchemaNode>(root.Properties)
            {
                ["apiVersion"] = root.Properties["apiVersion"] with { Enum = [ApiGroup.ApiVersion] },
                ["kind"] = root.Properties["kind"] with { Enum = [kind] },
                ["metadata"] = ObjectMetaSchema.Root,
            },
        });
    }
}
