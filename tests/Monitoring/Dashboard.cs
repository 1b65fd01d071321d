using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Monitoring;

/// <summary>The chart's Grafana dashboard.</summary>
internal static partial class Dashboard
{
    public const string File = "charts/webhook-operator/files/dashboard.json";

    public static JsonNode Json { get; } = JsonNode.Parse(System.IO.File.ReadAllText(Path.Combine(Repository.Root, File)))!;

    /// <summary>Those with queries, and the rows between them.</summary>
    public static IReadOnlyList<JsonNode> Panels { get; } = [.. Json["panels"]!.AsArray().Select(panel => panel!)];

    public static IReadOnlyList<Target> Targets { get; } =
    [
        .. from panel in Panels
           where !IsRow(panel)
           from target in panel["targets"]!.AsArray()
           select new Target((string)panel["title"]!, (string)target["expr"]!, (string)target["legendFormat"]!, (bool?)target["instant"] == true),
    ];

    /// <summary>The queries of variables and of annotations.</summary>
    public static IReadOnlyList<string> OtherQueries { get; } =
    [
        .. Json["templating"]!["list"]!.AsArray().Select(variable => variable!["query"] as JsonObject)
            .OfType<JsonObject>().Select(query => LabelValues().Match((string)query["query"]!).Groups[1].Value),
        .. Json["annotations"]!["list"]!.AsArray().Select(annotation => (string)annotation!["expr"]!),
    ];

    public static bool IsRow(JsonNode panel) => (string?)panel["type"] == "row";

    /// <summary>As Grafana fills it in, over a short time.</summary>
    public static string Fill(string expression) => expression
        .Replace("$__rate_interval", "10s", StringComparison.Ordinal)
        .Replace("$__range", "5m", StringComparison.Ordinal)
        .Replace("$job", ".*", StringComparison.Ordinal)
        .Replace("$namespace", ".*", StringComparison.Ordinal)
        .Replace("$subscription", ".*", StringComparison.Ordinal);

    [GeneratedRegex(@"^label_values\((.+), \w+\)$")]
    private static partial Regex LabelValues();
}

/// <param name="Panel">The title of its panel.</param>
/// <param name="Expression">In PromQL, with Grafana's variables.</param>
/// <param name="Legend">With labels in double braces.</param>
/// <param name="Instant">Asked for one moment, not for a range.</param>
internal sealed record Target(string Panel, string Expression, string Legend, bool Instant);
