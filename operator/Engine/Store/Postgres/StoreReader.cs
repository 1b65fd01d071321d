using System.Collections.Immutable;
using Npgsql;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>What the dispatcher asks.</summary>
internal static class StoreReader
{
    /// <summary>Of the subscription with the uid $1.</summary>
    public const string Key = "(SELECT s.key FROM subscription s WHERE s.uid = $1)";

    /// <summary>Of the subscription with the uid $1. The indexes by subscription serve only who says that it is above 0, as it always is.</summary>
    public const string OfSubscription = $"subscription = {Key} AND subscription > 0";

    /// <summary>One more than is wanted tells whether there are more; bodies are only read of what is returned.</summary>
    public const string DueSql = $"""
        SELECT q.id, q.event, q.due, q.attempts, q.step, q.started, q.version, q.found,
          e.namespace, e.source, e.ce_id, e.type, e.encoding, e.attributes, e.data_start, e.data_length, e.data_base64, e.body
        FROM (
          SELECT p.*, sum(p.size) OVER (ORDER BY p.due, p.id) AS bytes, row_number() OVER (ORDER BY p.due, p.id) AS place, count(*) OVER () AS found
          FROM (
            SELECT id, event, due, attempts, step, started, version, size FROM pending
            WHERE {OfSubscription} AND due >= $6 AND due <= $2 AND (id IN (SELECT unnest($3))) IS NOT TRUE
            ORDER BY due, id LIMIT $4 + 1) p) q
          JOIN event e ON e.id BETWEEN q.event AND q.event
        WHERE q.place = 1 OR (q.place <= $4 AND q.bytes <= $5) ORDER BY q.due, q.id
        """;

    public const string NextDueSql = $"""
        SELECT due FROM pending WHERE {OfSubscription} AND due > $2 AND (id IN (SELECT unnest($3))) IS NOT TRUE ORDER BY due, id LIMIT 1
        """;

    /// <summary>
    /// An index-only scan over what the subscription has pending; ids sort by time. Of a bare id the planner would walk the
    /// primary key until it comes to one of this subscription.
    /// </summary>
    public const string OldestPendingSql = $"""
        SELECT event FROM pending WHERE id = (SELECT min(id + 0) FROM pending WHERE {OfSubscription})
        """;

    public const string BacklogsSql = """
        SELECT s.uid, s.namespace, s.name, p.pending, p.oldest, p.due,
          s.failing_since, s.disabled_reason, s.disabled_message, s.disabled_generation, s.disabled_time,
          s.circuit_since, s.circuit_probe, s.circuit_failures, s.counted_since, s.delivered, s.failed_attempts, s.dead_lettered, s.held_until
        FROM subscription s, LATERAL (
          SELECT count(*)::int AS pending, min(id) AS oldest, min(due) AS due FROM pending WHERE subscription = s.key AND subscription > 0) p
        WHERE s.shard = ANY ($1) AND (p.pending > 0 OR s.failing_since IS NOT NULL OR s.disabled_reason IS NOT NULL
          OR s.circuit_since IS NOT NULL OR s.counted_since IS NOT NULL OR s.held_until IS NOT NULL)
        """;

    public const string FindDueSql = """
        SELECT s.uid, s.namespace, s.name FROM subscription s
        WHERE s.shard = ANY ($1) AND (SELECT p.id FROM pending p WHERE p.subscription = s.key AND p.subscription > 0 AND p.due <= $2 LIMIT 1) IS NOT NULL
        """;

    public const string CountPendingSql = """
        SELECT s.uid, (SELECT count(*) FROM (SELECT p.id FROM pending p WHERE p.subscription = s.key AND p.subscription > 0 LIMIT $2 + 1) c)::int
        FROM subscription s WHERE s.uid = ANY ($1)
        """;

    public static async Task<DueDeliveries> ReadDueAsync(
        NpgsqlConnection session, string uid, DateTimeOffset since, DateTimeOffset now, int limit, long byteLimit, IReadOnlySet<DeliveryId> held,
        CancellationToken cancellation)
    {
        var skip = held.Select(id => id.Value).ToArray();
        await using var batch = new NpgsqlBatch(session)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(Accepted.DueSql) { Parameters = { Text(uid), Number(now.ToUnixTimeMilliseconds()), Numbers(skip) } },
                new NpgsqlBatchCommand(DueSql)
                {
                    Parameters =
                    {
                        Text(uid), Number(now.ToUnixTimeMilliseconds()), Numbers(skip), Number(limit), Number(byteLimit),
                        Number(since.ToUnixTimeMilliseconds()),
                    },
                },
                new NpgsqlBatchCommand(NextDueSql) { Parameters = { Text(uid), Number(now.ToUnixTimeMilliseconds()), Numbers(skip) } },
            },
        };
        await using var rows = await batch.ExecuteReaderAsync(cancellation);
        await rows.NextResultAsync(cancellation);
        var found = ImmutableArray.CreateBuilder<PendingDelivery>();
        var events = new Dictionary<long, StoredEvent>();
        var all = 0L;
        while (await rows.ReadAsync(cancellation))
        {
            var @event = rows.GetInt64(1);
            if (!events.TryGetValue(@event, out var stored))
                events[@event] = stored = PreparedEvent.Read(rows, 8, @event);
            all = rows.GetInt64(7);
            found.Add(new PendingDelivery
            {
                Id = new DeliveryId(rows.GetInt64(0)),
                SubscriptionUid = uid,
                Event = stored,
                Attempts = rows.GetInt32(3),
                Step = rows.GetInt32(4),
                StartedTime = Time(rows.GetInt64(5)),
                DueTime = Time(rows.GetInt64(2)),
                Version = rows.GetInt32(6),
            });
        }
        await rows.NextResultAsync(cancellation);
        DateTimeOffset? next = await rows.ReadAsync(cancellation) ? Time(rows.GetInt64(0)) : null;
        var more = all > found.Count;
        return new DueDeliveries(found.DrainToImmutable(), more, more ? null : next);
    }

    public static async Task<DateTimeOffset?> ReadOldestPendingAsync(NpgsqlConnection session, string uid, CancellationToken cancellation)
    {
        await Accepted.SpreadAsync(session, Accepted.OfSubscriptionSql, cancellation, Text(uid), Number(long.MaxValue));
        await using var command = new NpgsqlCommand(OldestPendingSql, session) { Parameters = { Text(uid) } };
        return await command.ExecuteScalarAsync(cancellation) is long @event ? TimeOrderedId.TimeOf(@event) : null;
    }

    /// <param name="session">To read on.</param>
    /// <param name="shards">Only of these.</param>
    /// <param name="cancellation">Ends the statement.</param>
    public static async Task<ImmutableArray<Backlog>> ReadBacklogsAsync(
        NpgsqlConnection session, IEnumerable<int> shards, CancellationToken cancellation)
    {
        // With millions pending, counting them takes a while.
        const int Seconds = 300;
        await Accepted.SpreadAsync(session, Accepted.AllSql, cancellation);
        await using var transaction = await session.BeginTransactionAsync(cancellation);
        await using (var patience = new NpgsqlCommand($"SET LOCAL statement_timeout = '{Seconds}s'", session))
            await patience.ExecuteNonQueryAsync(cancellation);
        await using var command = new NpgsqlCommand(BacklogsSql, session) { Parameters = { Shards(shards) }, CommandTimeout = Seconds + 5 };
        await using var rows = await command.ExecuteReaderAsync(cancellation);
        var backlogs = ImmutableArray.CreateBuilder<Backlog>();
        while (await rows.ReadAsync(cancellation))
        {
            var disabled = rows.IsDBNull(7)
                ? null
                : new DisabledState(rows.GetString(7), rows.GetString(8), rows.GetInt64(9), Time(rows.GetInt64(10)));
            backlogs.Add(new Backlog(
                rows.GetString(0), new NamespacedName(NullableText(rows, 1) ?? "", NullableText(rows, 2) ?? ""), rows.GetInt32(3),
                rows.IsDBNull(4) ? null : TimeOrderedId.TimeOf(rows.GetInt64(4)), NullableTime(rows, 5),
                new SubscriptionState
                {
                    FailingSince = NullableTime(rows, 6),
                    Disabled = disabled,
                    HeldUntil = NullableTime(rows, 18),
                    Circuit = rows.IsDBNull(11) ? null : new BrokenCircuit(Time(rows.GetInt64(11)), Time(rows.GetInt64(12)), rows.GetInt32(13)),
                    Counters = rows.IsDBNull(14) ? null
                        : new DeliveryCounters(Time(rows.GetInt64(14)), rows.GetInt64(15), rows.GetInt64(16), rows.GetInt64(17)),
                }));
        }
        return backlogs.DrainToImmutable();
    }

    public static async Task<ImmutableArray<DueSubscription>> FindDueAsync(
        NpgsqlConnection session, IEnumerable<int> shards, DateTimeOffset now, CancellationToken cancellation)
    {
        await Accepted.SpreadAsync(session, Accepted.BeforeSql, cancellation, Number(TimeOrderedId.Floor(now - Accepted.MaxAge)));
        await using var command = new NpgsqlCommand(FindDueSql, session) { Parameters = { Shards(shards), Number(now.ToUnixTimeMilliseconds()) } };
        await using var rows = await command.ExecuteReaderAsync(cancellation);
        var found = ImmutableArray.CreateBuilder<DueSubscription>();
        while (await rows.ReadAsync(cancellation))
            found.Add(new DueSubscription(rows.GetString(0), new NamespacedName(NullableText(rows, 1) ?? "", NullableText(rows, 2) ?? "")));
        return found.DrainToImmutable();
    }

    public static async Task<IReadOnlyDictionary<string, int>> CountPendingAsync(
        NpgsqlConnection session, IReadOnlyCollection<string> uids, int limit, CancellationToken cancellation)
    {
        await Accepted.SpreadAsync(session, Accepted.AllSql, cancellation);
        await using var command = new NpgsqlCommand(CountPendingSql, session)
        {
            Parameters = { new NpgsqlParameter<string[]> { TypedValue = [.. uids] }, Number(limit) },
        };
        await using var rows = await command.ExecuteReaderAsync(cancellation);
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        while (await rows.ReadAsync(cancellation))
            if (rows.GetInt32(1) is var count && count <= limit)
                counts[rows.GetString(0)] = count;
        return counts;
    }

    public static NpgsqlParameter Text(string value) => new NpgsqlParameter<string> { TypedValue = value };

    public static NpgsqlParameter Number(long value) => new NpgsqlParameter<long> { TypedValue = value };

    public static NpgsqlParameter Numbers(long[] values) => new NpgsqlParameter<long[]> { TypedValue = values };

    private static NpgsqlParameter<short[]> Shards(IEnumerable<int> shards) => new() { TypedValue = [.. shards.Select(s => (short)s)] };

    public static DateTimeOffset Time(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);

    public static DateTimeOffset? NullableTime(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : Time(row.GetInt64(column));

    public static string? NullableText(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);
}
