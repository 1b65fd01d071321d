using System.Diagnostics;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;
using WebhookOperator.Bench.Receiving;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Bench.Sections;

/// <summary>PostgreSQL as the store, on this machine with everything else: what one replica carries, and what three survive.</summary>
internal static class OnPostgres
{
    private const double WantedSingle = 0.20;
    private const double WantedBatch = 0.30;
    private const double WantedStatements = 0.1;
    private const double WantedDuplicates = 0.01;
    private const double WantedTakeover = 5;
    private const double WantedHandOff = 50;
    private const int Restarts = 5;
    private static readonly TimeSpan BetweenDeaths = TimeSpan.FromSeconds(10);

    /// <param name="Mode">How events are published to one replica.</param>
    /// <param name="Name">In figures.</param>
    /// <param name="Wanted">Of the bare loop.</param>
    /// <param name="Rounds">Single events vary more from one to the next; in batches the store fills faster.</param>
    private sealed record Case(EventMode Mode, string Name, double Wanted, int Rounds);

    private static readonly Case[] Cases =
    [
        new(EventMode.Binary, "single events", WantedSingle, Rounds: 21),
        new(EventMode.Batch, $"batches of {Publisher.BatchSize}", WantedBatch, Rounds: 9),
    ];

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var figures = new List<Figure>();
        foreach (var one in Cases)
            figures.AddRange(await OneReplicaAsync(bench, one, cancellation));
        return [.. figures, .. await ThreeReplicasAsync(bench, cancellation)];
    }

    private static async Task<PostgresServer> StartServerAsync()
    {
        var server = await PostgresServer.StartAsync("shared_preload_libraries=pg_stat_statements", "max_wal_size=4GB");
        await server.ExecuteAsync("postgres", "CREATE EXTENSION pg_stat_statements");
        return server;
    }

    private static async Task<Figure[]> OneReplicaAsync(Workbench bench, Case one, CancellationToken cancellation)
    {
        await using var server = await StartServerAsync();
        await using var path = await EndToEnd.StartAsync(bench, server.ConnectionString(await server.CreateDatabaseAsync()), cancellation);
        var bare = new BareLoop(bench.Http, path.Receiver.Hook);
        await bare.RunAsync(bench.BareWarmUp, cancellation);
        var estimate = await path.WarmUpAsync(one.Mode, cancellation);
        // Its buffers have been filled once by now; after this it has files to write its log over, as one that has run for a while.
        await server.ExecuteAsync("postgres", "CHECKPOINT");

        var (rounds, ratios, statements) = (new List<EndToEndRound>(), new List<double>(), new List<double>());
        var limits = new List<double> { await BareAsync() };
        for (var i = 0; i < (bench.Quick ? 1 : one.Rounds); i++)
        {
            var events = (long)(estimate * bench.Round.TotalSeconds);
            var before = await StatementsAsync();
            rounds.Add(await path.RunAsync(one.Mode, events, cancellation));
            statements.Add((await StatementsAsync() - before) / (double)events);
            limits.Add(await BareAsync());
            ratios.Add(Sample.Share(rounds[^1].Rate, limits[^2], limits[^1]));
        }
        return
        [
            Figure.AtLeast($"{one.Name} ÷ bare loop", Sample.Median(ratios), one.Wanted, Figure.Text(Sample.Median(limits), "POST/s")),
            new($"  {one.Name}", Figure.Text(Sample.Median(rounds.Select(r => r.Rate)), "events/s"), Figure.Spread([.. rounds.Select(r => r.Rate)])),
            new("  processor time", $"{Figure.Text(Sample.Median(rounds.Select(r => r.Operator.TotalMicroseconds)))} µs an event"),
            Figure.AtMost($"  SQL statements for each of the {one.Name}", Sample.Median(statements), WantedStatements, ""),
        ];

        async Task<double> BareAsync() => (await bare.RunAsync(bench.BareRound, cancellation)).Rate;

        async Task<long> StatementsAsync() => (long)(decimal)(await server.ReadAsync("postgres", "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements"))!;
    }

    private static async Task<List<Figure>> ThreeReplicasAsync(Workbench bench, CancellationToken cancellation)
    {
        await using var server = await StartServerAsync();
        await using var set = await ReplicaSet.StartAsync(bench, server.ConnectionString(await server.CreateDatabaseAsync()), cancellation);
        var deaths = bench.Quick ? 1 : 30;
        var figures = new List<Figure>();

        var killed = await set.CountAsync(token => EndInTurnAsync(replica => replica.KillAsync(), token), cancellation);
        Add($"{deaths} kills of one of {ReplicaSet.Count}", killed, WantedDuplicates);
        var stopped = await set.CountAsync(token => EndInTurnAsync(replica => replica.StopAsync(), token), cancellation);
        Add($"{deaths} stops of one of {ReplicaSet.Count}", stopped, 0);

        var restarted = await set.CountAsync(
            async token =>
            {
                for (var i = 0; i < (bench.Quick ? 1 : Restarts); i++)
                {
                    await Task.Delay(BetweenDeaths / 2, TimeProvider.System, token);
                    await server.RestartAsync(i % 2 == 0 ? "fast" : "immediate");
                }
                await Task.Delay(BetweenDeaths / 2, TimeProvider.System, token);
            },
            cancellation);
        figures.Add(Figure.AtMost("PostgreSQL restarted: events lost", restarted.Lost, 0, $"of {Figure.Text(restarted.Accepted)}"));
        figures.Add(new Figure("  duplicates", Figure.Text(restarted.Duplicates)));

        var absence = bench.Seconds(60, 20);
        var hung = await set.CountAsync(
            async token =>
            {
                await Task.Delay(BetweenDeaths / 2, TimeProvider.System, token);
                await server.FreezeAsync();
                await Task.Delay(absence, TimeProvider.System, CancellationToken.None);
                await server.ThawAsync();
                await Task.Delay(BetweenDeaths / 2, TimeProvider.System, token);
            },
            cancellation);
        figures.Add(Figure.AtMost(
            $"PostgreSQL hangs for {absence.TotalSeconds} s: events lost", hung.Lost, 0, $"of {Figure.Text(hung.Accepted)}"));
        figures.Add(new Figure("  duplicates", Figure.Text(hung.Duplicates)));

        var handOff = await HandOffAsync(bench, set, cancellation);
        figures.Add(Figure.AtMost("publish to arrival, any replica, p99", handOff.P99, WantedHandOff, $"p50 {Figure.Text(handOff.P50, "ms")}", "ms"));

        figures.Add(Figure.AtMost("until a dead replica's shards deliver again", await TakeoverAsync(bench, set, cancellation), WantedTakeover, "", "s"));
        var rate = await LimitedRateAsync(bench, set, cancellation);
        figures.Add(new Figure("rate limit 100/s on three replicas", Figure.Text(rate, "/s"), "", "95 to 101 /s", rate is >= 95 and <= 101));
        return figures;

        async Task EndInTurnAsync(Func<Replica, Task> end, CancellationToken token)
        {
            for (var i = 0; i < deaths; i++)
            {
                await Task.Delay(BetweenDeaths / 2, TimeProvider.System, token);
                var replica = set.Replicas[i % ReplicaSet.Count];
                await end(replica);
                await Task.Delay(BetweenDeaths / 2, TimeProvider.System, token);
                await replica.StartAsync(null, token);
            }
        }

        void Add(string name, Toll toll, double wantedDuplicates)
        {
            figures.Add(Figure.AtMost($"{name}: events lost", toll.Lost, 0, $"of {Figure.Text(toll.Accepted)}"));
            figures.Add(Figure.AtMost("  duplicates ÷ delivered", toll.Duplicates / (double)toll.Accepted, wantedDuplicates, $"{toll.Duplicates}"));
        }
    }

    /// <summary>Of events that come one at a time, two thirds of them to a replica that does not deliver them.</summary>
    private static async Task<Latencies> HandOffAsync(Workbench bench, ReplicaSet set, CancellationToken cancellation)
    {
        var receiver = await bench.ReceiverAsync();
        await receiver.ResetAsync(cancellation);
        var published = await Load.PaceAsync(
            50, bench.Seconds(20, 5), number => set.PublishAsync($"t{number % ReplicaSet.Subscriptions}", cancellation), cancellation);
        await ArrivedAsync(receiver, published, cancellation);
        return await receiver.LatenciesAsync(cancellation);
    }

    /// <summary>From the kill until an event for each subscription, published to those that live, has arrived.</summary>
    private static async Task<double> TakeoverAsync(Workbench bench, ReplicaSet set, CancellationToken cancellation)
    {
        var receiver = await bench.ReceiverAsync();
        await receiver.ResetAsync(cancellation);
        var clock = Stopwatch.StartNew();
        await set.Replicas[0].KillAsync();
        for (var i = 0; i < ReplicaSet.Subscriptions; i++)
            await set.PublishAsync($"t{i}", cancellation);
        await ArrivedAsync(receiver, ReplicaSet.Subscriptions, cancellation);
        var elapsed = clock.Elapsed.TotalSeconds;
        await set.Replicas[0].StartAsync(null, cancellation);
        return elapsed;
    }

    private static async Task ArrivedAsync(ReceiverProcess receiver, long events, CancellationToken cancellation)
    {
        while ((await receiver.ProgressAsync(cancellation)).Unique < events)
            await Task.Delay(Arrival.Poll, TimeProvider.System, cancellation);
    }

    private static async Task<double> LimitedRateAsync(Workbench bench, ReplicaSet set, CancellationToken cancellation)
    {
        var (receiver, duration) = (await bench.ReceiverAsync(), bench.Seconds(20, 5));
        var publishing = Load.CountAsync(8, (long)(130 * (duration.TotalSeconds + 3)), () => set.PublishAsync("limited", cancellation), cancellation);
        await Task.Delay(TimeSpan.FromSeconds(2), TimeProvider.System, cancellation);
        await receiver.ResetAsync(cancellation);
        var clock = Stopwatch.StartNew();
        await Task.Delay(duration, TimeProvider.System, cancellation);
        var rate = (await receiver.ProgressAsync(cancellation)).Requests / clock.Elapsed.TotalSeconds;
        await publishing;
        return rate;
    }
}
