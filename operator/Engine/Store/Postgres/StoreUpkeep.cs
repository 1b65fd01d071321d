using Npgsql;
using WebhookOperator.Engine.Routing;
using static WebhookOperator.Engine.Store.Postgres.StoreReader;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>Changes to many rows that need no hurry, in chunks: searched for first, and checked again when they are changed.</summary>
internal static class StoreUpkeep
{
    private const int Visits = 10_000;

    /// <summary>Changed at once.</summary>
    public const int MaxRows = 1000;

    /// <summary>For a replay: what was looked at, and whether it is wanted.</summary>
    public const string FindFinishedSql = $"""
        SELECT d.id, ($5::smallint[] = '{"{}"}' OR d.state = ANY ($5)) AND ($6::text[] = '{"{}"}' OR EXISTS (
          SELECT FROM event e, unnest($6) AS t (type) WHERE e.id = d.event
            AND CASE WHEN right(t.type, 1) = '*' THEN starts_with(e.type, left(t.type, -1)) ELSE e.type = t.type END))
        FROM (SELECT id, event, state FROM delivery WHERE {OfSubscription} AND id > $2 AND id < $3 ORDER BY id LIMIT $4) d
        """;

    public const string FindDeadSql = $"""
        SELECT d.id, ($6::text[] = '{"{}"}' OR EXISTS (
          SELECT FROM event e, unnest($6) AS t (type) WHERE e.id = d.event
            AND CASE WHEN right(t.type, 1) = '*' THEN starts_with(e.type, left(t.type, -1)) ELSE e.type = t.type END))
        FROM (SELECT id, event FROM delivery WHERE {OfSubscription} AND id > $2 AND id < $3 AND state >= 2 AND state = ($5::smallint[])[1]
          ORDER BY id LIMIT $4) d
        """;

    /// <summary>Takes deliveries out of the log; the attempt that ended each goes to the others.</summary>
    public const string ReopenSql = """
        WITH taken AS (
          DELETE FROM delivery d USING unnest($1) AS i (id) WHERE d.id BETWEEN i.id AND i.id
          RETURNING d.id, d.event, d.subscription, d.version, d.attempts, d.size, d.time, d.duration, d.last_status, d.last_error, d.message, d.response
        ), told AS (
          INSERT INTO attempt (delivery, number, time, duration, status, error, message, response)
          SELECT id, attempts, time, duration, last_status, last_error, message, response FROM taken WHERE time IS NOT NULL
        )
        INSERT INTO pending (id, event, subscription, version, attempts, step, started, due, size, last_status, last_error)
        SELECT id, event, subscription, version + 1, attempts, 0, $2, $2, size, last_status, last_error FROM taken
        """;

    public const string FindForRedeliverySql = """
        SELECT s.uid, d.pending FROM (
          SELECT event, subscription, true AS pending FROM pending WHERE id = $1
          UNION ALL SELECT event, subscription, false FROM delivery WHERE id = $1) d
          JOIN event e ON e.id BETWEEN d.event AND d.event JOIN subscription s ON s.key BETWEEN d.subscription AND d.subscription
        WHERE e.namespace = $2
        """;

    /// <summary>One that is due already may be under way; a new version would make its attempt count for nothing.</summary>
    public const string MakeDueSql = "UPDATE pending SET due = $2, version = version + 1 WHERE id = $1 AND due > $2";

    /// <summary>A schedule never begins before its event was accepted, and the index knows when that was.</summary>
    public const string FindPendingSql = $"""
        SELECT id FROM pending WHERE {OfSubscription} AND id < $2 AND started < $3 AND (id IN (SELECT unnest($4))) IS NOT TRUE LIMIT $5
        """;

    public const string EndPendingSql = """
        WITH gone AS (
          DELETE FROM pending p USING unnest($1) AS i (id) WHERE p.id BETWEEN i.id AND i.id AND p.started < $5
          RETURNING p.id, p.event, p.subscription, p.version + 1, p.attempts, p.step, p.started, $3::bigint, p.size, $2::smallint, p.last_status,
            coalesce($4, p.last_error)
        )
        INSERT INTO delivery (id, event, subscription, version, attempts, step, started, ended, size, state, last_status, last_error)
        SELECT * FROM gone
        """;

    /// <summary>The smallest id of what was accepted at the given time or later.</summary>
    public static long FirstIdSince(DateTimeOffset? time) => time is { } since
        ? TimeOrderedId.Floor(DateTimeOffset.FromUnixTimeMilliseconds(CeilingMilliseconds(since)))
        : 0;

    /// <summary>Stored times are whole milliseconds, so before this one means before <paramref name="time"/>.</summary>
    public static long CeilingMilliseconds(DateTimeOffset time)
    {
        var floor = time.ToUnixTimeMilliseconds();
        return Time(floor) < time ? floor + 1 : floor;
    }

    /// <summary>The next deliveries of a replay after the cursor, and where to go on; null at the end.</summary>
    public static async Task<(List<long> Found, long? Cursor)> FindForReplayAsync(
        NpgsqlConnection session, string uid, ReplayQuery query, long cursor, CancellationToken cancellation)
    {
        var states = query.States.IsDefault ? [] : query.States.Select(s => (short)s).ToArray();
        var onlyFailed = states is [(short)DeliveryState.Dead];
        var visits = onlyFailed ? MaxRows : Visits;
        await using var command = new NpgsqlCommand(onlyFailed ? FindDeadSql : FindFinishedSql, session)
        {
            Parameters =
            {
                Text(uid), Number(Math.Max(cursor, FirstIdSince(query.Since) - 1)),
                Number(query.Until is { } until ? FirstIdSince(until) : long.MaxValue), Number(visits),
                new NpgsqlParameter<short[]> { TypedValue = states },
                new NpgsqlParameter<string[]> { TypedValue = query.Types.IsDefault ? [] : [.. query.Types] },
            },
        };
        var found = new List<long>();
        var (looked, last) = (0, 0L);
        await using var rows = await command.ExecuteReaderAsync(cancellation);
        while (await rows.ReadAsync(cancellation))
        {
            looked++;
            last = rows.GetInt64(0);
            if (rows.GetBoolean(1))
                found.Add(last);
        }
        return (found, looked == visits ? last : null);
    }

    /// <returns>How many were there to be reopened.</returns>
    public static async Task<int> ReopenAsync(NpgsqlConnection session, long[] ids, DateTimeOffset now, CancellationToken cancellation)
    {
        await Accepted.SpreadAsync(session, Accepted.DeliveriesSql, cancellation, Numbers(ids));
        return await ReopenSpreadAsync(session, ids, now, cancellation);
    }

    private static async Task<int> ReopenSpreadAsync(NpgsqlConnection session, long[] ids, DateTimeOffset now, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(ReopenSql, session) { Parameters = { Numbers(ids), Number(now.ToUnixTimeMilliseconds()) } };
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    public static async Task<Redelivery?> RedeliverAsync(
        NpgsqlConnection session, string @namespace, DeliveryId id, DateTimeOffset now, CancellationToken cancellation)
    {
        await Accepted.SpreadAsync(session, Accepted.DeliveriesSql, cancellation, Numbers([id.Value]));
        while (true)
        {
            string uid;
            bool pending;
            await using (var find = new NpgsqlCommand(FindForRedeliverySql, session) { Parameters = { Number(id.Value), Text(@namespace) } })
            {
                await using var row = await find.ExecuteReaderAsync(cancellation);
                if (!await row.ReadAsync(cancellation))
                    return null;
                (uid, pending) = (row.GetString(0), row.GetBoolean(1));
            }
            if (!pending && await ReopenSpreadAsync(session, [id.Value], now, cancellation) > 0)
                return new Redelivery(uid, Reopened: true);
            if (!pending)
                continue; // Someone else has just reopened or swept it.
            await using var command = new NpgsqlCommand(MakeDueSql, session) { Parameters = { Number(id.Value), Number(now.ToUnixTimeMilliseconds()) } };
            await command.ExecuteNonQueryAsync(cancellation);
            return new Redelivery(uid, Reopened: false);
        }
    }

    /// <returns>How many were found, and how many of them were still there to be ended.</returns>
    public static async Task<(int Found, int Ended)> EndPendingAsync(
        NpgsqlConnection session, string uid, DeliveryState state, DateTimeOffset? startedBefore, IReadOnlySet<DeliveryId> held,
        DateTimeOffset now, CancellationToken cancellation)
    {
        var before = startedBefore is { } time ? CeilingMilliseconds(time) : long.MaxValue;
        var idBefore = before == long.MaxValue ? long.MaxValue : TimeOrderedId.Floor(Time(before));
        await Accepted.SpreadAsync(session, Accepted.OfSubscriptionSql, cancellation, Text(uid), Number(idBefore));
        var found = new List<long>();
        await using (var find = new NpgsqlCommand(FindPendingSql, session)
        {
            Parameters = { Text(uid), Number(idBefore), Number(before), Numbers([.. held.Select(h => h.Value)]), Number(MaxRows) },
        })
        {
            await using var rows = await find.ExecuteReaderAsync(cancellation);
            while (await rows.ReadAsync(cancellation))
                found.Add(rows.GetInt64(0));
        }
        if (found.Count == 0)
            return (0, 0);
        found.Sort();
        await using var command = new NpgsqlCommand(EndPendingSql, session)
        {
            Parameters =
            {
                Numbers([.. found]), new NpgsqlParameter<short> { TypedValue = (short)state }, Number(now.ToUnixTimeMilliseconds()),
                new NpgsqlParameter<short?> { TypedValue = state == DeliveryState.Dead ? (short)ErrorClass.Expired : null }, Number(before),
            },
        };
        return (found.Count, await command.ExecuteNonQueryAsync(cancellation));
    }
}
