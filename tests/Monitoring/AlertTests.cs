using System.Text.RegularExpressions;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Monitoring;

public sealed partial class AlertTests
{
    private const string Runbook = "docs/runbook.md";

    [Fact]
    public async Task Prometheus_takes_the_rules()
    {
        var check = await DebianProgram.Promtool.RunAsync("check", "rules", "--lint-fatal", AlertRule.File);

        Assert.True(check.ExitCode == 0, check.Everything);
    }

    [Theory]
    [InlineData("receivers.yaml")]
    [InlineData("operator.yaml")]
    public async Task Alerts_fire_when_they_should_and_not_otherwise(string file)
    {
        var test = await DebianProgram.Promtool.RunAsync("test", "rules", Path.Combine("tests", "alerts", file));

        Assert.True(test.ExitCode == 0, test.Everything);
    }

    [Fact]
    public void Each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not()
    {
        var tested = AlertRule.Tests().ToHashSet();

        Assert.All(AlertRule.All, rule =>
        {
            Assert.Contains((rule.Name, true), tested);
            Assert.Contains((rule.Name, false), tested);
        });
    }

    [Fact]
    public void Each_alert_says_what_is_wrong_and_where_the_runbook_has_it()
    {
        Assert.All(AlertRule.All, rule =>
        {
            Assert.Contains(rule.Severity, (string[])["critical", "warning", "info"]);
            Assert.Equal(["description", "runbook_url", "summary"], rule.Annotations.Keys.Order());
            Assert.Equal($"{Runbook}#{rule.Name.ToLowerInvariant()}", rule.Annotations["runbook_url"]);
            Assert.DoesNotContain('\n', rule.Annotations["summary"].Trim());
        });
        var sections = Section().Matches(File.ReadAllText(Path.Combine(Repository.Root, Runbook))).Select(match => match.Groups[1].Value);
        Assert.Equal(AlertRule.All.Select(rule => rule.Name), sections);
    }

    [GeneratedRegex("^### (.+)$", RegexOptions.Multiline)]
    private static partial Regex Section();
}
