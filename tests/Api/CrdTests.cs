using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Api.Schema;

namespace WebhookOperator.Tests.Api;

/// <summary>Holds the CRDs and the C# types together.</summary>
public sealed class CrdTests
{
    public static TheoryData<string> Kinds() => [WebhookSubscription.KubeKind, WebhookSecret.KubeKind];

    [Fact]
    public void Both_CRDs_are_in_the_program() => Assert.Equal(
        ["webhookoperator.io_webhooksecrets.yaml", "webhookoperator.io_webhooksubscriptions.yaml"],
        Crds.All.Select(crd => crd.FileName));

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Types_and_CRD_have_the_same_fields_of_the_same_types(string kind)
    {
        var type = kind == WebhookSecret.KubeKind ? typeof(WebhookSecret) : typeof(WebhookSubscription);
        foreach (var part in new[] { "spec", "status" })
        {
            var inCode = new SortedDictionary<string, string>(StringComparer.Ordinal);
            Collect(Property(type, part).PropertyType, part, inCode);
            var inCrd = Fields(CrdSchema.For(kind).Root, "")
                .Where(f => f.Path == part || f.Path.StartsWith(part + ".", StringComparison.Ordinal))
                .ToDictionary(f => f.Path, f => NameOf(f.Node));
            Assert.Equal(new SortedDictionary<string, string>(inCrd, StringComparer.Ordinal), inCode);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_field_is_described(string kind) =>
        Assert.DoesNotContain(OwnFields(kind), f => f.Node.Description.Length == 0 && !f.Path.EndsWith("[]", StringComparison.Ordinal));

    /// <summary>The API server estimates the cost of a rule from these bounds, and refuses what could be too dear.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void Everything_in_spec_is_bounded(string kind) =>
        Assert.DoesNotContain(OwnFields(kind), f => f.Path.StartsWith("spec", StringComparison.Ordinal) && f.Node switch
        {
            { Type: "string" } => f.Node.MaxLength is null && f.Node.Enum.Count == 0,
            { Type: "array" } => f.Node.MaxItems is null,
            { Type: "integer" } => f.Node.Minimum is null || f.Node.Maximum is null,
            _ => false,
        });

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_field_with_a_pattern_shows_an_example_that_matches_it(string kind) =>
        Assert.All(OwnFields(kind).Where(f => f.Node.Pattern is not null && f.Path.StartsWith("spec", StringComparison.Ordinal)),
            f => Assert.Matches(f.Node.Pattern!, f.Node.Example));

    private static IEnumerable<(string Path, SchemaNode Node)> OwnFields(string kind) =>
        Fields(CrdSchema.For(kind).Root, "").Where(f => !f.Path.StartsWith("metadata", StringComparison.Ordinal));

    internal static IEnumerable<(string Path, SchemaNode Node)> Fields(SchemaNode node, string path)
    {
        if (path.Length > 0)
            yield return (path, node);
        foreach (var (name, property) in node.Properties)
            foreach (var field in Fields(property, path.Length == 0 ? name : $"{path}.{name}"))
                yield return field;
        if (node.Items is { } items)
            foreach (var field in Fields(items, path + "[]"))
                yield return field;
    }

    private static void Collect(Type type, string path, SortedDictionary<string, string> fields)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>))
        {
            fields[path] = "array";
            Collect(type.GetGenericArguments()[0], path + "[]", fields);
            return;
        }
        fields[path] = NameOf(type);
        if (fields[path] != "object")
            return;
        foreach (var property in type.GetProperties().Where(p => p.Name != "EqualityContract"))
            Collect(property.PropertyType, $"{path}.{JsonName(property)}", fields);
    }

    private static PropertyInfo Property(Type type, string jsonName) =>
        type.GetProperties().Single(p => JsonName(p) == jsonName);

    private static string JsonName(PropertyInfo property) =>
        property.GetCustomAttribute<JsonPropertyNameAttribute>()?.Name ?? JsonNamingPolicy.CamelCase.ConvertName(property.Name);

    private static string NameOf(SchemaNode node) => node.Format is null ? node.Type : $"{node.Type} {node.Format}";

    private static string NameOf(Type type) => type switch
    {
        _ when type == typeof(string) => "string",
        _ when type == typeof(bool) => "boolean",
        _ when type == typeof(int) => "integer int32",
        _ when type == typeof(long) => "integer int64",
        _ when type == typeof(DateTime) => "string date-time",
        _ when type == typeof(V1Condition) || type.Namespace == typeof(WebhookSecret).Namespace => "object",
        _ => throw new NotSupportedException($"{type} has no form in a CRD."),
    };
}
