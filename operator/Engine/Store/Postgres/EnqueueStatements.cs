using Npgsql;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>How events are stored with their deliveries, many in one statement.</summary>
internal static class EnqueueStatements
{
    /// <summary>
    /// Columns are unnested next to each other, in all statements of the store: for one call in FROM the server writes each of them to a
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
        ), started AS (
          SELECT d.id, d.event, CASE WHEN d.subscription IN (SELECT s.key FROM subscription s WHERE s.key = ANY ($16)) THEN d.subscription END AS subscription,
            d.due, d.size, d.row, d.member, (d.member IN (SELECT m.id FROM member m WHERE m.id = ANY ($20))) IS TRUE AS together
          FROM (SELECT unnest($14) AS id, unnest($15) AS event, unnest($16) AS subscription, unnest($17) AS due, unnest($18) AS size,
            unnest($19) AS row, unnest($20) AS member) AS d
          WHERE (d.event IN (SELECT id FROM fresh)) IS TRUE
        ), kept AS (
          INSERT INTO accepted (id, member, ids, events, subscriptions, times, sizes)
          SELECT d.row, min(d.member), array_agg(d.id), array_agg(d.event),
            CASE WHEN bool_and(d.subscription IS NOT NULL) THEN array_agg(d.subscription) END, array_agg(d.due), array_agg(d.size)
          FROM started d WHERE d.together GROUP BY d.row
        ), waiting AS (
          INSERT INTO pending (id, event, subscription, due, started, size, version, attempts, step, last_error)
          SELECT d.id, d.event, d.subscription, d.due, d.due, d.size, 1, 0, 0, 0 FROM started d WHERE NOT d.together
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
    public const string WaitForStandbysSql = "SELECT pg_logical_emit_message(true, 'webhook-operator', '')";

    public static NpgsqlBatchCommand Enqueue(List<PreparedEvent> events, SubscriptionKeys keys)
    {
        var deliveries = new List<(long Id, PreparedEvent Event, int Subscription, AcceptedRow? Row)>(events.Count);
        foreach (var @event in events)
            for (var i = 0; i < @event.Source.Matches.Count; i++)
                deliveries.Add((@event.DeliveryId(i), @event, keys[@event.Source.Matches[i].Uid], @event.Rows?[i]));
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
                Column.Of(deliveries, d => d.Row?.Id), Column.Of(deliveries, d => (int?)d.Row?.Claim),
            },
        };
    }
}
