using WebhookOperator.Bench.Publishing;

namespace WebhookOperator.Bench.Sections;

/// <summary>
/// Events end to end, as a share of what the same client sends to the same receiver directly. Rounds of both
/// take turns, and each is compared with those of the other before and after it, so that a machine that is slow for
/// a while is slow for both.
/// </summary>
internal static class Throughput
{
    private const double WantedSingle = 0.25;
    private const double WantedBatch = 0.35;

    private sealed record Case(EventMode Mode, string Name, double? Wanted)
    {
        public List<EndToEndRound> Rounds { get; } = [];

        public List<double> Ratios { get; } = [];
    }

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        Case[] ordered =
        [
            new(EventMode.Binary, "single events, binary mode", WantedSingle),
            new(EventMode.Structured, "single events, structured", WantedSingle),
            new(EventMode.Batch, $"batches of {Publisher.BatchSize}", WantedBatch),
        ];
        var figures = await MeasureAsync(bench, ordered, cancellation);
        bench.SingleRate = Sample.Median(ordered[0].Rounds.Select(r => r.Rate));
        // On a store of its own: they leave their mark on the index of ids.
        Case[] unordered = [new(EventMode.BinaryInNoOrder, "single events, ids in no order", null)];
        return [.. figures, .. await MeasureAsync(bench, unordered, cancellation)];
    }

    private static async Task<IReadOnlyList<Figure>> MeasureAsync(Workbench bench, Case[] cases, CancellationToken cancellation)
    {
        await using var path = await EndToEnd.StartAsync(bench, cancellation);
        var bare = new BareLoop(bench.Http, path.Receiver.Hook);
        await bare.RunAsync(bench.BareWarmUp, cancellation);
        var estimates = new Dictionary<EventMode, double>();
        foreach (var one in cases)
            estimates[one.Mode] = await path.WarmUpAsync(one.Mode, cancellation);

        var bareRounds = new List<(double Rate, TimeSpan Ends)> { await BareAsync() };
        for (var i = 0; i < (bench.Quick ? 1 : 5); i++)
            foreach (var one in cases)
            {
                var events = (long)(estimates[one.Mode] * bench.Round.TotalSeconds);
                var round = await path.RunAsync(one.Mode, events, cancellation);
                var before = bareRounds[^1];
                bareRounds.Add(await BareAsync());
                one.Rounds.Add(round);
                one.Ratios.Add(Sample.Share(round.Rate, before.Rate, bareRounds[^1].Rate));
            }

        var limit = Figure.Text(Sample.Median(bareRounds.Select(r => r.Rate)), "POST/s");
        var limitTime = Figure.Text(Sample.Median(bareRounds.Select(r => r.Ends.TotalMicroseconds)), "µs");
        var figures = new List<Figure>();
        foreach (var one in cases)
        {
            var (name, ratio) = ($"{one.Name} ÷ bare loop", Sample.Median(one.Ratios));
            figures.Add(one.Wanted is { } least ? Figure.AtLeast(name, ratio, least, limit) : new Figure(name, Figure.Text(ratio), limit));
        }
        figures.Add(new Figure("bare loop", limit, Figure.Spread([.. bareRounds.Select(r => r.Rate)])));
        foreach (var one in cases)
        {
            var rates = one.Rounds.Select(r => r.Rate).ToArray();
            figures.Add(new Figure(one.Name, Figure.Text(Sample.Median(rates), "events/s"), Figure.Spread(rates)));
            var (own, ends) = (one.Rounds.Select(r => r.Operator.TotalMicroseconds), one.Rounds.Select(r => r.Ends.TotalMicroseconds));
            figures.Add(new Figure(
                "  processor time", $"{Figure.Text(Sample.Median(own))} + {Figure.Text(Sample.Median(ends))} µs an event", $"bare loop {limitTime}"));
        }
        return figures;

        async Task<(double Rate, TimeSpan Ends)> BareAsync()
        {
            var before = path.Receiver.ProcessorTimeOfEnds;
            var (posts, rate) = await bare.RunAsync(bench.BareRound, cancellation);
            return (rate, (path.Receiver.ProcessorTimeOfEnds - before) / posts);
        }
    }
}
