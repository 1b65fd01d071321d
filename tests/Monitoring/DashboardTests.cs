using System.Text.RegularExpressions;

namespace WebhookOperator.Tests.Monitoring;

/// <summary>What Grafana would not complain about, and people would.</summary>
public sealed partial class DashboardTests
{
    private const int GridWidth = 24;

    private static readonly string[] Builtin = ["__rate_interval", "__range", "__all", "__field", "__data", "__url_time_range"];

    [Fact]
    public void Every_panel_has_a_place_of_its_own_and_says_what_it_shows()
    {
        var taken = new HashSet<(int X, int Y)>();
        Assert.All(Dashboard.Panels, panel =>
        {
            var grid = panel["gridPos"]!;
            Assert.True((int)grid["x"]! + (int)grid["w"]! <= GridWidth);
            for (var x = 0; x < (int)grid["w"]!; x++)
                for (var y = 0; y < (int)grid["h"]!; y++)
                    Assert.True(taken.Add(((int)grid["x"]! + x, (int)grid["y"]! + y)), $"{panel["title"]} lies over another panel.");
            if (Dashboard.IsRow(panel))
                return;
            Assert.NotEmpty((string)panel["description"]!);
            Assert.NotEmpty((string)panel["fieldConfig"]!["defaults"]!["unit"]!);
            Assert.Equal("${datasource}", (string?)panel["datasource"]!["uid"]);
            Assert.All(panel["targets"]!.AsArray(), target => Assert.Equal("${datasource}", (string?)target!["datasource"]!["uid"]));
        });
        Assert.Distinct(Dashboard.Panels.Select(panel => (int)panel["id"]!));
        Assert.Distinct(Dashboard.Panels.Select(panel => (string)panel["title"]!));
    }

    [Fact]
    public void It_can_be_imported_anywhere()
    {
        var json = Dashboard.Json;
        Assert.Equal("webhook-operator", (string?)json["uid"]);
        Assert.True((int)json["schemaVersion"]! >= 36);
        // What an export leaves behind: the database id, and questions that provisioning can't answer.
        Assert.Null(json["id"]);
        Assert.Null(json["__inputs"]);
        Assert.Null(json["__requires"]);

        var variables = json["templating"]!["list"]!.AsArray().Select(variable => (string)variable!["name"]!).ToList();
        Assert.Equal(["datasource", "job", "namespace", "subscription"], variables);
        Assert.All(Variable().Matches(json.ToJsonString()), use =>
            Assert.Contains(use.Groups[1].Value, variables.Concat(Builtin)));
    }

    [GeneratedRegex(@"\$\{?(\w+)")]
    private static partial Regex Variable();
}
