using WebhookOperator.Tests.Testing;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Tests.Monitoring;

/// <summary>One alert of the chart's rules.</summary>
internal sealed record AlertRule(string Name, string Expression, string Severity, IReadOnlyDictionary<string, string> Annotations)
{
    public const string File = "charts/webhook-operator/files/alerts.yaml";

    public static IReadOnlyList<AlertRule> All { get; } =
    [
        .. from @group in List(Load(File), "groups")
           from rule in List(@group, "rules")
           select new AlertRule(
               Text(rule, "alert"), Text(rule, "expr"), Text(rule["labels"], "severity"),
               ((YamlMappingNode)rule["annotations"]).ToDictionary(pair => ((YamlScalarNode)pair.Key).Value!, pair => ((YamlScalarNode)pair.Value).Value!)),
    ];

    /// <summary>The unit tests of the rules: which alert, and whether it is expected to fire.</summary>
    public static IEnumerable<(string Alert, bool Fires)> Tests() =>
        from file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "alerts"), "*.yaml")
        from test in List(Load(file), "tests")
        from check in List(test, "alert_rule_test")
        select (Text(check, "alertname"), List(check, "exp_alerts").Any());

    private static YamlNode Load(string file)
    {
        var yaml = new YamlStream();
        using var reader = System.IO.File.OpenText(Path.Combine(Repository.Root, file));
        yaml.Load(reader);
        return yaml.Documents[0].RootNode;
    }

    private static YamlSequenceNode List(YamlNode node, string key) => (YamlSequenceNode)node[key];

    private static string Text(YamlNode node, string key) => ((YamlScalarNode)node[key]).Value!;
}
