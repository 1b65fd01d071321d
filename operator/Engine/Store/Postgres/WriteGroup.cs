using System.Collections.Concurrent;
using Npgsql;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// Operations that are committed together: a few statements over many rows, in one round trip that is one transaction.
/// May be run again when it is not known whether it was committed: it finds what it has done already.
/// </summary>
internal sealed class WriteGroup
{
    /// <summary>Before what has a claim, so that they see who has ended a claim meanwhile, and who ends one sees them.</summary>
    public const string ClaimSql = $"SELECT count(pg_advisory_xact_lock_shared({AdvisoryLocks.ClaimText}, c.id)) FROM unnest($1) AS c (id)";

    /// <summary>Names the key of a row that is there: an insert that finds its row would use up a new one each time.</summary>
    public const string SaveStateSql = $"""
        INSERT INTO subscription AS s (key, uid, shard, failing_since, disabled_reason, disabled_message, disabled_generation, disabled_time,
          held_until, circuit_since, circuit_probe, circuit_failures, counted_since, delivered, failed_attempts, dead_lettered)
          OVERRIDING SYSTEM VALUE
        SELECT coalesce((SELECT s.key FROM subscription s WHERE s.uid = v.uid), nextval('subscription_key_seq')), v.uid, v.shard,
          v.failing_since, v.disabled_reason, v.disabled_message, v.disabled_generation, v.disabled_time,
          v.held_until, v.circuit_since, v.circuit_probe, v.circuit_failures, v.counted_since, v.delivered, v.failed_attempts, v.dead_lettered
        FROM (SELECT unnest($1) AS uid, unnest($2) AS shard, unnest($3) AS claim, unnest($4) AS failing_since, unnest($5) AS disabled_reason,
          unnest($6) AS disabled_message, unnest($7) AS disabled_generation, unnest($8) AS disabled_time,
          unnest($9) AS held_until, unnest($10) AS circuit_since, unnest($11) AS circuit_probe, unnest($12) AS circuit_failures,
          unnest($13) AS counted_since, unnest($14) AS delivered, unnest($15) AS failed_attempts, unnest($16) AS dead_lettered) AS v
        WHERE {SettleStatements.ClaimHolds}
        ON CONFLICT (uid) DO UPDATE SET failing_since = excluded.failing_since,
          disabled_reason = excluded.disabled_reason, disabled_message = excluded.disabled_message,
          disabled_generation = excluded.disabled_generation, disabled_time = excluded.disabled_time,
          held_until = excluded.held_until, circuit_since = excluded.circuit_since, circuit_probe = excluded.circuit_probe,
          circuit_failures = excluded.circuit_failures, counted_since = excluded.counted_since, delivered = excluded.delivered,
          failed_attempts = excluded.failed_attempts, dead_lettered = excluded.dead_lettered
        """;

    private readonly List<WriteOperation> _operations = [];
    private readonly List<EnqueueOperation> _enqueues = [];
    private readonly List<SettleOperation> _ends = [];
    private readonly List<SettleOperation> _retries = [];
    private readonly Dictionary<string, SaveStateOperation> _states = new(StringComparer.Ordinal);
    private readonly HashSet<DeliveryId> _settled = [];
    private bool _probe;
    private int _tries;

    public IReadOnlyList<WriteOperation> Operations => _operations;

    public int Count => _operations.Count;

    /// <summary>False where it can't be in this group, because it depends on another that is.</summary>
    public bool TryAdd(WriteOperation operation)
    {
        switch (operation)
        {
            case EnqueueOperation enqueue:
                _enqueues.Add(enqueue);
                break;
            case SettleOperation settle:
                if (!_settled.Add(settle.Settlement.Id))
                    return false;
                (settle.Settlement.State == DeliveryState.Pending ? _retries : _ends).Add(settle);
                break;
            case SaveStateOperation state:
                // The last word counts.
                _states[state.Uid] = state;
                state.Result = true;
                break;
            default:
                _probe = true;
                break;
        }
        _operations.Add(operation);
        return true;
    }

    /// <summary>Runs and commits everything, and leaves each operation with its result.</summary>
    public async Task RunAsync(NpgsqlConnection session, StoreParts parts, CancellationToken cancellation)
    {
        _tries++;

        // 1. What must be there before.
        var events = new List<PreparedEvent>(_enqueues.Count);
        foreach (var enqueue in _enqueues)
            events.AddRange(enqueue.Events);
        await PrepareAsync(session, parts, events, cancellation);
        var (accepted, ends) = SplitEnds(parts.Keys);
        await SpreadAsync(session, ends, cancellation);

        // 2. All changes in one transaction.
        var fresh = new HashSet<long>(events.Count);
        var settled = new HashSet<long>(_ends.Count + _retries.Count);
        await using (var batch = new NpgsqlBatch(session))
        {
            if (ClaimCommand(events) is { } claims)
                batch.BatchCommands.Add(claims);
            if (accepted.Count > 0)
                batch.BatchCommands.Add(SettleStatements.EndAccepted(accepted, parts.TakeEnded()));
            if (ends.Count > 0)
                batch.BatchCommands.Add(SettleStatements.End(ends));
            if (_retries.Count > 0)
                batch.BatchCommands.Add(SettleStatements.Retry(_retries));
            if (_states.Count > 0)
                batch.BatchCommands.Add(SaveStateCommand());
            if (events.Count > 0)
                batch.BatchCommands.Add(EnqueueStatements.Enqueue(events, parts.Keys));
            if (_probe)
                batch.BatchCommands.Add(new NpgsqlBatchCommand("UPDATE schema_version SET version = version"));
            await ReadAsync(batch, settled, fresh, cancellation);
        }

        // 3. What others have spread meanwhile ends as if it had never been in one row.
        var spread = accepted.FindAll(end => !settled.Contains(end.Id));
        if (spread.Count > 0)
        {
            foreach (var end in spread)
                end.Row.IsSpread = true;
            await using var batch = new NpgsqlBatch(session);
            if (ClaimCommand([]) is { } claims)
                batch.BatchCommands.Add(claims);
            batch.BatchCommands.Add(SettleStatements.End(spread.ConvertAll(end => end.Operation)));
            await ReadAsync(batch, settled, fresh, cancellation);
        }

        // 4. What was done already, by another or by an earlier try.
        await AnswerSettlesAsync(session, settled, cancellation);
        await AnswerEnqueuesAsync(session, events, fresh, cancellation);
        foreach (var end in accepted)
            if (!end.Row.IsSpread && end.Row.Ended())
                parts.Ended.Enqueue(end.Row.Id);
    }

    /// <param name="batch">Is run.</param>
    /// <param name="settled">Gets the ids of deliveries.</param>
    /// <param name="fresh">Gets those of events.</param>
    /// <param name="cancellation">Ends it.</param>
    private static async Task ReadAsync(NpgsqlBatch batch, HashSet<long> settled, HashSet<long> fresh, CancellationToken cancellation)
    {
        await using var rows = await batch.ExecuteReaderAsync(cancellation);
        foreach (var command in batch.BatchCommands)
        {
            if (command.CommandText is SaveStateSql || rows.FieldCount == 0)
                continue;
            var found = command.CommandText is EnqueueStatements.EnqueueSql ? fresh : command.CommandText is ClaimSql ? [] : settled;
            while (await rows.ReadAsync(cancellation))
                found.Add(rows.GetInt64(0));
            await rows.NextResultAsync(cancellation);
        }
    }

    private static async Task PrepareAsync(NpgsqlConnection session, StoreParts parts, List<PreparedEvent> events, CancellationToken cancellation)
    {
        AcceptedRow? row = null;
        foreach (var @event in events)
        {
            @event.Prepare(parts.Ids, parts.ClaimOf, ref row);
            if (!parts.Partitions.Has(Day.Of(@event.Id)))
                await parts.Partitions.EnsureAsync(session, Day.Of(@event.Id), cancellation);
        }
        await parts.Keys.EnsureAsync(session, events, cancellation);
    }

    /// <summary>
    /// Those that end with their first attempt while they are, as far as is known, still in a row of <c>accepted</c>; and all
    /// others. Of what was tried before, it is not known whether it has ended.
    /// </summary>
    private (List<AcceptedEnd> Accepted, List<SettleOperation> Others) SplitEnds(SubscriptionKeys keys)
    {
        var (accepted, others) = (new List<AcceptedEnd>(_ends.Count), new List<SettleOperation>());
        foreach (var end in _ends)
        {
            var settlement = end.Settlement;
            if (_tries == 1 && !end.Uncertain && settlement is { Version: 1, Attempt.Number: 1 } && end.Row is { } row
                && keys.TryGet(settlement.Delivery.SubscriptionUid, out var key) && row.TryEnd(settlement.Id.Value))
                accepted.Add(new AcceptedEnd(end, row, key));
            else
                others.Add(end);
        }
        return (accepted, others);
    }

    /// <summary>Puts into <c>pending</c> what is to be changed there.</summary>
    private async Task SpreadAsync(NpgsqlConnection session, List<SettleOperation> ends, CancellationToken cancellation)
    {
        var rows = ends.Concat(_retries).Select(s => s.Row).OfType<AcceptedRow>().Where(r => !r.IsSpread).Distinct().ToArray();
        if (rows.Length == 0)
            return;
        await Accepted.SpreadAsync(session, Accepted.RowsSql, cancellation, Column.Of(rows, r => r.Id));
        foreach (var row in rows)
            row.IsSpread = true;
    }

    /// <summary>Null where nothing has a claim.</summary>
    private NpgsqlBatchCommand? ClaimCommand(List<PreparedEvent> events)
    {
        var claims = new SortedSet<int>();
        foreach (var settle in _ends)
            claims.Add((int)settle.Settlement.Claim);
        foreach (var settle in _retries)
            claims.Add((int)settle.Settlement.Claim);
        foreach (var state in _states.Values)
            claims.Add((int)state.Claim);
        foreach (var @event in events)
            foreach (var row in @event.Rows ?? [])
                claims.Add((int)(row?.Claim ?? 0));
        claims.Remove(0);
        return claims.Count == 0 ? null : new NpgsqlBatchCommand(ClaimSql) { Parameters = { Column.Of([.. claims], c => c) } };
    }

    private NpgsqlBatchCommand SaveStateCommand()
    {
        // In one order, so that two groups that save the same ones wait for each other only one way.
        var s = _states.Values.OrderBy(s => s.Uid, StringComparer.Ordinal).ToArray();
        return new NpgsqlBatchCommand(SaveStateSql)
        {
            Parameters =
            {
                Column.Of(s, s => s.Uid), Column.Of(s, s => (short)Shard.Of(s.Uid)), Column.Of(s, s => (int)s.Claim),
                Column.Of(s, s => s.State.FailingSince?.ToUnixTimeMilliseconds()),
                Column.Of(s, s => s.State.Disabled?.Reason), Column.Of(s, s => s.State.Disabled?.Message),
                Column.Of(s, s => s.State.Disabled?.Generation), Column.Of(s, s => s.State.Disabled?.Time.ToUnixTimeMilliseconds()),
                Column.Of(s, s => s.State.HeldUntil?.ToUnixTimeMilliseconds()),
                Column.Of(s, s => s.State.Circuit?.Since.ToUnixTimeMilliseconds()),
                Column.Of(s, s => s.State.Circuit?.NextProbeTime.ToUnixTimeMilliseconds()), Column.Of(s, s => s.State.Circuit?.FailedProbes),
                Column.Of(s, s => s.State.Counters?.Since.ToUnixTimeMilliseconds()), Column.Of(s, s => s.State.Counters?.Delivered),
                Column.Of(s, s => s.State.Counters?.FailedAttempts), Column.Of(s, s => s.State.Counters?.DeadLettered),
            },
        };
    }

    private async Task AnswerSettlesAsync(NpgsqlConnection session, HashSet<long> settled, CancellationToken cancellation)
    {
        var open = new List<SettleOperation>();
        foreach (var operation in _ends.Concat(_retries))
        {
            operation.Result = settled.Contains(operation.Settlement.Id.Value);
            if (!operation.Result && operation.Settlement.Attempt is not null && (_tries > 1 || operation.Uncertain))
                open.Add(operation);
        }
        if (open.Count == 0)
            return;
        await using var batch = new NpgsqlBatch(session) { BatchCommands = { SettleStatements.FindSettled(open) } };
        await using var rows = await batch.ExecuteReaderAsync(cancellation);
        settled.Clear();
        while (await rows.ReadAsync(cancellation))
            settled.Add(rows.GetInt64(0));
        foreach (var operation in open)
            operation.Result = settled.Contains(operation.Settlement.Id.Value);
    }

    private async Task AnswerEnqueuesAsync(NpgsqlConnection session, List<PreparedEvent> events, HashSet<long> fresh, CancellationToken cancellation)
    {
        var found = new Dictionary<PreparedEvent, (long Id, int Deliveries)>();
        if (fresh.Count < events.Count)
        {
            var old = events.Where(e => !fresh.Contains(e.Id)).ToArray();
            await using var batch = new NpgsqlBatch(session)
            {
                BatchCommands =
                {
                    new NpgsqlBatchCommand(EnqueueStatements.FindKeysSql) { Parameters = { Column.Of(old, e => e.Dedupe) } },
                    new NpgsqlBatchCommand(EnqueueStatements.WaitForStandbysSql),
                },
            };
            await using var rows = await batch.ExecuteReaderAsync(cancellation);
            while (await rows.ReadAsync(cancellation))
                found[old[rows.GetInt64(0) - 1]] = (rows.GetInt64(1), rows.GetInt32(2));
            // To the end: only there the commit has been answered.
            while (await rows.NextResultAsync(cancellation))
            {
            }
        }
        foreach (var enqueue in _enqueues)
        {
            enqueue.Result = Array.ConvertAll(enqueue.Events, e =>
            {
                if (!fresh.Contains(e.Id))
                {
                    if (!found.TryGetValue(e, out var first))
                        throw new StoreUnavailableException("An event that was a duplicate has reached the end of its retention meanwhile.");
                    if (first.Id != e.Id)
                        return new Enqueued(first.Id, first.Deliveries, Duplicate: true);
                }
                for (var i = 0; i < e.Source.Matches.Count; i++)
                    e.Rows?[i]?.Add(e.DeliveryId(i));
                return new Enqueued(e.Id, e.Source.Matches.Count, Duplicate: false);
            });
        }
    }
}

/// <summary>What every group works with.</summary>
internal sealed record StoreParts(ServerAddress Server, IdSequence Ids, Partitions Partitions, SubscriptionKeys Keys)
{
    /// <summary>As <see cref="ISharedStore.ClaimOf"/>.</summary>
    public Func<string, long> ClaimOf { get; set; } = _ => 0;

    /// <summary>Rows of <c>accepted</c> of which every delivery has ended.</summary>
    public ConcurrentQueue<long> Ended { get; } = new();

    public long[] TakeEnded()
    {
        var rows = new List<long>();
        while (Ended.TryDequeue(out var row))
            rows.Add(row);
        return [.. rows];
    }
}
