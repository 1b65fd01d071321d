using WebhookOperator.Bench.Publishing;

namespace WebhookOperator.Bench.Sections;

/// <summary>What subscriptions cost that nobody publishes to.</summary>
internal static class Idle
{
    private const double WantedMegabytes = 250;

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var count = bench.Quick ? 1_000 : 10_000;
        var one = await MeasureAsync(bench, 1, bench.Seconds(6, 2), cancellation);
        var many = await MeasureAsync(bench, count, bench.Seconds(15, 4), cancellation);
        return
        [
            Figure.AtMost(
                $"VmRSS, {count:#,0} idle subscriptions", many.Memory.Highest, WantedMegabytes,
                $"one subscription {Figure.Text(one.Memory.Highest, "MB")}", "MB"),
            new("time to ready with them", Figure.Text(many.TimeToReady.TotalSeconds, "s"),
                $"one subscription {Figure.Text(one.TimeToReady.TotalSeconds, "s")}"),
        ];
    }

    private static async Task<(Memory Memory, TimeSpan TimeToReady)> MeasureAsync(
        Workbench bench, int subscriptions, TimeSpan duration, CancellationToken cancellation)
    {
        var receiver = await bench.ReceiverAsync();
        var folder = bench.NewFolder(Enumerable.Range(0, subscriptions)
            .Select(i => new SubscriptionManifest($"s{i}", new Uri(receiver.Hook, $"hook/{i}"), $"bench.t{i}")));
        await using var @operator = await bench.StartOperatorAsync(folder, cancellation);
        return (await Memory.WatchAsync(@operator, duration, cancellation), @operator.TimeToReady);
    }
}
