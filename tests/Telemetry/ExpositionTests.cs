using System.Text;
using Prometheus;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Telemetry;

/// <summary>A subscription's series look as if the registry had written them, in both formats.</summary>
public sealed class ExpositionTests
{
    private static readonly string[] Subscriptions = ["orders", "we\"ird\\"];

    [Theory]
    [InlineData(ExpositionFormat.PrometheusText)]
    [InlineData(ExpositionFormat.OpenMetricsText)]
    public async Task The_text_is_that_of_collectors_with_children(ExpositionFormat format)
    {
        var ours = new Instruments(Metrics.NewCustomRegistry());
        var theirs = new Instruments(Metrics.NewCustomRegistry());
        foreach (var name in Subscriptions)
        {
            var series = new SubscriptionSeries(ours, "shop", name);
            series.AddDelivered();
            series.AddDead(2);
            foreach (int? status in new int?[] { 200, 204, 302, 404, 503, 599, null })
                series.AddAttempt(status);
            series.Set(pending: 7, oldestPendingAge: 12.25, circuit: 2);

            theirs.Deliveries.WithLabels("shop", name, "delivered").Inc();
            theirs.Deliveries.WithLabels("shop", name, "dead").Inc(2);
            foreach (var (codeClass, count) in new[] { ("2xx", 2), ("3xx", 1), ("4xx", 1), ("5xx", 2), ("none", 1) })
                theirs.Attempts.WithLabels("shop", name, codeClass).Inc(count);
            theirs.Pending.WithLabels("shop", name).Set(7);
            theirs.OldestPendingAge.WithLabels("shop", name).Set(12.25);
            foreach (var state in new[] { "Closed", "Open", "HalfOpen" })
                theirs.CircuitState.WithLabels("shop", name, state).Set(state == "HalfOpen" ? 1 : 0);
        }
        new SubscriptionSeries(ours, "shop", "gone").Remove();

        var written = await WriteAsync(ours, format);

        var expected = await WriteAsync(theirs, format);
        Assert.Equal(Blocks(expected), Blocks(written));
        Assert.Equal(format == ExpositionFormat.OpenMetricsText, written.EndsWith("# EOF\n", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Thousands_of_subscriptions_each_have_all_their_series()
    {
        var instruments = new Instruments(Metrics.NewCustomRegistry());
        for (var i = 0; i < 3000; i++)
            _ = new SubscriptionSeries(instruments, "shop", $"subscription-{i}");

        var lines = (await WriteAsync(instruments, ExpositionFormat.PrometheusText)).Split('\n');

        Assert.Equal(3000 * 12, lines.Count(line => line.Contains("subscription=\"subscription-", StringComparison.Ordinal) && line.Contains("} ", StringComparison.Ordinal)));
        Assert.Equal(lines.Length - 1, lines[..^1].Distinct().Count());
    }

    /// <summary>Families in order, each with its samples, whose order means nothing.</summary>
    private static IEnumerable<string> Blocks(string text) => text
        .Split("# HELP ").Select(block => string.Join('\n', block.Split('\n').Order(StringComparer.Ordinal)));

    private static async Task<string> WriteAsync(Instruments instruments, ExpositionFormat format)
    {
        using var text = new MemoryStream();
        await Exposition.WriteAsync(instruments, text, format, TestContext.Current.CancellationToken);
        return Encoding.UTF8.GetString(text.ToArray());
    }
}
