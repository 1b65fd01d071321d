using System.Globalization;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Monitoring;

/// <summary>
/// An operator that delivers to good receivers and to bad ones without end, scraped by a real Prometheus that has
/// the chart's rules. Enough happens for every panel to have something to show.
/// </summary>
public sealed class MonitoredOperator : IAsyncLifetime
{
    private readonly CancellationTokenSource _stop = new();
    private Receiver _good = null!;
    private Receiver _bad = null!;
    private Receiver _gone = null!;
    private LocalOperator _operator = null!;
    private Task _publishing = Task.CompletedTask;

    internal PrometheusServer Prometheus { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        _good = await Receiver.StartAsync();
        _bad = await Receiver.StartAsync(Answers.Status(500));
        _gone = await Receiver.StartAsync(Answers.Status(410));
        _operator = await LocalOperator.StartAsync(
            LocalOperator.Subscription("good", _good.Url)
            // Its circuit stays closed, so that there are dead letters all the time.
            + LocalOperator.Subscription("dying", _bad.Url,
                "  delivery: { retry: { schedule: [1s] }, circuitBreaker: { failureRatioPercent: 100, minimumThroughput: 10000, samplingWindow: 1s } }")
            + LocalOperator.Subscription("broken", _bad.Url)
            + LocalOperator.Subscription("gone", _gone.Url)
            + LocalOperator.Subscription("suspended", _good.Url, "  suspend: true")
            + LocalOperator.Subscription("waiting", _good.Url, "  signing: { secretRef: { name: missing } }"));
        Prometheus = await PrometheusServer.StartAsync(_operator.Metrics, Path.Combine(Repository.Root, AlertRule.File));
        // The zeros before the first event are what an increase is measured from.
        await Prometheus.UntilAsync(
            async () => (await Prometheus.QueryAsync("webhook_backlog_limit")).Count > 0, "the operator has been scraped");
        _publishing = Task.Run(PublishAsync);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _publishing;
        await Prometheus.DisposeAsync();
        await _operator.DisposeAsync();
        await _good.DisposeAsync();
        await _bad.DisposeAsync();
        await _gone.DisposeAsync();
        _stop.Dispose();
    }

    private async Task PublishAsync()
    {
        for (var i = 0; !_stop.IsCancellationRequested; i++)
        {
            await _operator.PublishAsync("{}", i.ToString(CultureInfo.InvariantCulture));
            // Work for the reconciler.
            if (i % 10 == 0)
                await _operator.ApplyAsync("changing.yaml", LocalOperator.Subscription("changing", _good.Url, $"  description: Change {i}"));
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, CancellationToken.None);
        }
    }
}
