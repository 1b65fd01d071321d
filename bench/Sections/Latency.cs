using WebhookOperator.Bench.Publishing;
using WebhookOperator.Bench.Receiving;

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

        var bare = new BareLoop(bench.Http, path.Receiver.Hook);
        var (through, direct) = (new List<Latencies>(), new List<Latencies>());
        for (var i = 0; i < (bench.Quick ? 1 : 3); i++)
        {
            through.Add(await MeasureAsync(() => path.Publisher.PublishAsync(EventMode.Binary, cancellation), bench.Seconds(5, 4)));
            direct.Add(await MeasureAsync(() => bare.PostStampedAsync(cancellation), bench.Seconds(2, 1)));
        }

        var at = $"at {Figure.Text(rate)} events/s";
        return
        [
            Figure.AtMost($"publish → received, p50, {at}", Median(through, l => l.P50), WantedP50, Limit(l => l.P50), "ms"),
            Figure.AtMost($"publish → received, p99, {at}", Median(through, l => l.P99), WantedP99, Limit(l => l.P99), "ms"),
            new("publish → received, longest", Figure.Text(through.Max(l => l.Max), "ms"), $"bare POST {Figure.Text(direct.Max(l => l.Max), "ms")}"),
        ];

        async Task<Latencies> MeasureAsync(Func<Task> send, TimeSpan duration)
        {
            await path.Receiver.ResetAsync(cancellation);
            var accepted = path.Publisher.Accepted;
            await Load.PaceAsync(rate, duration, _ => send(), cancellation);
            await path.ArrivedAsync(path.Publisher.Accepted - accepted, cancellation);
            return await path.Receiver.LatenciesAsync(cancellation);
        }

        string Limit(Func<Latencies, double> of) => $"bare POST {Figure.Text(Median(direct, of), "ms")}";

        static double Median(List<Latencies> rounds, Func<Latencies, double> of) => Sample.Median(rounds.Select(of));
    }
}
