using WebhookOperator.Bench.Publishing;

namespace WebhookOperator.Bench.Sections;

/// <summary>From just before an event is published until its receiver has it, at half of the highest rate.</summary>
internal static class Latency
{
    private const double WantedP50 = 5;
    private const double WantedP99 = 50;

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var rate = await EndToEnd.SingleRateAsync(bench, cancellation) / 2;
        await using var path = await EndToEnd.StartAsync(bench, cancellation);
        await path.WarmUpAsync(EventMode.Binary, cancellation);

        await path.Receiver.ResetAsync(cancellation);
        var sent = await Load.PaceAsync(
            rate, bench.Seconds(15, 5), _ => path.Publisher.PublishAsync(EventMode.Binary, cancellation), cancellation);
        await path.ArrivedAsync(sent, cancellation);
        var measured = await path.Receiver.LatenciesAsync(cancellation);

        var bare = new BareLoop(bench.Http, path.Receiver.Hook);
        await path.Receiver.ResetAsync(cancellation);
        await Load.PaceAsync(rate, bench.Seconds(5, 2), _ => bare.PostStampedAsync(cancellation), cancellation);
        var limit = await path.Receiver.LatenciesAsync(cancellation);

        var at = $"at {Figure.Text(rate)} events/s";
        return
        [
            Figure.AtMost($"publish → received, p50, {at}", measured.P50, WantedP50, $"bare POST {Figure.Text(limit.P50, "ms")}", "ms"),
            Figure.AtMost($"publish → received, p99, {at}", measured.P99, WantedP99, $"bare POST {Figure.Text(limit.P99, "ms")}", "ms"),
            new("publish → received, longest", Figure.Text(measured.Max, "ms"), $"bare POST {Figure.Text(limit.Max, "ms")}"),
        ];
    }
}
