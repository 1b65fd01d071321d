using System.Text;
using k8s.Models;
using WebhookOperator.Api.Schema;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Local;

/// <summary>Reads a v1 Secret as an API server would: <c>stringData</c> goes over <c>data</c>. Faults never hold a value.</summary>
internal static class SecretReader
{
    /// <summary>What the Kubernetes API takes in one Secret, in bytes.</summary>
    private const int MaxBytes = 1024 * 1024;

    private static readonly SchemaNode Text = new() { Type = "string" };

    private static readonly SchemaNode Schema = new()
    {
        Type = "object",
        Required = ["apiVersion", "kind", "metadata"],
        Properties = new Dictionary<string, SchemaNode>
        {
            ["apiVersion"] = Text,
            ["kind"] = Text,
            ["metadata"] = ObjectMetaSchema.Root,
            ["type"] = Text,
            ["immutable"] = new() { Type = "boolean" },
            ["data"] = new() { Type = "object", AdditionalProperties = Text },
            ["stringData"] = new() { Type = "object", AdditionalProperties = Text },
        },
    };

    /// <summary>All that is wrong but for the values of <c>data</c> and <c>stringData</c>.</summary>
    /// <remarks>Those are looked at by <see cref="Read"/>, whose messages do not repeat them.</remarks>
    public static IReadOnlyList<Finding> Validate(YamlMappingNode document) =>
    [
        .. SchemaValidator.Validate(Schema, document).Where(finding =>
            !finding.Field.StartsWith("data[", StringComparison.Ordinal)
            && !finding.Field.StartsWith("stringData[", StringComparison.Ordinal)),
    ];

    public static V1Secret Read(YamlMappingNode document, V1ObjectMeta metadata, Action<YamlNode, string, string> fault)
    {
        var data = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        // Not in the order of the document: stringData wins wherever it stands.
        Entries("data", Decode);
        Entries("stringData", Encoding.UTF8.GetBytes);
        if (data.Values.Sum(value => (long)value.Length) > MaxBytes)
            fault(document, "data", "must hold no more than 1 MiB in all");
        return new V1Secret
        {
            ApiVersion = V1Secret.KubeApiVersion,
            Kind = V1Secret.KubeKind,
            Metadata = metadata,
            Type = Child(document, "type") is YamlScalarNode { Value.Length: > 0 } type ? type.Value : "Opaque",
            Immutable = Child(document, "immutable") is YamlScalarNode flag ? YamlScalar.Of(flag).Boolean : null,
            Data = data,
        };

        void Entries(string field, Func<string, byte[]?> decode)
        {
            if (Child(document, field) is not YamlMappingNode mapping)
                return;
            foreach (var (key, node) in mapping.Children)
            {
                var name = (key as YamlScalarNode)?.Value ?? "";
                var path = $"{field}[{name}]";
                var scalar = node is YamlScalarNode text ? YamlScalar.Of(text) : default;
                if (name.Length is 0 or > 253 || name is "." or ".." || !name.All(IsKeyCharacter))
                    fault(key, path, "must be a key of letters, digits, '-', '_' and '.', at most 253");
                else if (scalar.Kind == ScalarKind.Null && node is YamlScalarNode)
                    data[name] = [];
                else if (scalar.Kind != ScalarKind.String)
                    fault(node, path, "must be a string; what YAML reads as a number or a boolean needs quotes");
                else if (decode(scalar.Text) is { } bytes)
                    data[name] = bytes;
                else
                    fault(node, path, "must be base64: encode the value, or move it to stringData as it is");
            }
        }
    }

    private static YamlNode? Child(YamlMappingNode document, string field) =>
        document.Children.TryGetValue(new YamlScalarNode(field), out var node) ? node : null;

    private static byte[]? Decode(string text)
    {
        var bytes = new byte[text.Length];
        return Convert.TryFromBase64String(text, bytes, out var written) ? bytes[..written] : null;
    }

    private static bool IsKeyCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.';
}
