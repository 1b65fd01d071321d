using System.Globalization;
using System.Text.RegularExpressions;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Api.Schema;

/// <summary>A CEL rule of the schema, as the API server evaluates it.</summary>
/// <param name="Rule">The expression.</param>
/// <param name="Message">What the API server says when it does not hold.</param>
/// <param name="FieldPath">Which field it blames, relative to its own; empty for its own.</param>
internal sealed record ValidationRule(string Rule, string Message, string FieldPath);

/// <summary>One node of a structural OpenAPI v3 schema, with what Kubernetes adds to it.</summary>
internal sealed record SchemaNode
{
    /// <summary>object, array, string, integer or boolean.</summary>
    public required string Type { get; init; }
    public string Description { get; init; } = "";
    public string? Format { get; init; }

    /// <summary>In the order of the schema.</summary>
    public IReadOnlyDictionary<string, SchemaNode> Properties { get; init; } = new Dictionary<string, SchemaNode>();

    /// <summary>For maps with keys of the user's choice.</summary>
    public SchemaNode? AdditionalProperties { get; init; }
    public IReadOnlyList<string> Required { get; init; } = [];
    public SchemaNode? Items { get; init; }
    public IReadOnlyList<string> Enum { get; init; } = [];
    public Regex? Pattern { get; init; }
    public string? Example { get; init; }
    public long? Minimum { get; init; }
    public long? Maximum { get; init; }
    public int? MinLength { get; init; }
    public int? MaxLength { get; init; }
    public int? MinItems { get; init; }
    public int? MaxItems { get; init; }

    /// <summary>What an absent field is given.</summary>
    public YamlNode? Default { get; init; }

    /// <summary>atomic, set or map.</summary>
    public string ListType { get; init; } = "atomic";

    /// <summary>For lists of type map: the fields that together name an item.</summary>
    public IReadOnlyList<string> ListMapKeys { get; init; } = [];
    public IReadOnlyList<ValidationRule> Rules { get; init; } = [];

    /// <exception cref="FormatException">A keyword that this reader would not enforce.</exception>
    public static SchemaNode Read(YamlMappingNode yaml)
    {
        var node = new SchemaNode { Type = "object" };
        foreach (var (key, value) in yaml.Children)
            node = node.With(((YamlScalarNode)key).Value!, value);
        return node;
    }

    private SchemaNode With(string keyword, YamlNode value) => keyword switch
    {
        "type" => this with { Type = Text(value) },
        "description" => this with { Description = Text(value) },
        "format" => this with { Format = Text(value) },
        "properties" => this with { Properties = ReadProperties((YamlMappingNode)value) },
        "additionalProperties" => this with { AdditionalProperties = Read((YamlMappingNode)value) },
        "required" => this with { Required = Texts(value) },
        "items" => this with { Items = Read((YamlMappingNode)value) },
        "enum" => this with { Enum = Texts(value) },
        "pattern" => this with { Pattern = Compile(Text(value)) },
        "example" => this with { Example = Text(value) },
        "minimum" => this with { Minimum = Number(value) },
        "maximum" => this with { Maximum = Number(value) },
        "minLength" => this with { MinLength = (int)Number(value) },
        "maxLength" => this with { MaxLength = (int)Number(value) },
        "minItems" => this with { MinItems = (int)Number(value) },
        "maxItems" => this with { MaxItems = (int)Number(value) },
        "default" => this with { Default = value },
        "x-kubernetes-list-type" => this with { ListType = Text(value) },
        "x-kubernetes-list-map-keys" => this with { ListMapKeys = Texts(value) },
        "x-kubernetes-validations" => this with { Rules = [.. ((YamlSequenceNode)value).Select(ReadRule)] },
        _ => throw new FormatException($"schema keyword {keyword} at line {value.Start.Line} is not supported"),
    };

    private static Dictionary<string, SchemaNode> ReadProperties(YamlMappingNode yaml)
    {
        var properties = new Dictionary<string, SchemaNode>();
        foreach (var (key, value) in yaml.Children)
            properties.Add(Text(key), Read((YamlMappingNode)value));
        return properties;
    }

    private static ValidationRule ReadRule(YamlNode yaml)
    {
        var fields = ((YamlMappingNode)yaml).Children.ToDictionary(f => Text(f.Key), f => Text(f.Value));
        return new ValidationRule(fields["rule"], fields["message"], fields.GetValueOrDefault("fieldPath", ""));
    }

    /// <summary>
    /// Patterns are RE2, where <c>\s</c> is ASCII and <c>$</c> is the very end; .NET's <c>$</c> would let one
    /// line feed pass.
    /// </summary>
    private static Regex Compile(string pattern) => pattern.EndsWith('$')
        ? new Regex(pattern[..^1] + @"\z", RegexOptions.ECMAScript)
        : throw new FormatException($"pattern {pattern} must end in $");

    private static string Text(YamlNode node) => ((YamlScalarNode)node).Value ?? "";

    private static List<string> Texts(YamlNode node) => [.. ((YamlSequenceNode)node).Select(Text)];

    private static long Number(YamlNode node) => long.Parse(Text(node), CultureInfo.InvariantCulture);
}
