using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>How outcomes of deliveries are recorded, many in one statement. Each answers the ids of those that it applied to.</summary>
internal static class SettleStatements
{
    /// <summary>It was written without a claim, or under one that nobody has ended.</summary>
    public const string ClaimHolds = "(claim = 0 OR claim IN (SELECT m.id FROM member m WHERE m.id = ANY ($3)))";

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

    /// <summary>
    /// Of deliveries in rows of <c>accepted</c>, while those are there; the lock keeps each from being spread until this is
    /// committed. Deletes rows of which all have ended, too, but for those that somebody is about to spread, and so waits for
    /// no lock while it has others.
    /// </summary>
    public const string EndAcceptedSql = """
        WITH done AS (
          DELETE FROM accepted a USING (SELECT id FROM accepted WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED) AS d WHERE a.id BETWEEN d.id AND d.id
        ), held AS (
          SELECT id FROM accepted WHERE id = ANY ($2) ORDER BY id FOR KEY SHARE
        )
        INSERT INTO delivery (id, event, subscription, version, attempts, step, started, ended, size, state, time, duration, last_status,
          last_error, message, response)
        SELECT s.id, s.event, s.subscription, 2, 1, s.step, s.started, s.ended, s.size, s.state, s.time, s.duration, s.status, s.error, s.message, s.response
        FROM (SELECT unnest($3) AS row, unnest($4) AS id, unnest($5) AS event, unnest($6) AS subscription, unnest($7) AS step,
          unnest($8) AS started, unnest($9) AS ended, unnest($10) AS size, unnest($11) AS state, unnest($12) AS time, unnest($13) AS duration,
          unnest($14) AS status, unnest($15) AS error, unnest($16) AS message, unnest($17) AS response) AS s
        WHERE (s.row IN (SELECT id FROM held)) IS TRUE
        RETURNING id
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

    /// <summary>Settled already, by this very settlement: its commit had come through, and only the answer had not.</summary>
    public const string FindSettledSql = """
        SELECT s.id FROM (SELECT unnest($1) AS id, unnest($2) AS version, unnest($3) AS state, unnest($4) AS number, unnest($5) AS time,
          unnest($6) AS due) AS s
        WHERE CASE s.state
          WHEN 0 THEN (SELECT p.due FROM pending p WHERE p.id = s.id AND p.version = s.version + 1) = s.due
            AND (SELECT a.time FROM attempt a WHERE a.delivery = s.id AND a.number = s.number) = s.time
          ELSE (SELECT d.time FROM delivery d WHERE d.id = s.id AND d.version = s.version + 1 AND d.state = s.state) = s.time END
        """;

    /// <param name="ends">What has ended.</param>
    /// <param name="done">Rows of which all has ended before.</param>
    public static NpgsqlBatchCommand EndAccepted(List<AcceptedEnd> ends, long[] done)
    {
        var held = ends.Select(e => e.Row.Id).Distinct().ToArray();
        return new NpgsqlBatchCommand(EndAcceptedSql)
        {
            Parameters =
            {
                Column.Of(done, r => r), Column.Of(held, r => r), Column.Of(ends, e => e.Row.Id), Column.Of(ends, e => e.Id),
                Column.Of(ends, e => e.Settlement.Delivery.Event.Id.Value), Column.Of(ends, e => e.Subscription),
                Column.Of(ends, e => e.Settlement.Step), Column.Of(ends, e => e.Settlement.Delivery.StartedTime.ToUnixTimeMilliseconds()),
                Column.Of(ends, e => e.Settlement.Time.ToUnixTimeMilliseconds()), Column.Of(ends, e => e.Settlement.Delivery.Event.Event.Body.Length),
                Column.Of(ends, e => (short)e.Settlement.State), Column.Of(ends, e => TimeOf(e.Settlement)),
                Column.Of(ends, e => DurationOf(e.Settlement)), Column.Of(ends, e => (short?)e.Settlement.Attempt!.StatusCode),
                Column.Of(ends, e => (short)e.Settlement.Attempt!.Error), Column.Of(ends, e => e.Settlement.Attempt!.Message),
                Column.Of(ends, e => ResponseOf(e.Settlement)),
            },
        };
    }

    public static NpgsqlBatchCommand End(List<SettleOperation> ends)
    {
        var s = ends.ConvertAll(operation => operation.Settlement);
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

    public static NpgsqlBatchCommand Retry(List<SettleOperation> retries)
    {
        var s = retries.ConvertAll(operation => operation.Settlement);
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

    public static NpgsqlBatchCommand FindSettled(List<SettleOperation> settles)
    {
        var s = settles.ConvertAll(operation => operation.Settlement);
        return new NpgsqlBatchCommand(FindSettledSql)
        {
            Parameters =
            {
                Column.Of(s, s => s.Id.Value), Column.Of(s, s => (int)s.Version), Column.Of(s, s => (short)s.State),
                Column.Of(s, s => s.Attempt!.Number), Column.Of(s, s => TimeOf(s)!.Value), Column.Of(s, s => s.DueTime.ToUnixTimeMilliseconds()),
            },
        };
    }

    private static long? TimeOf(Settlement s) => s.Attempt is { } attempt ? Microseconds.FromTime(attempt.Time) : null;

    private static long? DurationOf(Settlement s) => s.Attempt is { } attempt ? Microseconds.FromSpan(attempt.Duration) : null;

    /// <summary>Only a delivery that was too old dies without an attempt.</summary>
    private static short? ErrorOf(Settlement s) =>
        s.Attempt is null && s.State == DeliveryState.Dead ? (short)ErrorClass.Expired : (short?)s.Attempt?.Error;

    private static byte[]? ResponseOf(Settlement s) => s.Attempt is { Response.IsEmpty: false } attempt ? attempt.Response.ToArray() : null;
}
