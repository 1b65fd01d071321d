using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// The store in a PostgreSQL database, for any number of processes. Changes go through <see cref="GroupCommitter"/>, reads
/// and upkeep through a few sessions of their own. Accepted times are kept to the millisecond, in the ids; where the clock
/// went back, an event counts as accepted just after the one before it.
/// </summary>
internal sealed class PostgresStore : ISharedStore
{
    private const int Readers = 4;

    private readonly StoreParts _parts;
    private readonly GroupCommitter _committer;
    private readonly SessionPool _sessions;
    private readonly Sweeper _sweeper;
    private readonly HintChannel _hints;

    private PostgresStore(StoreParts parts, SessionPool sessions, Instruments instruments, TimeProvider time, ILogger logger)
    {
        _parts = parts;
        _sessions = sessions;
        _committer = new GroupCommitter(parts, instruments, time, logger);
        _sweeper = new Sweeper(parts.Partitions, time, logger);
        _hints = new HintChannel(parts.Server, sessions, time);
        _hints.Start();
    }

    public string? Fault => _committer.Fault;

    public Func<string, long> ClaimOf
    {
        set => _parts.ClaimOf = value;
    }

    /// <summary>Opens the store, and creates its schema in the database if it is not there.</summary>
    /// <param name="connectionString">As Npgsql takes it, or a URI.</param>
    /// <param name="instruments">Told of commits.</param>
    /// <param name="time">For probes and retention.</param>
    /// <param name="logger">Told of faults.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="StoreOpenException">It can't be used as it is; the message says what would mend it.</exception>
    public static async Task<PostgresStore> OpenAsync(
        string connectionString, Instruments instruments, TimeProvider time, ILogger logger, CancellationToken cancellation)
    {
        var server = ServerAddress.Parse(connectionString);
        var sessions = new SessionPool(server, Readers);
        try
        {
            await StartupChecks.RunAsync(server, logger, cancellation);
            var partitions = new Partitions();
            var ids = await sessions.RunAsync(
                async (session, token) =>
                {
                    var today = Day.Of(time.GetUtcNow());
                    await partitions.EnsureAsync(session, today, token);
                    await partitions.EnsureAsync(session, today.Next, token);
                    return await IdSource.OpenAsync(session, token);
                },
                cancellation);
            return new PostgresStore(new StoreParts(server, ids, partitions, new SubscriptionKeys()), sessions, instruments, time, logger);
        }
        catch (Exception e)
        {
            await sessions.DisposeAsync();
            server.Dispose();
            throw e is StoreOpenException or OperationCanceledException
                ? e : new StoreOpenException($"The store can't be opened. {ServerFault.Unavailable(server, e).Message}", e);
        }
    }

    public async Task<ImmutableArray<EnqueueResult>> EnqueueAsync(IReadOnlyList<NewEvent> events, CancellationToken cancellation)
    {
        if (events.Count == 0)
            return [];
        var prepared = new PreparedEvent[events.Count];
        for (var i = 0; i < prepared.Length; i++)
            prepared[i] = new PreparedEvent(events[i]);
        var stored = await _committer.RunAsync(new EnqueueOperation(prepared, cancellation));
        var results = ImmutableArray.CreateBuilder<EnqueueResult>(stored.Length);
        for (var i = 0; i < stored.Length; i++)
            results.Add(Answer(prepared[i], stored[i]));
        return results.MoveToImmutable();
    }

    public Task<DueDeliveries> ReadDueAsync(
        string subscriptionUid, DateTimeOffset since, DateTimeOffset now, int limit, long byteLimit, IReadOnlySet<DeliveryId> held,
        CancellationToken cancellation) =>
        _sessions.RunAsync(
            (session, token) => StoreReader.ReadDueAsync(session, subscriptionUid, since, now, limit, byteLimit, held, token), cancellation);

    public Task<bool> SettleAsync(Settlement settlement, CancellationToken cancellation) =>
        _committer.RunAsync(new SettleOperation(settlement, _committer.HasFailed(settlement), cancellation));

    public Task<ImmutableArray<Backlog>> ReadBacklogsAsync(CancellationToken cancellation) =>
        ReadBacklogsAsync([.. Enumerable.Range(0, Shard.Count)], cancellation);

    public Task<ImmutableArray<Backlog>> ReadBacklogsAsync(IReadOnlyCollection<int> shards, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => StoreReader.ReadBacklogsAsync(session, shards, token), cancellation);

    public Task<ImmutableArray<DueSubscription>> FindDueAsync(
        IReadOnlyCollection<int> shards, DateTimeOffset now, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => StoreReader.FindDueAsync(session, shards, now, token), cancellation);

    public Task<IReadOnlyDictionary<string, int>> CountPendingAsync(
        IReadOnlyCollection<string> subscriptionUids, int limit, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => StoreReader.CountPendingAsync(session, subscriptionUids, limit, token), cancellation);

    public async Task<IShardSession> JoinAsync(IReadOnlySet<long> earlier, CancellationToken cancellation) =>
        await ShardSession.JoinAsync(_parts.Server, earlier, cancellation);

    public void Tell(Hint hint) => _hints.Tell(hint);

    public Task ListenAsync(Action<Hint> heard, Action deaf, CancellationToken cancellation) => _hints.ListenAsync(heard, deaf, cancellation);

    public Task<DateTimeOffset?> ReadOldestPendingAsync(string subscriptionUid, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => StoreReader.ReadOldestPendingAsync(session, subscriptionUid, token), cancellation);

    public Task SaveStateAsync(string subscriptionUid, SubscriptionState state, long claim, CancellationToken cancellation) =>
        _committer.RunAsync(new SaveStateOperation(subscriptionUid, state, claim, cancellation));

    public Task<DeliveryPage> ListDeliveriesAsync(string subscriptionUid, DeliveryQuery query, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => LogReader.ListAsync(session, subscriptionUid, query, token), cancellation);

    public Task<DeliveryDetail?> GetDeliveryAsync(string @namespace, DeliveryId id, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => LogReader.GetAsync(session, @namespace, id, token), cancellation);

    public Task<Redelivery?> RedeliverAsync(string @namespace, DeliveryId id, DateTimeOffset now, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => StoreUpkeep.RedeliverAsync(session, @namespace, id, now, token), cancellation);

    public async Task ReplayAsync(
        string subscriptionUid, ReplayQuery query, DateTimeOffset now, Action<int> replayed, CancellationToken cancellation)
    {
        for (long? cursor = 0; cursor is { } after;)
        {
            (var found, cursor) = await _sessions.RunAsync(
                (session, token) => StoreUpkeep.FindForReplayAsync(session, subscriptionUid, query, after, token), cancellation);
            foreach (var chunk in found.Chunk(StoreUpkeep.MaxRows))
            {
                // Not broken off half way: what was done must be told.
                cancellation.ThrowIfCancellationRequested();
                var count = await _sessions.RunAsync((session, token) => StoreUpkeep.ReopenAsync(session, chunk, now, token), CancellationToken.None);
                if (count > 0)
                    replayed(count);
            }
        }
    }

    public async Task<int> EndPendingAsync(
        string subscriptionUid, DeliveryState state, DateTimeOffset? startedBefore, IReadOnlySet<DeliveryId> held,
        DateTimeOffset now, CancellationToken cancellation)
    {
        while (true)
        {
            var (found, ended) = await _sessions.RunAsync(
                (session, token) => StoreUpkeep.EndPendingAsync(session, subscriptionUid, state, startedBefore, held, now, token), cancellation);
            // None: all of them ended otherwise in between, and there may be others.
            if (ended > 0 || found == 0)
                return ended;
        }
    }

    public Task<int> SweepAsync(DateTimeOffset cutoff, CancellationToken cancellation) =>
        _sessions.RunAsync((session, token) => _sweeper.RunAsync(session, cutoff, token), cancellation);

    public async ValueTask DisposeAsync()
    {
        await _hints.DisposeAsync();
        await _committer.DisposeAsync();
        await _sessions.DisposeAsync();
        _parts.Server.Dispose();
    }

    private static EnqueueResult Answer(PreparedEvent prepared, Enqueued stored) => stored.Duplicate
        ? EnqueueResult.Found(stored.Id, stored.Deliveries)
        : EnqueueResult.Stored(prepared.Source, stored.Id, IdSequence.Nth, prepared.Rows);
}
