using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;
using WebhookOperator.Bench.Receiving;

namespace WebhookOperator.Bench.Sections;

/// <summary>
/// Two operators, each with 1,000 subscriptions and the same load on all of them. With one all receivers are
/// well; with the other 5 % refuse connections and 5 % never answer. What the 900 feel that are well in both is
/// compared, in rounds that take turns.
/// </summary>
internal static class Isolation
{
    private const double Wanted = 1.3;
    private const int Subscriptions = 1000;
    private const int Refusing = 50;
    private const int Hanging = 50;
    private const int Well = Subscriptions - Refusing - Hanging;

    /// <summary>For each subscription that is, or might be, sick: more than its concurrency, so that the sickness shows at once.</summary>
    private const int Prefill = 32;

    /// <summary>Of the rate that single events reach.</summary>
    private const double LoadShare = 0.25;

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var rate = await EndToEnd.SingleRateAsync(bench, cancellation) * LoadShare;
        var receiver = await bench.ReceiverAsync();
        using var closed = Loopback.Bind();
        await using var noneSick = await StartAsync(i => i < Well ? ReceiverProgram.HookPath : ReceiverProgram.AsidePath, receiver.Url);
        await using var someSick = await StartAsync(i => i < Well ? ReceiverProgram.HookPath : i < Well + Refusing ? null : ReceiverProgram.HangPath, receiver.Url);
        var (noneSickPublisher, someSickPublisher) = (new Publisher(bench.Http, noneSick.Api), new Publisher(bench.Http, someSick.Api));
        foreach (var publisher in (Publisher[])[noneSickPublisher, someSickPublisher])
        {
            await Pace(publisher, bench.Seconds(4, 2));
            await Load.CountAsync(Workbench.Workers, Prefill * (Subscriptions - Well), NextSick(publisher), cancellation);
        }

        var (without, with) = (new List<Latencies>(), new List<Latencies>());
        for (var i = 0; i < (bench.Quick ? 2 : 10); i++)
        {
            without.Add(await MeasureAsync(noneSickPublisher, noneSick));
            with.Add(await MeasureAsync(someSickPublisher, someSick));
        }
        var (p99Without, p99With) = (without.Select(l => l.P99).ToList(), with.Select(l => l.P99).ToList());
        return
        [
            Figure.AtMost(
                "p99 of the healthy, some sick ÷ none sick", Sample.Median(p99With) / Sample.Median(p99Without), Wanted,
                $"none sick {Figure.Text(Sample.Median(p99Without), "ms")}"),
            new("  p99, some sick", Figure.Text(Sample.Median(p99With), "ms"), Figure.Spread(p99With)),
            new("  p99, none sick", Figure.Text(Sample.Median(p99Without), "ms"), Figure.Spread(p99Without)),
            new("  p50, some sick", Figure.Text(Sample.Median(with.Select(l => l.P50)), "ms"),
                $"none sick {Figure.Text(Sample.Median(without.Select(l => l.P50)), "ms")}"),
            new("  load", Figure.Text(rate, "events/s")),
        ];

        Task<OperatorProcess> StartAsync(Func<int, string?> path, Uri url) => bench.StartOperatorAsync(
            bench.NewFolder(Enumerable.Range(0, Subscriptions).Select(i => new SubscriptionManifest(
                $"s{i}", path(i) is { } p ? new Uri(url, $"{p}/{i}") : Loopback.UrlOf(closed), TypeOf(i)))),
            cancellation);

        Task<long> Pace(Publisher publisher, TimeSpan duration) =>
            Load.PaceAsync(rate, duration, n => publisher.PublishAsync(TypeOf((int)(n % Subscriptions)), cancellation), cancellation);

        Func<Task> NextSick(Publisher publisher)
        {
            var next = 0;
            return () => publisher.PublishAsync(
                TypeOf(Well + Interlocked.Increment(ref next) % (Subscriptions - Well)), cancellation);
        }

        async Task<Latencies> MeasureAsync(Publisher publisher, OperatorProcess @operator)
        {
            await receiver.ResetAsync(cancellation);
            var sent = await Pace(publisher, bench.Seconds(2.5, 1.5));
            var toTheHealthy = sent / Subscriptions * Well + Math.Min(Well, sent % Subscriptions);
            await Arrival.OfAsync(receiver, @operator, toTheHealthy, cancellation);
            return await receiver.LatenciesAsync(cancellation);
        }
    }

    private static string TypeOf(int subscription) => $"bench.t{subscription}";
}
