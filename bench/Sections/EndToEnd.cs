using System.Diagnostics;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;
using WebhookOperator.Bench.Receiving;

namespace WebhookOperator.Bench.Sections;

/// <param name="Rate">Events a second, from the first publish until all were received and settled.</param>
/// <param name="Operator">Processor time that the operator spent on each event.</param>
/// <param name="Ends">The same, of the publisher and the receiver together.</param>
internal sealed record EndToEndRound(double Rate, TimeSpan Operator, TimeSpan Ends);

/// <summary>An operator with one subscription, whose receiver is the bench's own, and rounds of events through it.</summary>
internal sealed class EndToEnd : IAsyncDisposable
{
    private const int WarmUpEvents = 2_000;

    /// <summary>Of about a second each: for so long at least, much of the operator's code is still being compiled anew.</summary>
    private const int LeastWarmUpRounds = 12;
    private const int MostWarmUpRounds = 40;

    /// <summary>So many rounds in which an event costs no less than in those before: the code is compiled.</summary>
    private const int SteadyRounds = 6;
    private const double Less = 0.97;

    private EndToEnd(Workbench bench, OperatorProcess @operator, ReceiverProcess receiver)
    {
        (Operator, Receiver) = (@operator, receiver);
        Publisher = new Publisher(bench.Http, @operator.Api);
    }

    public OperatorProcess Operator { get; }

    public ReceiverProcess Receiver { get; }

    public Publisher Publisher { get; }

    public static Task<EndToEnd> StartAsync(Workbench bench, CancellationToken cancellation) => StartAsync(bench, null, cancellation);

    /// <param name="bench">Has the receiver.</param>
    /// <param name="database">The connection string of PostgreSQL; null for SQLite.</param>
    /// <param name="cancellation">Gives up.</param>
    public static async Task<EndToEnd> StartAsync(Workbench bench, string? database, CancellationToken cancellation)
    {
        var receiver = await bench.ReceiverAsync();
        var folder = bench.NewFolder([new SubscriptionManifest("all", receiver.Hook) { Concurrency = Workbench.Workers }]);
        var @operator = database is null
            ? await bench.StartOperatorAsync(folder, cancellation)
            : await OperatorProcess.StartOnPostgresAsync(bench.Http, folder, folder, database, cancellation);
        return new EndToEnd(bench, @operator, receiver);
    }

    /// <summary>The rate of single events, from an operator of its own unless it is known already.</summary>
    public static async Task<double> SingleRateAsync(Workbench bench, CancellationToken cancellation)
    {
        if (bench.SingleRate is { } known)
            return known;
        await using var path = await StartAsync(bench, cancellation);
        var estimate = await path.WarmUpAsync(EventMode.Binary, cancellation);
        var round = await path.RunAsync(EventMode.Binary, (long)(estimate * 3), cancellation);
        bench.SingleRate = round.Rate;
        return round.Rate;
    }

    /// <summary>Runs until the code is compiled and the operator's processor time for an event no longer falls.</summary>
    /// <returns>The rate of the last round.</returns>
    public async Task<double> WarmUpAsync(EventMode mode, CancellationToken cancellation)
    {
        var (rate, least, steady) = (0.0, TimeSpan.MaxValue, 0);
        for (var round = 1; round <= LeastWarmUpRounds || (steady < SteadyRounds && round <= MostWarmUpRounds); round++)
        {
            var run = await RunAsync(mode, Math.Max(WarmUpEvents, (long)rate), cancellation);
            rate = run.Rate;
            steady = run.Operator < least * Less ? 0 : steady + 1;
            least = run.Operator < least ? run.Operator : least;
        }
        return rate;
    }

    /// <summary>Publishes about so many events and waits until each has arrived and none is pending.</summary>
    public async Task<EndToEndRound> RunAsync(EventMode mode, long events, CancellationToken cancellation)
    {
        await Receiver.ResetAsync(cancellation);
        var (accepted, idSum) = (Publisher.Accepted, Publisher.IdSum);
        var (own, ends, clock) = (Operator.Process.ProcessorTime, Receiver.ProcessorTimeOfEnds, Stopwatch.StartNew());
        var perRequest = Publisher.EventsPerRequest(mode);
        await Load.CountAsync(
            Workbench.Workers, (events + perRequest - 1) / perRequest, () => Publisher.PublishAsync(mode, cancellation), cancellation);
        accepted = Publisher.Accepted - accepted;
        var progress = await ArrivedAsync(accepted, cancellation);
        while (await Operator.PendingAsync(cancellation) > 0)
            await Task.Delay(Arrival.Poll, TimeProvider.System, cancellation);
        var elapsed = clock.Elapsed;
        (own, ends) = (Operator.Process.ProcessorTime - own, Receiver.ProcessorTimeOfEnds - ends);
        if (progress.IdSum != unchecked(Publisher.IdSum - idSum))
            throw new InvalidOperationException("What arrived is not what was accepted: the ids differ.");
        if (progress.BadSignatures > 0)
            throw new InvalidOperationException($"{progress.BadSignatures} requests were signed wrongly or not at all.");
        return new EndToEndRound(accepted / elapsed.TotalSeconds, own / accepted, ends / accepted);
    }

    /// <summary>Waits until so many distinct events have arrived since the receiver's last reset.</summary>
    public Task<Progress> ArrivedAsync(long events, CancellationToken cancellation) =>
        Arrival.OfAsync(Receiver, Operator, events, cancellation);

    public async ValueTask DisposeAsync() => await Operator.DisposeAsync();
}
