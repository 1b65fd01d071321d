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

        var bareRates = new List<double>();
        var rounds = Modes.ToDictionary(m => m.Mode, _ => new List<EndToEndRound>());
        for (var i = 0; i < (bench.Quick ? 1 : 5); i++)
            foreach (var (mode, _, _) in Modes)
            {
                bareRates.Add(await Bare());
                var events = (long)(estimates[mode] * (bench.Quick ? 1 : RoundSeconds));
                rounds[mode].Add(await path.RunAsync(mode, events, cancellation));
            }

        bench.SingleRate = Sample.Median(rounds[EventMode.Binary].Select(r => r.Rate));
        var limit = Sample.Median(bareRates);
        var figures = new List<Figure>
        {
            new("bare loop", Figure.Text(limit, "POST/s"), $"{Figure.Text(bareRates.Min())} to {Figure.Text(bareRates.Max())}"),
        };
        foreach (var (mode, name, wanted) in Modes)
        {
            var rate = Sample.Median(rounds[mode].Select(r => r.Rate));
            figures.Add(Figure.AtLeast($"{name} ÷ bare loop", rate / limit, wanted, Figure.Text(limit, "POST/s")));
            figures.Add(new Figure(
                $"{name}", Figure.Text(rate, "events/s"),
                $"{Figure.Text(rounds[mode].Min(r => r.Rate))} to {Figure.Text(rounds[mode].Max(r => r.Rate))}"));
            figures.Add(new Figure(
                $"{name}, operator's CPU", Figure.Text(Sample.Median(rounds[mode].Select(r => r.OperatorMicroseconds)), "µs/event")));
        }
        return figures;

        Task<double> Bare() => Load.TimeAsync(Workbench.Workers, bareTime, () => bare.PostAsync(cancellation), cancellation);
    }
}
