using Npgsql;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// Operations that are committed together: a few statements over many rows, in one round trip that is one transaction.
/// May be run again when it is not known whether it was committed: it finds what it has done already.
/// </summary>
internal sealed class WriteGroup
{
    /// <summary>
    /// Columns are unnested next to each other, here and below: for one call in FROM the server writes each of them to a
    /// store of its own first, and reads the rows together from those.
    /// </summary>
    public const string EnqueueSql = """
        WITH fresh AS (
          INSERT INTO event_key (dedupe, id, deliveries)
          SELECT * FROM (SELECT unnest($2) AS dedupe, unnest($1) AS id, unnest($3) AS deliveries) AS k ORDER BY k.dedupe, k.id
          ON CONFLICT (dedupe) DO NOTHING RETURNING id
        ), stored AS (
          INSERT INTO event (id, dedupe, deliveries, namespace, source, ce_id, type, encoding, attributes, data_start, data_length, data_base64, body)
          SELECT e.* FROM (SELECT unnest($1) AS id, unnest($2) AS dedupe, unnest($3) AS deliveries, unnest($4) AS namespace, unnest($5) AS source,
            unnest($6) AS ce_id, unnest($7) AS type, unnest($8) AS encoding, unnest($9) AS attributes,
            unnest($10) AS data_start, unnest($11) AS data_length, unnest($12) AS data_base64, unnest($13) AS body) AS e
          WHERE (e.id IN (SELECT id FROM fresh)) IS TRUE
        ), waiting AS (
          INSERT INTO pending (id, event, subscription, due, started, size, version, attempts, step, last_error)
          SELECT d.id, d.event, CASE WHEN d.subscription IN (SELECT s.key FROM subscription s WHERE s.key = ANY ($16)) THEN d.subscription END,
            d.due, d.due, d.size, 1, 0, 0, 0
          FROM (SELECT unnest($14) AS id, unnest($15) AS event, unnest($16) AS subscription, unnest($17) AS due, unnest($18) AS size) AS d
          WHERE (d.event IN (SELECT id FROM fresh)) IS TRUE
        )
        SELECT id FROM fresh
        """;

    /// <summary>Those that are not fresh were there before, perhaps from a try of this same group.</summary>
    public const string FindKeysSql = """
        SELECT e.place, k.id, k.deliveries FROM unnest($1) WITH ORDINALITY AS e (dedupe, place) JOIN event_key k ON k.dedupe BETWEEN e.dedupe AND e.dedupe
        """;

    /// <summary>
    /// What was committed before may not have reached a synchronous standby, and an answer must not tell of it earlier: a
    /// transaction that writes nothing waits for none.
    /// </summary>
    private const string WaitForStandbysSql = "SELECT pg_logical_emit_message(true, 'webhook-operator', '')";

    /// <summary>It was written without a claim, or under one that nobody has ended.</summary>
    private const string ClaimHolds = "(claim = 0 OR claim IN (SELECT m.id FROM member m WHERE m.id = ANY ($3)))";

    public const string EndSql = $"""
        WITH gone AS (
          DELETE FROM pending p
          USING (SELECT unnest($1) AS id, unnest($2) AS version, unnest($3) AS claim, unnest($4) AS state, unnest($5) AS number,
            unnest($6) AS step, unnest($7) AS ended, unnest($8) AS time, unnest($9) AS duration, unnest($10) AS status,
            unnest($11) AS error, unnest($12) AS message, unnest($13) AS response) AS s
          WHERE p.id BETWEEN s.id AND s.id AND p.version = s.version
            AND {ClaimHolds}
          RETURNING p.id, p.event, p.subscription, p.version + 1, p.attempts + coalesce((s.number - p.attempts)::next_attempt, 0), s.step,
            p.started, s.ended, p.size, s.state, s.time, s.duration, CASE WHEN s.number IS NULL THEN p.last_status ELSE s.status END,
            coalesce(s.error, p.last_error), s.message, s.response
        )
        INSERT INTO delivery (id, event, subscription, version, attempts, step, started, ended, size, state, time, duration, last_status,
          last_error, message, response)
        SELECT * FROM gone RETURNING id
        """;

    public const string RetrySql = $"""
        WITH kept AS (
          UPDATE pending p SET version = p.version + 1, attempts = p.attempts + coalesce((s.number - p.attempts)::next_attempt, 0),
            step = s.step, due = s.due, last_status = CASE WHEN s.number IS NULL THEN p.last_status ELSE s.status END,
            last_error = coalesce(s.error, p.last_error)
          FROM (SELECT unnest($1) AS id, unnest($2) AS version, unnest($3) AS claim, unnest($4) AS number, unnest($5) AS step,
            unnest($6) AS due, unnest($7) AS time, unnest($8) AS duration, unnest($9) AS status, unnest($10) AS error,
            unnest($11) AS message, unnest($12) AS response) AS s
          WHERE p.id BETWEEN s.id AND s.id AND p.version = s.version
            AND {ClaimHolds}
          RETURNING p.id, s.number, s.time, s.duration, s.status, s.error, s.message, s.response
        ), told AS (
          INSERT INTO attempt (delivery, number, time, duration, status, error, message, response)
          SELECT * FROM kept WHERE number IS NOT NULL
        )
        SELECT id FROM kept
        """;

    /// <summary>Before what has a claim, so that they see who has ended a claim meanwhile, and who ends one sees them.</summary>
    public const string ClaimSql = $"SELECT count(pg_advisory_xact_lock_shared({AdvisoryLocks.ClaimText}, c.id)) FROM unnest($1) AS c (id)";

    /// <summary>Settled already, by this very settlement: its commit had come through, and only the answer had not.</summary>
    public const string FindSettledSql = """
        SELECT s.id FROM (SELECT unnest($1) AS id, unnest($2) AS version, unnest($3) AS state, unnest($4) AS number, unnest($5) AS time,
          unnest($6) AS due) AS s
        WHERE CASE s.state
          WHEN 0 THEN (SELECT p.due FROM pending p WHERE p.id = s.id AND p.version = s.version + 1) = s.due
            AND (SELECT a.time FROM attempt a WHERE a.delivery = s.id AND a.number = s.number) = s.time
          ELSE (SELECT d.time FROM delivery d WHERE d.id = s.id AND d.version = s.version + 1 AND d.state = s.state) = s.time END
        """;

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
        WHERE {ClaimHolds}
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
        var events = _enqueues.SelectMany(e => e.Events).ToArray();
        await PrepareAsync(session, parts, events, cancellation);

        // 2. All changes in one transaction.
        var fresh = new HashSet<long>();
        var settled = new HashSet<long>();
        await using (var batch = new NpgsqlBatch(session))
        {
            if (ClaimCommand() is { } claims)
                batch.BatchCommands.Add(claims);
            if (_ends.Count > 0)
                batch.BatchCommands.Add(EndCommand());
            if (_retries.Count > 0)
                batch.BatchCommands.Add(RetryCommand());
            if (_states.Count > 0)
                batch.BatchCommands.Add(SaveStateCommand());
            if (events.Length > 0)
                batch.BatchCommands.Add(EnqueueCommand(events, parts.Keys));
            if (_probe)
                batch.BatchCommands.Add(new NpgsqlBatchCommand("UPDATE schema_version SET version = version"));
            await using var rows = await batch.ExecuteReaderAsync(cancellation);
            foreach (var command in batch.BatchCommands)
            {
                if (command.CommandText is SaveStateSql || rows.FieldCount == 0)
                    continue;
                var found = command.CommandText is EnqueueSql ? fresh : command.CommandText is ClaimSql ? [] : settled;
                while (await rows.ReadAsync(cancellation))
                    found.Add(rows.GetInt64(0));
                await rows.NextResultAsync(cancellation);
            }
        }

        // 3. What was done already, by another or by an earlier try.
        await AnswerSettlesAsync(session, settled, cancellation);
        await AnswerEnqueuesAsync(session, events, fresh, cancellation);
    }

    private static async Task PrepareAsync(NpgsqlConnection session, StoreParts parts, PreparedEvent[] events, CancellationToken cancellation)
    {
        foreach (var @event in events)
        {
            if (@event.Id == 0)
                @event.Id = parts.Ids.Take(@event.Source.AcceptedTime, 1 + @event.Source.Matches.Count);
            if (!parts.Partitions.Has(Day.Of(@event.Id)))
                await parts.Partitions.EnsureAsync(session, Day.Of(@event.Id), cancellation);
        }
        await parts.Keys.EnsureAsync(session, events.SelectMany(e => e.Source.Matches), cancellation);
    }

    private static NpgsqlBatchCommand EnqueueCommand(PreparedEvent[] events, SubscriptionKeys keys)
    {
        var deliveries = new List<(long Id, PreparedEvent Event, int Subscription)>(events.Length);
        foreach (var @event in events)
            for (var i = 0; i < @event.Source.Matches.Count; i++)
                deliveries.Add((IdSequence.Nth(@event.Id, i + 1), @event, keys[@event.Source.Matches[i].Uid]));
        return new NpgsqlBatchCommand(EnqueueSql)
        {
            Parameters =
            {
                Column.Of(events, e => e.Id), Column.Of(events, e => e.Dedupe), Column.Of(events, e => e.Source.Matches.Count),
                Column.Of(events, e => e.Source.Namespace), Column.Of(events, e => e.Source.Event.Source),
                Column.Of(events, e => e.Source.Event.Id), Column.Of(events, e => e.Source.Event.Type),
                Column.Of(events, e => (short)e.Source.Event.Encoding), Column.Of(events, e => e.Attributes),
                Column.Of(events, e => e.DataStart), Column.Of(events, e => e.DataLength),
                Column.Of(events, e => e.Source.Event.DataIsBase64), Column.Of(events, e => e.Source.Event.Body),
                Column.Of(deliveries, d => d.Id), Column.Of(deliveries, d => d.Event.Id), Column.Of(deliveries, d => d.Subscription),
                Column.Of(deliveries, d => d.Event.Source.AcceptedTime.ToUnixTimeMilliseconds()),
                Column.Of(deliveries, d => d.Event.Source.Event.Body.Length),
            },
        };
    }

    /// <summary>Null where nothing has a claim.</summary>
    private NpgsqlBatchCommand? ClaimCommand()
    {
        var claims = _ends.Concat(_retries).Select(s => s.Settlement.Claim).Concat(_states.Values.Select(s => s.Claim))
            .Where(c => c != 0).Select(c => (int)c).Distinct().Order().ToArray();
        return claims.Length == 0 ? null : new NpgsqlBatchCommand(ClaimSql) { Parameters = { Column.Of(claims, c => c) } };
    }

    private NpgsqlBatchCommand EndCommand()
    {
        var s = _ends.ConvertAll(operation => operation.Settlement);
        return new NpgsqlBatchCommand(EndSql)
        {
            Parameters =
            {
                Column.Of(s, s => s.Id.Value), Column.Of(s, s => (int)s.Version), Column.Of(s, s => (int)s.Claim),
                Column.Of(s, s => (short)s.State),
                Column.Of(s, s => s.Attempt?.Number), Column.Of(s, s => s.Step), Column.Of(s, s => s.Time.ToUnixTimeMilliseconds()),
                Column.Of(s, TimeOf), Column.Of(s, DurationOf), Column.Of(s, s => (short?)s.Attempt?.StatusCode), Column.Of(s, ErrorOf),
                Column.Of(s, s => s.Attempt?.Message), Column.Of(s, ResponseOf),
            },
        };
    }

    private NpgsqlBatchCommand RetryCommand()
    {
        var s = _retries.ConvertAll(operation => operation.Settlement);
        return new NpgsqlBatchCommand(RetrySql)
        {
            Parameters =
            {
                Column.Of(s, s => s.Id.Value), Column.Of(s, s => (int)s.Version), Column.Of(s, s => (int)s.Claim),
                Column.Of(s, s => s.Attempt?.Number),
                Column.Of(s, s => s.Step), Column.Of(s, s => s.DueTime.ToUnixTimeMilliseconds()), Column.Of(s, TimeOf), Column.Of(s, DurationOf),
                Column.Of(s, s => (short?)s.Attempt?.StatusCode), Column.Of(s, ErrorOf), Column.Of(s, s => s.Attempt?.Message),
                Column.Of(s, ResponseOf),
            },
        };
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
        await using var command = new NpgsqlCommand(FindSettledSql, session)
        {
            Parameters =
            {
                Column.Of(open, o => o.Settlement.Id.Value), Column.Of(open, o => (int)o.Settlement.Version),
                Column.Of(open, o => (short)o.Settlement.State), Column.Of(open, o => o.Settlement.Attempt!.Number),
                Column.Of(open, o => TimeOf(o.Settlement)!.Value),
                Column.Of(open, o => o.Settlement.DueTime.ToUnixTimeMilliseconds()),
            },
        };
        await using var rows = await command.ExecuteReaderAsync(cancellation);
        settled.Clear();
        while (await rows.ReadAsync(cancellation))
            settled.Add(rows.GetInt64(0));
        foreach (var operation in open)
            operation.Result = settled.Contains(operation.Settlement.Id.Value);
    }

    private async Task AnswerEnqueuesAsync(NpgsqlConnection session, PreparedEvent[] events, HashSet<long> fresh, CancellationToken cancellation)
    {
        var found = new Dictionary<PreparedEvent, (long Id, int Deliveries)>();
        if (fresh.Count < events.Length)
        {
            var old = events.Where(e => !fresh.Contains(e.Id)).ToArray();
            await using var batch = new NpgsqlBatch(session)
            {
                BatchCommands = { new NpgsqlBatchCommand(FindKeysSql) { Parameters = { Column.Of(old, e => e.Dedupe) } }, new NpgsqlBatchCommand(WaitForStandbysSql) },
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
                if (fresh.Contains(e.Id))
                    return new Enqueued(e.Id, e.Source.Matches.Count, Duplicate: false);
                if (!found.TryGetValue(e, out var first))
                    throw new StoreUnavailableException("An event that was a duplicate has reached the end of its retention meanwhile.");
                return new Enqueued(first.Id, first.Deliveries, Duplicate: first.Id != e.Id);
            });
        }
    }

    private static long? TimeOf(Settlement s) => s.Attempt is { } attempt ? Microseconds.FromTime(attempt.Time) : null;

    private static long? DurationOf(Settlement s) => s.Attempt is { } attempt ? Microseconds.FromSpan(attempt.Duration) : null;

    /// <summary>Only a delivery that was too old dies without an attempt.</summary>
    private static short? ErrorOf(Settlement s) =>
        s.Attempt is null && s.State == DeliveryState.Dead ? (short)ErrorClass.Expired : (short?)s.Attempt?.Error;

    private static byte[]? ResponseOf(Settlement s) => s.Attempt is { Response.IsEmpty: false } attempt ? attempt.Response.ToArray() : null;
}

/// <summary>What every group works with.</summary>
internal sealed record StoreParts(ServerAddress Server, IdSequence Ids, Partitions Partitions, SubscriptionKeys Keys);
