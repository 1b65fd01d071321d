using WebhookOperator.Bench.Publishing;

namespace WebhookOperator.Bench.Sections;

/// <summary>
/// Events end to end, as a share of what the same client sends to the same receiver directly. Rounds of both
/// take turns, so that a machine that is busy for a while is busy for both.
/// </summary>
internal static class Throughput
{
    private const double WantedSingle = 0.25;
    private const double WantedBatch = 0.35;
    private const double RoundSeconds = 2.5;

    private static readonly (EventMode Mode, string Name, double Wanted)[] Modes =
    [
        (EventMode.Binary, "single events, binary mode", WantedSingle),
        (EventMode.Structured, "single events, structured", WantedSingle),
        (EventMode.Batch, $"batches of {Publisher.BatchSize}", WantedBatch),
    ];

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        await using var path = await EndToEnd.StartAsync(bench, cancellation);
        var bare = new BareLoop(bench.Http, path.Receiver.Hook);
        var bareTime = bench.Seconds(2, 1);
        await Bare();
        var estimates = new Dictionary<EventMode, double>();
        foreach (var (mode, _, _) in Modes)
            estimates[mode] = await path.WarmUpAsync(mode, cancellation);

        var bareRounds = new List<(double Rate, TimeSpan Ends)>();
        var rounds = Modes.ToDictionary(m => m.Mode, _ => new List<EndToEndRound>());
        for (var i = 0; i < (bench.Quick ? 1 : 5); i++)
            foreach (var (mode, _, _) in Modes)
            {
                bareRounds.Add(await Bare());
                var events = (long)(estimates[mode] * (bench.Quick ? 1 : RoundSeconds));
                rounds[mode].Add(await path.RunAsync(mode, events, cancellation));
            }

        bench.SingleRate = Sample.Median(rounds[EventMode.Binary].Select(r => r.Rate));
        var limit = Sample.Median(bareRounds.Select(r => r.Rate));
        var limitTime = Sample.Median(bareRounds.Select(r => r.Ends.TotalMicroseconds));
        var figures = new List<Figure>();
        foreach (var (mode, name, wanted) in Modes)
        {
            var rate = Sample.Median(rounds[mode].Select(r => r.Rate));
            figures.Add(Figure.AtLeast($"{name} ÷ bare loop", rate / limit, wanted, Figure.Text(limit, "POST/s")));
        }
        figures.Add(new Figure("bare loop", Figure.Text(limit, "POST/s"), Figure.Spread([.. bareRounds.Select(r => r.Rate)])));
        foreach (var (mode, name, _) in Modes)
        {
            figures.Add(new Figure(
                name, Figure.Text(Sample.Median(rounds[mode].Select(r => r.Rate)), "events/s"), Figure.Spread([.. rounds[mode].Select(r => r.Rate)])));
            var (own, ends) = (rounds[mode].Select(r => r.Operator.TotalMicroseconds), rounds[mode].Select(r => r.Ends.TotalMicroseconds));
            figures.Add(new Figure(
                "  processor time", $"{Figure.Text(Sample.Median(own))} + {Figure.Text(Sample.Median(ends))} µs an event",
                $"bare loop {Figure.Text(limitTime, "µs")}"));
        }
        return figures;

        async Task<(double Rate, TimeSpan Ends)> Bare()
        {
            var before = path.Receiver.ProcessorTimeOfEnds;
            var (posts, rate) = await Load.TimeAsync(Workbench.Workers, bareTime, () => bare.PostAsync(cancellation), cancellation);
            return (rate, (path.Receiver.ProcessorTimeOfEnds - before) / posts);
        }
    }
}
