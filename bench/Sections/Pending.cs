using System.Diagnostics;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;

namespace WebhookOperator.Bench.Sections;

/// <summary>A backlog that no receiver takes: what the operator keeps of it in memory, and how it starts with it.</summary>
internal static class Pending
{
    private const double WantedMegabytes = 300;
    private const int Subscriptions = 10;

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var events = bench.Quick ? 10_000 : 100_000;
        var watch = bench.Seconds(10, 4);
        using var closed = Loopback.Bind();
        var folder = bench.NewFolder(Enumerable.Range(0, Subscriptions)
            .Select(i => new SubscriptionManifest($"s{i}", Loopback.UrlOf(closed))));

        Memory empty, full;
        TimeSpan accepted;
        double peak;
        await using (var first = await bench.StartOperatorAsync(folder, cancellation))
        {
            empty = await Memory.WatchAsync(first, bench.Seconds(3, 1), cancellation);
            var publisher = new Publisher(bench.Http, first.Api);
            var clock = Stopwatch.StartNew();
            await Load.CountAsync(
                Workbench.Workers, events / Publisher.BatchSize, () => publisher.PublishAsync(EventMode.Batch, cancellation), cancellation);
            accepted = clock.Elapsed;
            full = await Memory.WatchAsync(first, watch, cancellation);
            peak = first.Process.Megabytes("VmHWM");
            await ExpectPendingAsync(first, events * Subscriptions, cancellation);
            await first.StopAsync();
        }
        await using var second = await bench.StartOperatorAsync(folder, cancellation);
        var restarted = await Memory.WatchAsync(second, watch, cancellation);
        await ExpectPendingAsync(second, events * Subscriptions, cancellation);

        var count = $"{events * Subscriptions:#,0} pending";
        var limit = $"nothing pending {Figure.Text(empty.Median, "MB")}";
        return
        [
            Figure.AtMost($"VmRSS, {count}", full.Highest, WantedMegabytes, limit, "MB"),
            Figure.AtMost($"VmRSS, {count}, after a restart", restarted.Highest, WantedMegabytes, limit, "MB"),
            new("highest while they were accepted", Figure.Text(peak, "MB")),
            new("accepting them", Figure.Text(accepted.TotalSeconds, "s"), $"{Figure.Text(events / accepted.TotalSeconds)} events/s"),
            new("time to ready with them", Figure.Text(second.TimeToReady.TotalSeconds, "s")),
        ];
    }

    private static async Task ExpectPendingAsync(OperatorProcess @operator, long wanted, CancellationToken cancellation)
    {
        var pending = await @operator.PendingAsync(cancellation);
        if (pending != wanted)
            throw new InvalidOperationException($"{pending} deliveries are pending, not {wanted}.\n{@operator.Process.Output}");
    }
}
