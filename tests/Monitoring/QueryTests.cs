using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace WebhookOperator.Tests.Monitoring;

/// <summary>Every query of the dashboard and of the alerts, asked of a real Prometheus that has scraped a real operator.</summary>
public sealed partial class QueryTests(MonitoredOperator monitored) : IClassFixture<MonitoredOperator>
{
    [Fact]
    public async Task Every_query_of_the_dashboard_has_data()
    {
        foreach (var target in Dashboard.Targets)
        {
            var expression = Dashboard.Fill(target.Expression);
            IReadOnlyList<JsonNode> series = [];
            await monitored.Prometheus.UntilAsync(async () =>
            {
                series = target.Instant
                    ? await monitored.Prometheus.QueryAsync(expression)
                    : await monitored.Prometheus.QueryRangeAsync(expression);
                return series.Any(HasNumber);
            }, $"the panel \"{target.Panel}\" has data from {expression}");
            Assert.All(Label().Matches(target.Legend), label =>
                Assert.True(series.All(s => s["metric"]![label.Groups[1].Value] is not null),
                    $"The legend of \"{target.Panel}\" shows {label.Value}, which {expression} does not have."));
        }
    }

    [Fact]
    public async Task Prometheus_evaluates_every_alert()
    {
        var groups = new JsonArray();
        await monitored.Prometheus.UntilAsync(async () =>
        {
            groups = (await monitored.Prometheus.GetAsync("rules"))["groups"]!.AsArray();
            return groups.SelectMany(g => g!["rules"]!.AsArray()).All(rule => (string?)rule!["health"] != "unknown");
        }, "all rules have been evaluated");

        var rules = groups.SelectMany(g => g!["rules"]!.AsArray()).ToList();
        Assert.Equal(AlertRule.All.Count, rules.Count);
        Assert.All(rules, rule => Assert.True((string?)rule!["health"] == "ok", $"{rule["name"]}: {rule["lastError"]}"));
        // One that can't wait for anything, to see the whole way from a receiver to an alert.
        await monitored.Prometheus.UntilAsync(
            async () => (await monitored.Prometheus.QueryAsync("""ALERTS{alertname="WebhookSubscriptionDisabled",subscription="gone"}""")).Count == 1,
            "the alert about the receiver that is gone fires");
    }

    /// <summary>A misspelt metric, label or value has no data and no error either: the alert would just never fire.</summary>
    [Fact]
    public async Task Every_series_that_a_query_names_exists()
    {
        var expressions = AlertRule.All.Select(rule => rule.Expression)
            .Concat(Dashboard.Targets.Select(target => Dashboard.Fill(target.Expression)))
            .Concat(Dashboard.OtherQueries.Select(Dashboard.Fill));
        var selectors = expressions.SelectMany(Selectors).Distinct().ToList();

        foreach (var selector in selectors)
        {
            await monitored.Prometheus.UntilAsync(
                async () => (await monitored.Prometheus.QueryAsync($"count({selector})")).Count > 0, $"there is a series {selector}");
        }
        Assert.True(selectors.Count > AlertRule.All.Count, "Hardly any selector was found.");
    }

    /// <summary>The selectors of an expression; one for each alternative of a pattern such as <c>a|b</c>.</summary>
    private static IEnumerable<string> Selectors(string expression)
    {
        foreach (Match selector in Selector().Matches(expression))
        {
            var name = selector.Groups["name"].Value;
            if (name == "ALERTS")
                continue; // Not of the operator, and there only while one is pending or firing.
            IEnumerable<string> variants = [""];
            foreach (Match matcher in Matcher().Matches(selector.Groups["matchers"].Value))
            {
                string[] alternatives = matcher.Groups["operator"].Value == "=~" ? matcher.Groups["value"].Value.Split('|') : [matcher.Groups["value"].Value];
                variants = [.. variants.SelectMany(_ => alternatives, (variant, value) =>
                    string.Create(CultureInfo.InvariantCulture, $"{variant}{matcher.Groups["label"].Value}{matcher.Groups["operator"].Value}\"{value}\","))];
            }
            foreach (var variant in variants)
                yield return $"{name}{{{variant}}}";
        }
    }

    private static bool HasNumber(JsonNode series) =>
        (series["values"]?.AsArray().Select(value => value!.AsArray()) ?? [series["value"]!.AsArray()])
            .Any(value => double.IsFinite(double.Parse((string)value[1]!, CultureInfo.InvariantCulture)));

    [GeneratedRegex(@"\{\{(\w+)\}\}")]
    private static partial Regex Label();

    [GeneratedRegex("""\b(?<name>(webhook|controller|workqueue|process|dotnet)_\w+|up|ALERTS)\b(?!\s*[=(,)]\s*["\(])(\{(?<matchers>[^}]*)\})?""")]
    private static partial Regex Selector();

    [GeneratedRegex("""(?<label>\w+)(?<operator>=~|!=|!~|=)"(?<value>[^"]*)["]""")]
    private static partial Regex Matcher();
}
