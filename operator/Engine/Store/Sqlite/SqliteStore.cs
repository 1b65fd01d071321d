using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// The store in one SQLite file, for one process. Changes go through <see cref="GroupCommitter"/>, reads
/// through <see cref="ReaderPool"/>. Accepted times are kept to the millisecond, in the ids; where the clock
/// went back, an event counts as accepted just after the one before it.
/// </summary>
internal sealed class SqliteStore : IDeliveryStore
{
    private readonly StoreFile _file;
    private readonly GroupCommitter _committer;
    private readonly ReaderPool _readers;
    private long _sweepCursor;

    private SqliteStore(StoreFile file, Instruments instruments, TimeProvider time, ILogger logger)
    {
        _file = file;
        _committer = new GroupCommitter(file.Path, instruments, time, logger);
        _readers = new ReaderPool(file.Path);
    }

    /// <summary>Why the last change failed, for people; null while changes succeed. Mends itself within a second or so.</summary>
    public string? Fault => _committer.Fault;

    /// <summary>Opens the store, and creates it if the file does not exist; its directory must.</summary>
    /// <exception cref="StoreOpenException">It can't be used as it is; the message says what would mend it.</exception>
    public static Task<SqliteStore> OpenAsync(
        string path, Instruments instruments, TimeProvider time, ILogger logger, CancellationToken cancellation) =>
        Task.Run(() =>
        {
            var file = StoreFile.Open(path);
            try
            {
                return new SqliteStore(file, instruments, time, logger);
            }
            catch (Exception e)
            {
                file.Dispose();
                throw new StoreOpenException($"The store {file.Path} can't be opened. {StorageFault.Describe(file.Path, e)}", e);
            }
        }, cancellation);

    public async Task<ImmutableArray<EnqueueResult>> EnqueueAsync(IReadOnlyList<NewEvent> events, CancellationToken cancellation)
    {
        if (events.Count == 0)
            return [];
        var prepared = new PreparedEvent[events.Count];
        var bytes = 0L;
        for (var i = 0; i < prepared.Length; i++)
        {
            prepared[i] = new PreparedEvent(events[i]);
            bytes += prepared[i].Bytes;
        }
        var stored = await _committer.RunAsync(WriteNames.Enqueue, bytes, writer => writer.Enqueue(prepared), cancellation);
        var results = ImmutableArray.CreateBuilder<EnqueueResult>(stored.Length);
        for (var i = 0; i < stored.Length; i++)
            results.Add(Answer(events[i], stored[i]));
        return results.MoveToImmutable();
    }

    public Task<DueDeliveries> ReadDueAsync(
        string subscriptionUid, DateTimeOffset since, DateTimeOffset now, int limit, long byteLimit, IReadOnlySet<DeliveryId> held,
        CancellationToken cancellation) =>
        _readers.RunAsync(
            reader => reader.ReadDue(
                subscriptionUid, since.ToUnixTimeMilliseconds(), now.ToUnixTimeMilliseconds(), limit, byteLimit, held), cancellation);

    public Task<bool> SettleAsync(Settlement settlement, CancellationToken cancellation) =>
        _committer.RunAsync(
            WriteNames.Settle, settlement.Attempt?.Response.Length ?? 0, writer => writer.Settle(settlement), cancellation);

    public Task<ImmutableArray<Backlog>> ReadBacklogsAsync(CancellationToken cancellation) =>
        _readers.RunAsync(static reader => reader.ReadBacklogs(), cancellation);

    public Task<DateTimeOffset?> ReadOldestPendingAsync(string subscriptionUid, CancellationToken cancellation) =>
        _readers.RunAsync(reader => reader.ReadOldestPending(subscriptionUid), cancellation);

    public Task SaveStateAsync(string subscriptionUid, SubscriptionState state, long claim, CancellationToken cancellation) =>
        _committer.RunAsync(WriteNames.SaveState, 0, writer => writer.SaveState(subscriptionUid, state), cancellation);

    public Task<DeliveryPage> ListDeliveriesAsync(string subscriptionUid, DeliveryQuery query, CancellationToken cancellation) =>
        _readers.RunAsync(reader => reader.ListDeliveries(subscriptionUid, query), cancellation);

    public Task<DeliveryDetail?> GetDeliveryAsync(string @namespace, DeliveryId id, CancellationToken cancellation) =>
        _readers.RunAsync(reader => reader.GetDelivery(@namespace, id), cancellation);

    public Task<Redelivery?> RedeliverAsync(string @namespace, DeliveryId id, DateTimeOffset now, CancellationToken cancellation) =>
        _committer.RunAsync(WriteNames.Redeliver, 0, writer => writer.Redeliver(@namespace, id, now), cancellation);

    public async Task ReplayAsync(
        string subscriptionUid, ReplayQuery query, DateTimeOffset now, Action<int> replayed, CancellationToken cancellation)
    {
        long? cursor = 0;
        while (cursor is not null)
        {
            var found = await _readers.RunAsync(
                reader => reader.KeyOf(subscriptionUid) is { } key
                    ? reader.Selection.FindForReplay(key, query, ref cursor)
                    : End(ref cursor),
                cancellation);
            if (found.Count > 0 && await _committer.RunAsync(WriteNames.Replay, 0, writer => writer.Replay(found, now), cancellation) is var count and > 0)
                replayed(count);
        }

        static List<long> End(ref long? cursor)
        {
            cursor = null;
            return [];
        }
    }

    public async Task<int> EndPendingAsync(
        string subscriptionUid, DeliveryState state, DateTimeOffset? startedBefore, IReadOnlySet<DeliveryId> held,
        DateTimeOffset now, CancellationToken cancellation)
    {
        var before = startedBefore is { } time ? StoreSelection.CeilingMilliseconds(time) : long.MaxValue;
        while (true)
        {
            var found = await _readers.RunAsync(
                reader => reader.KeyOf(subscriptionUid) is { } key ? reader.Selection.FindPending(key, before, held) : [],
                cancellation);
            if (found.Count == 0)
                return 0;
            var ended = await _committer.RunAsync(
                WriteNames.EndPending, 0, writer => writer.EndPending(found, state, before, now), cancellation);
            // None: all of them ended otherwise in between, and there may be others.
            if (ended > 0)
                return ended;
        }
    }

    public async Task<int> SweepAsync(DateTimeOffset cutoff, CancellationToken cancellation)
    {
        while (true)
        {
            var cursor = Volatile.Read(ref _sweepCursor);
            var chunk = await _readers.RunAsync(reader => reader.Selection.FindForSweep(cutoff, ref cursor), cancellation);
            var deleted = 0;
            if (chunk.Events.Count > 0 || chunk.AtEnd)
                deleted = await _committer.RunAsync(WriteNames.Sweep, 0, writer => writer.Sweep(chunk), cancellation);
            Volatile.Write(ref _sweepCursor, cursor);
            if (deleted > 0 || chunk.AtEnd)
                return deleted;
        }
    }

    public async ValueTask DisposeAsync() => await Task.Run(() =>
    {
        _committer.Dispose();
        _readers.Dispose();
        _file.Dispose();
    });

    private static EnqueueResult Answer(NewEvent source, Enqueued stored) => stored.Duplicate
        ? EnqueueResult.Found(stored.Id, stored.Deliveries)
        : EnqueueResult.Stored(source, stored.Id, static (id, number) => id + number);
}
