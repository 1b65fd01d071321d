using System.Collections.Immutable;
using Npgsql;
using WebhookOperator.Engine.Routing;
using static WebhookOperator.Engine.Store.Postgres.StoreReader;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>What people ask: deliveries that wait and those that have ended, as one log.</summary>
internal static class LogReader
{
    /// <summary>Log entries looked at for one page where no index leads to the state that is asked for.</summary>
    private const int PageVisits = 10_000;

    private const string Pending = $"""
        SELECT id, event, 0::smallint AS state, attempts, due, NULL::bigint AS ended, last_status, last_error FROM pending
        WHERE {OfSubscription} AND id < $2 AND id >= $3 ORDER BY id DESC LIMIT $4
        """;

    private const string Ended = $"""
        SELECT id, event, state, attempts, NULL::bigint AS due, ended, last_status, last_error FROM delivery
        WHERE {OfSubscription} AND id < $2 AND id >= $3
        """;

    private const string Summary = "d.id, d.event, e.type, e.source, e.ce_id, d.state, d.attempts, d.due, d.ended, d.last_status, d.last_error";

    public const string PendingSql = $"SELECT {Summary} FROM ({Pending}) d JOIN event e ON e.id BETWEEN d.event AND d.event ORDER BY d.id DESC";

    public const string FailedSql = $"""
        SELECT {Summary} FROM ({Ended} AND state >= 2 AND state = $5 ORDER BY id DESC LIMIT $4) d JOIN event e ON e.id BETWEEN d.event AND d.event ORDER BY d.id DESC
        """;

    /// <summary>The last id looked at comes with each row.</summary>
    public const string DeliveredSql = $"""
        WITH looked AS MATERIALIZED ({Ended} ORDER BY id DESC LIMIT $5)
        SELECT {Summary}, (SELECT count(*) FROM looked), (SELECT min(id) FROM looked)
        FROM (SELECT * FROM looked WHERE state = 1 ORDER BY id DESC LIMIT $4) d JOIN event e ON e.id BETWEEN d.event AND d.event
        UNION ALL
        SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, count(*), min(id) FROM looked HAVING count(*) FILTER (WHERE state = 1) = 0
        ORDER BY 1 DESC
        """;

    public const string AllSql = $"""
        SELECT {Summary} FROM (
          SELECT * FROM (({Pending}) UNION ALL ({Ended} ORDER BY id DESC LIMIT $4)) b ORDER BY id DESC LIMIT $4) d
          JOIN event e ON e.id BETWEEN d.event AND d.event ORDER BY d.id DESC
        """;

    public const string DetailSql = """
        SELECT d.id, d.event, e.type, e.source, e.ce_id, d.state, d.attempts, d.due, d.ended, d.last_status, d.last_error,
          s.namespace, s.name, d.time, d.duration, d.message, d.response, s.uid
        FROM (
          SELECT id, event, subscription, 0::smallint AS state, attempts, due, NULL::bigint AS ended, last_status, last_error,
            NULL::bigint AS time, NULL::bigint AS duration, NULL::text AS message, NULL::bytea AS response
          FROM pending WHERE id = $1
          UNION ALL
          SELECT id, event, subscription, state, attempts, NULL, ended, last_status, last_error, time, duration, message, response
          FROM delivery WHERE id = $1) d
          JOIN event e ON e.id BETWEEN d.event AND d.event JOIN subscription s ON s.key BETWEEN d.subscription AND d.subscription
        WHERE e.namespace = $2
        """;

    public const string AttemptsSql =
        "SELECT number, time, duration, status, error, message, response FROM attempt WHERE delivery = $1 ORDER BY number";

    public static async Task<DeliveryPage> ListAsync(NpgsqlConnection session, string uid, DeliveryQuery query, CancellationToken cancellation)
    {
        if (query.State is null or DeliveryState.Pending)
            await Accepted.SpreadAsync(session, Accepted.OfSubscriptionSql, cancellation, Text(uid), Number(query.Before?.Value ?? long.MaxValue));
        await using var command = new NpgsqlCommand(
            query.State switch
            {
                null => AllSql,
                DeliveryState.Pending => PendingSql,
                DeliveryState.Delivered => DeliveredSql,
                _ => FailedSql,
            },
            session)
        {
            Parameters =
            {
                Text(uid), Number(query.Before?.Value ?? long.MaxValue), Number(StoreUpkeep.FirstIdSince(query.Since)), Number(query.Limit + 1),
            },
        };
        if (query.State is DeliveryState.Delivered)
            command.Parameters.Add(Number(PageVisits));
        else if (query.State is { } state and not DeliveryState.Pending)
            command.Parameters.Add(new NpgsqlParameter<short> { TypedValue = (short)state });

        var items = ImmutableArray.CreateBuilder<DeliverySummary>();
        DeliveryId? looked = null;
        await using var rows = await command.ExecuteReaderAsync(cancellation);
        while (await rows.ReadAsync(cancellation))
        {
            // A short page; the next one goes on behind what this one has looked at.
            if (query.State is DeliveryState.Delivered && rows.GetInt64(11) == PageVisits)
                looked = new DeliveryId(rows.GetInt64(12));
            if (!rows.IsDBNull(0))
                items.Add(ReadSummary(rows));
        }
        if (items.Count <= query.Limit)
            return new DeliveryPage(items.DrainToImmutable(), looked);
        items.Count = query.Limit;
        looked = items[^1].Id;
        return new DeliveryPage(items.DrainToImmutable(), looked);
    }

    public static async Task<DeliveryDetail?> GetAsync(NpgsqlConnection session, string @namespace, DeliveryId id, CancellationToken cancellation)
    {
        await Accepted.SpreadAsync(session, Accepted.DeliveriesSql, cancellation, Numbers([id.Value]));
        await using var batch = new NpgsqlBatch(session)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(DetailSql) { Parameters = { Number(id.Value), Text(@namespace) } },
                new NpgsqlBatchCommand(AttemptsSql) { Parameters = { Number(id.Value) } },
            },
        };
        await using var rows = await batch.ExecuteReaderAsync(cancellation);
        if (!await rows.ReadAsync(cancellation))
            return null;
        var summary = ReadSummary(rows);
        var (uid, subscription) = (rows.GetString(17), new NamespacedName(rows.GetString(11), rows.GetString(12)));
        var last = rows.IsDBNull(13) ? null : new AttemptRecord
        {
            Number = summary.Attempts,
            Time = Microseconds.ToTime(rows.GetInt64(13)),
            Duration = Microseconds.ToSpan(rows.GetInt64(14)),
            StatusCode = summary.LastStatusCode,
            Error = summary.LastError,
            Message = NullableText(rows, 15),
            Response = rows.IsDBNull(16) ? default : rows.GetFieldValue<byte[]>(16),
        };
        await rows.NextResultAsync(cancellation);
        var attempts = ImmutableArray.CreateBuilder<AttemptRecord>();
        while (await rows.ReadAsync(cancellation))
        {
            attempts.Add(new AttemptRecord
            {
                Number = rows.GetInt32(0),
                Time = Microseconds.ToTime(rows.GetInt64(1)),
                Duration = Microseconds.ToSpan(rows.GetInt64(2)),
                StatusCode = rows.IsDBNull(3) ? null : rows.GetInt16(3),
                Error = (ErrorClass)rows.GetInt16(4),
                Message = NullableText(rows, 5),
                Response = rows.IsDBNull(6) ? default : rows.GetFieldValue<byte[]>(6),
            });
        }
        if (last is not null)
            attempts.Add(last);
        return new DeliveryDetail(summary, uid, subscription, attempts.DrainToImmutable());
    }

    private static DeliverySummary ReadSummary(NpgsqlDataReader row) => new()
    {
        Id = new DeliveryId(row.GetInt64(0)),
        EventId = new EventId(row.GetInt64(1)),
        AcceptedTime = TimeOrderedId.TimeOf(row.GetInt64(1)),
        EventType = row.GetString(2),
        EventSource = row.GetString(3),
        CloudEventId = row.GetString(4),
        State = (DeliveryState)row.GetInt16(5),
        Attempts = row.GetInt32(6),
        DueTime = NullableTime(row, 7),
        EndedTime = NullableTime(row, 8),
        LastStatusCode = row.IsDBNull(9) ? null : row.GetInt16(9),
        LastError = (ErrorClass)row.GetInt16(10),
    };
}
