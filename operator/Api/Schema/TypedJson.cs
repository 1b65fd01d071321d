using System.Text.Json.Nodes;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Api.Schema;

/// <summary>Turns YAML into JSON by a schema, with its defaults.</summary>
internal static class TypedJson
{
    /// <summary>A node that does not fit the schema becomes what it looks like; it never throws.</summary>
    public static JsonNode Convert(SchemaNode schema, YamlNode node) => (schema.Type, node) switch
    {
        ("object", YamlMappingNode mapping) => ConvertObject(schema, mapping),
        ("array", YamlSequenceNode sequence) when schema.Items is { } items =>
            new JsonArray([.. sequence.Take(schema.MaxItems ?? int.MaxValue).Select(item => Convert(items, item))]),
        (_, YamlScalarNode scalar) => ConvertScalar(scalar),
        (_, YamlSequenceNode) => new JsonArray(),
        _ => new JsonObject(),
    };

    /// <summary>Null where the schema has no default.</summary>
    public static JsonNode? DefaultOf(SchemaNode schema) =>
        schema.Default is { } value ? Convert(schema, value) : null;

    private static JsonObject ConvertObject(SchemaNode schema, YamlMappingNode mapping)
    {
        var json = new JsonObject();
        var given = new Dictionary<string, YamlNode>();
        foreach (var (key, value) in mapping.Children)
        {
            // A null is as good as absent, to the API server too.
            if (key is YamlScalarNode { Value: { } name }
                && !(value is YamlScalarNode scalar && YamlScalar.Of(scalar).Kind == ScalarKind.Null))
                given[name] = value;
        }
        foreach (var (name, property) in schema.Properties)
        {
            var value = given.TryGetValue(name, out var node) ? Convert(property, node) : DefaultOf(property);
            if (value is not null)
                json[name] = value;
        }
        if (schema.AdditionalProperties is { } values)
            foreach (var (name, node) in given)
                json[name] = Convert(values, node);
        return json;
    }

    private static JsonValue ConvertScalar(YamlScalarNode node)
    {
        var scalar = YamlScalar.Of(node);
        return scalar.Kind switch
        {
            ScalarKind.Boolean => JsonValue.Create(scalar.Boolean),
            ScalarKind.Integer => JsonValue.Create(scalar.Integer),
            _ => JsonValue.Create(scalar.Text),
        };
    }
}
