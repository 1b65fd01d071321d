using System.Globalization;
using System.Reflection;
using System.Text;
using Prometheus;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Telemetry;

/// <summary>docs/metrics.md tells of exactly those metrics that a running operator has.</summary>
public sealed class MetricsPageTests
{
    private const string Page = "docs/metrics.md";

    /// <summary>Whose values are the user's own.</summary>
    private static readonly HashSet<string> OpenLabels = ["namespace", "subscription"];

    [Fact]
    public async Task The_page_is_what_an_operator_shows()
    {
        await using var receiver = await Receiver.StartAsync();
        await using var local = await LocalOperator.StartAsync(
            LocalOperator.Subscription("orders", receiver.Url) + LocalOperator.Subscription("held", receiver.Url, "  suspend: true"));
        await local.PublishAsync("{}", "1");
        await receiver.WaitForAsync(1);
        var families = MetricFamily.Parse(await local.ScrapeAsync());

        // What has no series yet can be neither graphed nor alerted on.
        Assert.All(Collectors(), collector =>
        {
            var family = Assert.Single(families, family => family.Name == collector.Name);
            Assert.True(family.Samples.Count > 0, $"{collector.Name} has no series in an operator that has just begun.");
        });
        var own = families.Where(family => Collectors().Any(collector => collector.Name == family.Name)).ToList();
        await GeneratedText.AssertIsInAsync(Page, Text(own, [.. families.Except(own)]));
    }

    [Fact]
    public async Task An_operator_in_a_cluster_shows_what_the_page_says()
    {
        await using var plane = await ControlPlanes.StartOwnAsync(ApiServer.Newest);
        await plane.InstallCrdsAsync();
        await plane.Admin.RunAsync("create", "namespace", "acme");
        await plane.Admin.RunWithAsync(LocalOperator.Subscription("held", new Uri("http://127.0.0.1:9911/"), "  suspend: true"), "apply", "-f", "-");
        await using var cluster = await ClusterOperator.StartAsync(plane);
        IReadOnlyList<MetricFamily> families = [];
        await cluster.UntilAsync("it leads, and tells of the subscription", async () =>
        {
            families = MetricFamily.Parse(await cluster.ScrapeAsync());
            return Values("webhook_operator_leader").SequenceEqual([1]) && Values("webhook_subscription_held").SequenceEqual([1]);
        });

        var page = await File.ReadAllTextAsync(Path.Combine(Repository.Root, Page), TestContext.Current.CancellationToken);
        foreach (var collector in Collectors())
        {
            var family = Assert.Single(families, family => family.Name == collector.Name);
            Assert.True(family.Samples.Count > 0, $"{collector.Name} has no series in a cluster.");
            foreach (var label in family.Labels.Where(label => !OpenLabels.Contains(label.Key)))
            {
                var row = Assert.Single(page.Split('\n'), line => line.StartsWith($"| `{family.Name}` | `{label.Key}` |", StringComparison.Ordinal));
                Assert.All(label, value => Assert.Contains($"`{value}`", row));
            }
        }

        IEnumerable<double> Values(string name) => families.Single(family => family.Name == name).Samples.Select(sample => sample.Value);
    }

    private static IEnumerable<Collector> Collectors()
    {
        var instruments = new Instruments(Metrics.NewCustomRegistry());
        return typeof(Instruments).GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Select(property => property.GetValue(instruments)).OfType<Collector>();
    }

    private static string Text(IReadOnlyList<MetricFamily> own, IReadOnlyList<MetricFamily> runtime)
    {
        var order = Collectors().Select((collector, i) => (collector.Name, i)).ToDictionary();
        var sorted = own.OrderBy(family => order[family.Name]).ToList();
        var text = new StringBuilder("## The operator's own\n\n| metric | type | labels | |\n|---|---|---|---|\n");
        foreach (var family in sorted)
        {
            text.Append(CultureInfo.InvariantCulture,
                $"| `{family.Name}` | {family.Type} | {string.Join(", ", family.Labels.Select(label => $"`{label.Key}`"))} | {family.Help} |\n");
        }

        text.Append("\n### Values of labels\n\n| metric | label | values |\n|---|---|---|\n");
        foreach (var family in sorted.Where(family => family.Name != "webhook_subscription_held"))
        {
            foreach (var label in family.Labels.Where(label => !OpenLabels.Contains(label.Key)))
                Row(family.Name, label.Key, label);
        }
        Row("webhook_subscription_held", "reason", SubscriptionSeries.HoldReasons);

        text.Append("\n### Buckets of histograms\n\n| metric | upper bounds |\n|---|---|\n");
        foreach (var family in sorted.Where(family => family.Type == "histogram"))
        {
            var bounds = family.Samples.Select(sample => sample["le"]).OfType<string>().Distinct();
            text.Append(CultureInfo.InvariantCulture, $"| `{family.Name}` | {string.Join(", ", bounds)} |\n");
        }

        text.Append("\n## The process\n\n| metric | type | |\n|---|---|---|\n");
        foreach (var family in runtime.OrderBy(family => family.Name, StringComparer.Ordinal))
            text.Append(CultureInfo.InvariantCulture, $"| `{family.Name}` | {family.Type} | {family.Help} |\n");
        return text.ToString();

        void Row(string metric, string label, IEnumerable<string> values) => text.Append(CultureInfo.InvariantCulture,
            $"| `{metric}` | `{label}` | {string.Join(", ", values.Select(value => $"`{value}`"))} |\n");
    }
}
