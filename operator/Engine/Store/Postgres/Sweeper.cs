using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// Deletes what is past its retention. A day that is past it as a whole, with nothing pending, is dropped; that costs next
/// to nothing, but keeps its first events up to a day longer. So days of which something is still pending, and all of
/// them where retention is shorter than two days, are cleared row by row instead.
/// </summary>
internal sealed class Sweeper(Partitions partitions, TimeProvider time, ILogger logger)
{
    private const int Visits = 500;
    private const int MaxDeliveries = 1000;
    private const int Slice = 500;
    private static readonly TimeSpan ShortRetention = TimeSpan.FromDays(2);
    private static readonly TimeSpan IdleInterval = TimeSpan.FromHours(1);

    public const string FindSql = """
        SELECT e.id, e.deliveries, EXISTS (SELECT FROM pending p WHERE p.id > e.id AND p.id <= e.id + e.deliveries * $4 AND p.event = e.id)
        FROM event e WHERE e.id > $1 AND e.id < $2 ORDER BY e.id LIMIT $3
        """;

    /// <summary>Not all at once where an event has thousands of deliveries.</summary>
    public const string DeleteDeliveriesSql = """
        WITH gone AS (
          DELETE FROM delivery d USING (
            SELECT o.id FROM unnest($1, $2) AS e (id, last), LATERAL (
              SELECT o.id FROM delivery o WHERE o.id > e.id AND o.id <= e.last AND o.event = e.id ORDER BY o.id LIMIT $3) o LIMIT $3) AS old
          WHERE d.id BETWEEN old.id AND old.id
          RETURNING d.id, d.time
        ), told AS (
          DELETE FROM attempt a USING gone WHERE a.delivery BETWEEN gone.id AND gone.id RETURNING 1
        )
        SELECT (SELECT count(*) + count(time) FROM gone) + (SELECT count(*) FROM told), (SELECT count(*) FROM gone)
        """;

    /// <summary>A redelivery may have come in between.</summary>
    public const string DeleteEventsSql = """
        WITH gone AS (
          DELETE FROM event e USING unnest($1, $2) AS i (id, last) WHERE e.id BETWEEN i.id AND i.id
            AND (SELECT p.id FROM pending p WHERE p.id > i.id AND p.id <= i.last AND p.event = i.id LIMIT 1) IS NULL
            AND (SELECT d.id FROM delivery d WHERE d.id > i.id AND d.id <= i.last AND d.event = i.id LIMIT 1) IS NULL
          RETURNING e.id, e.dedupe
        ), keys AS (
          DELETE FROM event_key k USING gone WHERE k.dedupe BETWEEN gone.dedupe AND gone.dedupe AND k.id = gone.id
        )
        SELECT count(*) FROM gone
        """;

    public const string DeleteKeysSql = """
        WITH old AS MATERIALIZED (SELECT dedupe, id FROM event WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3), keys AS (
          DELETE FROM event_key k USING old WHERE k.dedupe BETWEEN old.dedupe AND old.dedupe AND k.id = old.id
        )
        SELECT count(*), coalesce(max(id), 0) FROM old
        """;

    public const string FindIdleSql = """
        SELECT s.key FROM subscription s WHERE s.failing_since IS NULL AND s.disabled_reason IS NULL
          AND (SELECT p.id FROM pending p WHERE p.subscription = s.key AND p.subscription > 0 LIMIT 1) IS NULL
          AND (SELECT d.id FROM delivery d WHERE d.subscription = s.key AND d.subscription > 0 LIMIT 1) IS NULL
        LIMIT 1000
        """;

    private long _cursor;
    private DateTimeOffset _nextIdle = DateTimeOffset.MinValue;

    /// <summary>One chunk. Only one replica sweeps at a time; where another does, nothing is left to do.</summary>
    /// <returns>About how many rows went; 0 at the end.</returns>
    public async Task<int> RunAsync(NpgsqlConnection session, DateTimeOffset cutoff, CancellationToken cancellation)
    {
        if (!await BoolAsync(session, $"SELECT pg_try_advisory_lock({AdvisoryLocks.Store}, {AdvisoryLocks.Sweep})", cancellation))
            return 0;
        try
        {
            var before = StoreUpkeep.FirstIdSince(cutoff);
            await Accepted.SpreadAsync(session, Accepted.BeforeSql, cancellation, StoreReader.Number(before));
            return await SweepAsync(session, before, time.GetUtcNow() - cutoff < ShortRetention, cancellation);
        }
        finally
        {
            if (!ServerFault.IsBroken(session))
                await BoolAsync(session, $"SELECT pg_advisory_unlock({AdvisoryLocks.Store}, {AdvisoryLocks.Sweep})", CancellationToken.None);
        }
    }

    private async Task<int> SweepAsync(NpgsqlConnection session, long before, bool byRow, CancellationToken cancellation)
    {
        if (_cursor == 0)
            await PrepareDaysAsync(session, cancellation);
        foreach (var day in await Partitions.ReadAsync(session, cancellation))
        {
            var whole = day.Next.FirstId <= before;
            if (day.FirstId >= before || (!whole && !byRow))
                break;
            if (day.Next.FirstId <= _cursor)
                continue;
            _cursor = Math.Max(_cursor, day.FirstId - 1);
            var anyPending = await Partitions.AnyPendingAsync(session, day, cancellation);
            while (true)
            {
                var (deleted, atEnd) = byRow || anyPending
                    ? await SweepRowsAsync(session, Math.Min(before, day.Next.FirstId), cancellation)
                    : await SweepKeysAsync(session, day, cancellation);
                if (deleted > 0)
                    return deleted;
                if (atEnd)
                    break;
            }
            if (whole && !anyPending && await partitions.TryDropAsync(session, day, cancellation))
                logger.DayDropped(day.Suffix);
            _cursor = day.Next.FirstId - 1;
        }
        _cursor = 0;
        await DeleteIdleAsync(session, cancellation);
        return 0;
    }

    /// <summary>Ahead of time, so that midnight is no event.</summary>
    private async Task PrepareDaysAsync(NpgsqlConnection session, CancellationToken cancellation)
    {
        var today = Day.Of(time.GetUtcNow());
        await partitions.EnsureAsync(session, today, cancellation);
        await partitions.EnsureAsync(session, today.Next, cancellation);
    }

    private async Task<(int Deleted, bool AtEnd)> SweepKeysAsync(NpgsqlConnection session, Day day, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(DeleteKeysSql, session)
        {
            Parameters = { StoreReader.Number(_cursor), StoreReader.Number(day.Next.FirstId), StoreReader.Number(MaxDeliveries) },
        };
        await using var row = await command.ExecuteReaderAsync(cancellation);
        await row.ReadAsync(cancellation);
        var count = (int)row.GetInt64(0);
        if (count > 0)
            _cursor = row.GetInt64(1);
        return (count, count == 0);
    }

    private async Task<(int Deleted, bool AtEnd)> SweepRowsAsync(NpgsqlConnection session, long before, CancellationToken cancellation)
    {
        // 1. The next events of which nothing is pending, as many as make a chunk.
        var (ids, lasts, looked, deliveries, cursor) = (new List<long>(), new List<long>(), 0, 0, _cursor);
        await using (var find = new NpgsqlCommand(FindSql, session)
        {
            Parameters =
            {
                StoreReader.Number(_cursor), StoreReader.Number(before), StoreReader.Number(Visits), StoreReader.Number(IdSequence.Step),
            },
        })
        {
            await using var rows = await find.ExecuteReaderAsync(cancellation);
            for (; await rows.ReadAsync(cancellation) && deliveries < MaxDeliveries; looked++)
            {
                var (id, count) = (rows.GetInt64(0), rows.GetInt32(1));
                if (ids.Count > 0 && deliveries + count > MaxDeliveries)
                    break;
                cursor = id;
                if (rows.GetBoolean(2))
                    continue;
                ids.Add(id);
                lasts.Add(IdSequence.Nth(id, count));
                deliveries += count;
            }
        }
        if (ids.Count == 0)
        {
            _cursor = cursor;
            return (0, looked < Visits);
        }

        // 2. Their deliveries and attempts, and then themselves, if that was all.
        await using var batch = new NpgsqlBatch(session)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(DeleteDeliveriesSql)
                {
                    Parameters = { StoreReader.Numbers([.. ids]), StoreReader.Numbers([.. lasts]), StoreReader.Number(ids.Count == 1 ? Slice : MaxDeliveries) },
                },
                new NpgsqlBatchCommand(DeleteEventsSql) { Parameters = { StoreReader.Numbers([.. ids]), StoreReader.Numbers([.. lasts]) } },
            },
        };
        await using var answer = await batch.ExecuteReaderAsync(cancellation);
        await answer.ReadAsync(cancellation);
        var deleted = answer.GetInt64(0);
        await answer.NextResultAsync(cancellation);
        await answer.ReadAsync(cancellation);
        var events = answer.GetInt64(0);
        if (events > 0 || deleted == 0)
            _cursor = cursor;
        return ((int)(deleted + events), false);
    }

    /// <summary>Subscriptions of which nothing is left. Briefly holds up those who store events, so that none of them names one.</summary>
    private async Task DeleteIdleAsync(NpgsqlConnection session, CancellationToken cancellation)
    {
        if (time.GetUtcNow() < _nextIdle)
            return;
        _nextIdle = time.GetUtcNow() + IdleInterval;
        if (!await BoolAsync(session, $"SELECT EXISTS ({FindIdleSql})", cancellation))
            return;
        try
        {
            await using var transaction = await session.BeginTransactionAsync(cancellation);
            await using var command = new NpgsqlCommand(
                $"SET LOCAL lock_timeout = '1s'; LOCK TABLE subscription; DELETE FROM subscription WHERE key IN ({FindIdleSql})", session);
            await command.ExecuteNonQueryAsync(cancellation);
            await transaction.CommitAsync(cancellation);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.LockNotAvailable)
        {
            // Someone reads for longer than others should wait; the next round tries again.
        }
    }

    private static async Task<bool> BoolAsync(NpgsqlConnection session, string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, session);
        return (bool)(await command.ExecuteScalarAsync(cancellation))!;
    }
}
