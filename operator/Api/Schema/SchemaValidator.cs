using System.Globalization;
using System.Text;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Api.Schema;

/// <summary>Walks a document along its schema and notes what the API server would refuse.</summary>
internal sealed class SchemaValidator
{
    private readonly SchemaNode _root;
    private readonly List<Finding> _findings = [];

    private SchemaValidator(SchemaNode root) => _root = root;

    public static IReadOnlyList<Finding> Validate(SchemaNode root, YamlMappingNode document)
    {
        var validator = new SchemaValidator(root);
        validator.VisitObject(root, document, "", document.Start);
        return [.. validator._findings.OrderBy(f => f.Line).ThenBy(f => f.Column)];
    }

    /// <summary>Something that is missing is noted at the anchor, which is where the field's name stands.</summary>
    private void Visit(SchemaNode schema, YamlNode node, string field, Mark anchor)
    {
        switch (schema.Type, node)
        {
            case ("object", YamlMappingNode mapping):
                VisitObject(schema, mapping, field, anchor);
                break;
            case ("array", YamlSequenceNode sequence):
                VisitArray(schema, sequence, field);
                break;
            case ("string" or "integer" or "boolean", YamlScalarNode scalar):
                VisitScalar(schema, scalar, field);
                break;
            case ("object", _):
                var fields = schema.Properties.Count == 0 ? "" : $", with {Join(schema.Properties.Keys, "and")}";
                Add(node.Start, field, $"must be a mapping{fields}; it is {NameOf(node)}");
                break;
            case ("array", YamlScalarNode { Value: { Length: > 0 and < 40 } text } scalar)
                when YamlScalar.Of(scalar).Kind != ScalarKind.Null:
                Add(node.Start, field, $"must be a list; write it as [{text}]");
                break;
            case ("array", _):
                Add(node.Start, field, $"must be a list; it is {NameOf(node)}");
                break;
            default:
                Add(node.Start, field, $"must be {NameOf(schema)}; it is {NameOf(node)}");
                break;
        }
    }

    private void VisitObject(SchemaNode schema, YamlMappingNode mapping, string field, Mark anchor)
    {
        var present = new HashSet<string>();
        foreach (var (key, value) in mapping.Children)
        {
            if (key is not YamlScalarNode { Value: { } name })
            {
                Add(key.Start, field, "has a key that is not a word");
                continue;
            }
            if (!schema.Properties.TryGetValue(name, out var property) && schema.AdditionalProperties is null)
            {
                Add(key.Start, Join(field, name), UnknownField(schema, name, field));
                continue;
            }
            // To the API server, a null is as good as absent.
            if (value is YamlScalarNode scalar && YamlScalar.Of(scalar).Kind == ScalarKind.Null)
                continue;
            present.Add(name);
            if (property is not null)
                Visit(property, value, Join(field, name), key.Start);
            else
                Visit(schema.AdditionalProperties!, value, $"{field}[{name}]", key.Start);
        }
        foreach (var name in schema.Required)
        {
            if (present.Contains(name))
                continue;
            var empty = mapping.Children.Keys.FirstOrDefault(k => k is YamlScalarNode scalar && scalar.Value == name);
            Add(empty?.Start ?? anchor, Join(field, name), Missing(schema.Properties[name], empty is not null));
        }
    }

    private void VisitArray(SchemaNode schema, YamlSequenceNode sequence, string field)
    {
        var count = sequence.Children.Count;
        if (count > schema.MaxItems)
        {
            Add(sequence.Start, field, $"must have at most {schema.MaxItems} items; it has {count}");
            return;
        }
        if (count < schema.MinItems)
            Add(sequence.Start, field, $"must have at least {schema.MinItems} items; it has {count}");
        var seen = new Dictionary<string, int>();
        for (var i = 0; i < count; i++)
        {
            var item = sequence.Children[i];
            var itemField = $"{field}[{i}]";
            Visit(schema.Items!, item, itemField, item.Start);
            if (Identity(schema, item) is not { } identity || seen.TryAdd(identity, i))
                continue;
            var what = schema.ListType == "set" ? "value" : Join(schema.ListMapKeys, "and");
            Add(item.Start, itemField, $"must not have the same {what} as {field}[{seen[identity]}]");
        }
    }

    /// <summary>What may appear only once in a list; null where the list has no such rule, or the item is at fault.</summary>
    private static string? Identity(SchemaNode schema, YamlNode item) => (schema.ListType, item) switch
    {
        ("set", YamlScalarNode scalar) => scalar.Value,
        ("map", YamlMappingNode mapping) => KeysOf(mapping, schema.ListMapKeys),
        _ => null,
    };

    private static string? KeysOf(YamlMappingNode mapping, IReadOnlyList<string> keys)
    {
        var identity = new StringBuilder();
        foreach (var key in keys)
        {
            if (!mapping.Children.TryGetValue(new YamlScalarNode(key), out var value) || value is not YamlScalarNode scalar)
                return null;
            identity.Append(scalar.Value).Append('\0');
        }
        return identity.ToString();
    }

    private void VisitScalar(SchemaNode schema, YamlScalarNode node, string field)
    {
        var scalar = YamlScalar.Of(node);
        var fault = (schema.Type, scalar.Kind) switch
        {
            ("string", ScalarKind.String) => StringFault(schema, scalar.Text),
            ("integer", ScalarKind.Integer) => IntegerFault(schema, scalar.Integer),
            ("boolean", ScalarKind.Boolean) => null,
            (_, ScalarKind.Null) => $"must be {NameOf(schema)}; it is null",
            ("string", _) when StringFault(schema, scalar.Text) is null =>
                $"must be a string; Kubernetes reads {scalar.Text} as {scalar.KindName}, so put it in quotes",
            ("string", _) => $"must be a string{ExampleOf(schema)}; it is {scalar.KindName}",
            ("boolean", _) when scalar.Text is "true" or "false" => "must be true or false, without quotes",
            ("integer", ScalarKind.String) when long.TryParse(scalar.Text, CultureInfo.InvariantCulture, out _) =>
                "must be a whole number, without quotes",
            _ => $"must be {NameOf(schema)}; it is {Shorten(scalar.Text)}",
        };
        if (fault is not null)
            Add(node.Start, field, fault);
    }

    private static string? StringFault(SchemaNode schema, string text)
    {
        if (schema.Enum.Count > 0 && !schema.Enum.Contains(text))
        {
            var meant = schema.Enum.Count > 1 ? Suggestion.For(text, schema.Enum) : null;
            return $"must be {Join(schema.Enum, "or")}; it is {Shorten(text)}" + (meant is null ? "" : $", did you mean {meant}?");
        }
        var length = text.EnumerateRunes().Count();
        if (length < schema.MinLength)
            return length == 0 ? "must not be empty" : $"must have at least {schema.MinLength} characters{ExampleOf(schema)}";
        if (length > schema.MaxLength)
            return $"must have at most {schema.MaxLength} characters; it has {length}";
        if (schema.Pattern?.IsMatch(text) == false)
            return $"must match {schema.Pattern.ToString()[..^2]}${ExampleOf(schema)}";
        if (schema.Format == "date-time" && !DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, out _))
            return "must be a time such as 2026-01-31T12:00:00Z";
        return null;
    }

    private static string? IntegerFault(SchemaNode schema, long value)
    {
        var minimum = schema.Minimum ?? (schema.Format == "int32" ? int.MinValue : long.MinValue);
        var maximum = schema.Maximum ?? (schema.Format == "int32" ? int.MaxValue : long.MaxValue);
        return value < minimum || value > maximum ? $"must be from {minimum} to {maximum}; it is {value}" : null;
    }

    private string UnknownField(SchemaNode schema, string name, string parent)
    {
        const string unknown = "is not a known field";
        if (Suggestion.For(name, schema.Properties.Keys) is { } meant)
            return $"{unknown}; did you mean {meant}?";
        if (PathsTo(_root, name, "").FirstOrDefault() is { } elsewhere)
            return $"{unknown} here; did you mean {elsewhere}?";
        var place = parent.Length == 0 ? "A document" : parent;
        return schema.Properties.Count == 0
            ? $"{unknown}; {place} has no fields"
            : $"{unknown}; {place} takes {Join(schema.Properties.Keys, "and")}";
    }

    /// <summary>Where else in what users write a field of this name lives.</summary>
    private static IEnumerable<string> PathsTo(SchemaNode schema, string name, string field) =>
        from property in schema.Properties
        where property.Key is not ("status" or "metadata")
        let path = Join(field, property.Key)
        from found in property.Key == name ? [path] : PathsTo(property.Value, name, path)
        select found;

    private static string Missing(SchemaNode schema, bool empty)
    {
        var what = empty ? "must not be empty" : "is required";
        if (schema.Enum.Count > 0)
            return $"{what}; it must be {Join(schema.Enum, "or")}";
        return what + ExampleOf(schema);
    }

    private static string ExampleOf(SchemaNode schema) => schema.Example is null ? "" : $", for example {schema.Example}";

    private static string NameOf(SchemaNode schema) => schema.Type switch
    {
        "integer" => "a whole number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "a string",
    };

    private static string NameOf(YamlNode node) => node switch
    {
        YamlMappingNode => "a mapping",
        YamlSequenceNode => "a list",
        YamlScalarNode scalar => YamlScalar.Of(scalar).KindName,
        _ => "something else",
    };

    private static string Shorten(string text) => text.Length <= 60 ? text : text[..60] + "…";

    private static string Join(string field, string name) => field.Length == 0 ? name : $"{field}.{name}";

    private static string Join(IEnumerable<string> words, string last)
    {
        var list = words.ToList();
        return list.Count < 2 ? string.Concat(list) : $"{string.Join(", ", list[..^1])} {last} {list[^1]}";
    }

    private void Add(Mark at, string field, string message) =>
        _findings.Add(new Finding((int)at.Line, (int)at.Column, field, message));
}
