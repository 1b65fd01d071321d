using System.Globalization;
using System.Text;
using WebhookOperator.Tests.Testing;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Tests.Api;

/// <summary>docs/reference.md tells of every field, in the words of the CRDs.</summary>
public sealed class ReferencePageTests
{
    [Fact]
    public async Task The_page_is_what_the_CRDs_say()
    {
        var text = new StringBuilder();
        foreach (var kind in new[] { "webhooksubscriptions", "webhooksecrets" })
            Append(text, Load(Path.Combine(Repository.Root, "config", "crds", $"webhookoperator.io_{kind}.yaml")));
        await GeneratedText.AssertIsInAsync("docs/reference.md", text.ToString());
    }

    private static void Append(StringBuilder text, YamlNode crd)
    {
        var names = crd["spec"]["names"];
        var version = crd["spec"]["versions"][0];
        var schema = version["schema"]["openAPIV3Schema"];
        text.Append(CultureInfo.InvariantCulture, $"\n## {names["kind"]}\n\n{Description(schema)}\n\n");
        text.Append(CultureInfo.InvariantCulture, $"`kubectl get {names["plural"]}`, or `{names["shortNames"][0]}`; group ")
            .Append(CultureInfo.InvariantCulture, $"`{crd["spec"]["group"]}`, version `{version["name"]}`, namespaced.\n");

        text.Append("\n### Columns of `kubectl get`\n\n| column | |\n|---|---|\n");
        foreach (var column in (YamlSequenceNode)version["additionalPrinterColumns"])
        {
            var wide = Get(column, "priority") is null ? "" : " With `-o wide`.";
            text.Append(CultureInfo.InvariantCulture, $"| {column["name"]} | {Get(column, "description") ?? "Since its creation."}{wide} |\n");
        }
        foreach (var part in new[] { "spec", "status" })
        {
            text.Append(CultureInfo.InvariantCulture, $"\n### {names["kind"]}: {part}\n\n| field | type | |\n|---|---|---|\n");
            AppendFields(text, "", schema["properties"][part]);
        }
    }

    private static void AppendFields(StringBuilder text, string path, YamlNode schema)
    {
        if (Get(schema, "properties") is not YamlMappingNode properties)
            return;
        var required = (Get(schema, "required") as YamlSequenceNode)?.Select(name => name.ToString()).ToHashSet() ?? [];
        foreach (var (key, field) in properties)
        {
            var list = Get(field, "items");
            var name = path + key + (list is null ? "" : "[]");
            text.Append(CultureInfo.InvariantCulture, $"| `{name}` | {Type(field)} | {Facts(field, required.Contains(key.ToString()))} |\n");
            AppendFields(text, name + ".", list ?? field);
        }
    }

    private static string Type(YamlNode field) => Get(field, "items") is { } items
        ? $"list of {Type(items)}s"
        : $"{field["type"]}" == "string" && $"{Get(field, "format")}" == "date-time" ? "time" : $"{field["type"]}";

    /// <summary>In sentences: what it is, and what it may be.</summary>
    private static string Facts(YamlNode field, bool required)
    {
        var values = Get(field, "items") is { } items && Get(items, "properties") is null ? items : field;
        var facts = new List<string>();
        if (required)
            facts.Add("**Required.**");
        facts.Add(Description(field));
        if (Get(values, "enum") is YamlSequenceNode words && !facts[^1].Contains($"{words[0]}:", StringComparison.Ordinal))
            facts.Add($"One of {string.Join(", ", words.Select(word => $"`{word}`"))}.");
        if (Get(values, "minimum") is { } least)
            facts.Add($"At least {least}" + (Get(values, "maximum") is { } most ? $", at most {most}." : "."));
        if (Get(field, "default") is { } standard && standard is not YamlMappingNode)
            facts.Add($"Default: `{(standard is YamlSequenceNode list ? $"[{string.Join(", ", list)}]" : standard)}`.");
        else if (Get(values, "example") is { } example)
            facts.Add($"For example `{example}`.");
        facts.AddRange(Rules(field));
        if (!ReferenceEquals(values, field))
            facts.AddRange(Rules(values).Select(rule => "Each " + char.ToLowerInvariant(rule[0]) + rule[1..]));
        return string.Join(' ', facts).Replace("|", "\\|", StringComparison.Ordinal);
    }

    /// <summary>What is refused, but for what a description of a duration says already.</summary>
    private static IEnumerable<string> Rules(YamlNode field) =>
        from rule in Get(field, "x-kubernetes-validations") as YamlSequenceNode ?? []
        let message = $"{rule["message"]}"
        where !message.StartsWith("must be a duration", StringComparison.Ordinal)
        let at = $"{Get(rule, "fieldPath")}".TrimStart('.')
        select at.Length == 0 ? $"It {message.Replace("*", "\\*", StringComparison.Ordinal)}." : $"`{at}` {message}.";

    private static string Description(YamlNode field) =>
        $"{Get(field, "description")}".Trim().Replace("*", "\\*", StringComparison.Ordinal);

    private static YamlNode? Get(YamlNode node, string key) =>
        ((YamlMappingNode)node).Children.TryGetValue(new YamlScalarNode(key), out var value) ? value : null;

    private static YamlNode Load(string file)
    {
        var yaml = new YamlStream();
        using var reader = File.OpenText(file);
        yaml.Load(reader);
        return yaml.Documents[0].RootNode;
    }
}
