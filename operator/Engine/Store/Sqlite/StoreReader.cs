using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>The queries that the engine and people ask, on one connection. One thread at a time.</summary>
internal sealed class StoreReader : IDisposable
{
    /// <summary>Log entries looked at for one page where no index leads to the state that is asked for.</summary>
    private const int PageVisits = 10_000;

    private const int CacheKiB = 4 * 1024;
    private const int BusyMilliseconds = 5000;

    private const string SummaryColumns =
        "d.id, d.event, e.type, e.source, e.ce_id, d.state, d.attempts, d.due, d.ended, d.last_status, d.last_error";

    private readonly Connection _connection;
    private readonly Statement _key;
    private readonly Statement _pendingByDue;
    private readonly Statement _pending;
    private readonly Statement _oldestPending;
    private readonly Statement _eventOf;
    private readonly Statement _backlogs;
    private readonly Statement _log;
    private readonly Statement _logOfDelivered;
    private readonly Statement _logOfPending;
    private readonly Statement _logOfFailed;
    private readonly Statement _summary;
    private readonly Statement _detail;
    private readonly Statement _attempts;

    private StoreReader(Connection connection)
    {
        _connection = connection;
        connection.Execute("PRAGMA query_only = 1");
        Selection = new StoreSelection(connection);
        _key = connection.Prepare("SELECT key FROM subscription WHERE uid = ?");
        _pendingByDue = connection.Prepare("""
            SELECT id, due FROM delivery INDEXED BY delivery_pending WHERE subscription = ? AND state = 0 AND due >= ?
            ORDER BY due, id
            """);
        _pending = connection.Prepare("""
            SELECT d.event, d.attempts, d.step, d.started, d.version, length(e.body), e.namespace, e.source, e.ce_id, e.type,
                   e.encoding, e.attributes, e.data_start, e.data_length, e.data_base64, e.body
            FROM delivery d JOIN event e ON e.id = d.event WHERE d.id = ?
            """);
        _oldestPending = connection.Prepare(
            "SELECT min(id) FROM delivery INDEXED BY delivery_pending WHERE subscription = ? AND state = 0");
        _eventOf = connection.Prepare("SELECT event FROM delivery WHERE id = ?");
        _backlogs = connection.Prepare("""
            SELECT s.uid, s.namespace, s.name, coalesce(p.pending, 0), (SELECT event FROM delivery WHERE id = p.oldest), p.due,
                   s.failing_since, s.disabled_reason, s.disabled_message, s.disabled_generation, s.disabled_time, s.held_until
            FROM subscription s LEFT JOIN (
              SELECT subscription, count(*) AS pending, min(id) AS oldest, min(due) AS due
              FROM delivery INDEXED BY delivery_pending WHERE state = 0 GROUP BY subscription) p ON p.subscription = s.key
            WHERE p.pending > 0 OR s.failing_since IS NOT NULL OR s.disabled_reason IS NOT NULL OR s.held_until IS NOT NULL
            """);
        _log = connection.Prepare(
            "SELECT id FROM delivery INDEXED BY delivery_log WHERE subscription = ? AND id < ? AND id >= ? ORDER BY id DESC");
        _logOfDelivered = connection.Prepare("""
            SELECT id, state FROM delivery INDEXED BY delivery_log WHERE subscription = ? AND id < ? AND id >= ? ORDER BY id DESC
            """);
        _logOfPending = connection.Prepare("""
            SELECT id FROM delivery INDEXED BY delivery_pending
            WHERE subscription = ? AND id < ? AND id >= ? AND state = 0 ORDER BY id DESC LIMIT ?
            """);
        _logOfFailed = connection.Prepare("""
            SELECT id FROM delivery INDEXED BY delivery_failed
            WHERE subscription = ? AND id < ? AND id >= ? AND state >= 2 AND state = ? ORDER BY id DESC
            """);
        _summary = connection.Prepare(
            $"SELECT {SummaryColumns} FROM delivery d JOIN event e ON e.id = d.event WHERE d.id = ?");
        _detail = connection.Prepare($"""
            SELECT {SummaryColumns}, s.namespace, s.name, d.delivered_time, d.delivered_duration, d.delivered_response, s.uid
            FROM delivery d JOIN event e ON e.id = d.event JOIN subscription s ON s.key = d.subscription
            WHERE d.id = ? AND e.namespace = ?
            """);
        _attempts = connection.Prepare("""
            SELECT number, time, duration, status, error, message, response FROM attempt WHERE delivery = ? ORDER BY number
            """);
    }

    /// <summary>What upkeep looks for.</summary>
    public StoreSelection Selection { get; }

    public static StoreReader Open(string path)
    {
        var connection = Connection.Open(path, CacheKiB, BusyMilliseconds);
        try
        {
            return new StoreReader(connection);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    public void Begin() => _connection.Begin();

    public void End() => _connection.Commit();

    public long? KeyOf(string subscriptionUid) => _key.Bind(subscriptionUid).ReadInt64();

    public DueDeliveries ReadDue(string subscriptionUid, long since, long now, int limit, long byteLimit, IReadOnlySet<DeliveryId> held)
    {
        var found = ImmutableArray.CreateBuilder<PendingDelivery>();
        if (KeyOf(subscriptionUid) is not { } key)
            return new DueDeliveries([], More: false, NextDueTime: null);
        var more = false;
        DateTimeOffset? next = null;
        var bytes = 0L;
        _pendingByDue.Bind(key).Bind(since);
        while (_pendingByDue.Step())
        {
            var id = new DeliveryId(_pendingByDue.Int64(0));
            if (held.Contains(id))
                continue;
            var due = _pendingByDue.Int64(1);
            if (due > now)
            {
                next = DateTimeOffset.FromUnixTimeMilliseconds(due);
                break;
            }
            more = found.Count == limit || !TryReadPending(subscriptionUid, id, due, byteLimit, ref bytes, found);
            if (more)
                break;
        }
        _pendingByDue.Reset();
        return new DueDeliveries(found.DrainToImmutable(), more, next);
    }

    public DateTimeOffset? ReadOldestPending(string subscriptionUid)
    {
        if (KeyOf(subscriptionUid) is not { } key || _oldestPending.Bind(key).ReadInt64() is not { } oldest)
            return null;
        return TimeOrderedId.TimeOf(_eventOf.Bind(oldest).ReadInt64()!.Value);
    }

    public ImmutableArray<Backlog> ReadBacklogs()
    {
        var backlogs = ImmutableArray.CreateBuilder<Backlog>();
        while (_backlogs.Step())
        {
            var row = _backlogs;
            var disabled = row.IsNull(7)
                ? null
                : new DisabledState(row.Text(7), row.Text(8), row.Int64(9), DateTimeOffset.FromUnixTimeMilliseconds(row.Int64(10)));
            backlogs.Add(new Backlog(
                row.Text(0),
                new NamespacedName(row.NullableText(1) ?? "", row.NullableText(2) ?? ""),
                row.Int32(3),
                row.NullableInt64(4) is { } oldest ? TimeOrderedId.TimeOf(oldest) : null,
                NullableTime(row, 5),
                new SubscriptionState { FailingSince = NullableTime(row, 6), Disabled = disabled, HeldUntil = NullableTime(row, 11) }));
        }
        return backlogs.DrainToImmutable();
    }

    public DeliveryPage ListDeliveries(string subscriptionUid, DeliveryQuery query)
    {
        if (KeyOf(subscriptionUid) is not { } key)
            return new DeliveryPage([], null);
        var ids = new List<long>(query.Limit);
        var statement = query.State switch
        {
            null => _log,
            DeliveryState.Delivered => _logOfDelivered,
            DeliveryState.Pending => _logOfPending,
            _ => _logOfFailed,
        };
        statement.Bind(key).Bind(query.Before?.Value ?? long.MaxValue).Bind(StoreSelection.FirstIdSince(query.Since));
        if (query.State == DeliveryState.Pending)
            statement.Bind(query.Limit + 1);
        else if (statement == _logOfFailed)
            statement.Bind((long)query.State!.Value);

        DeliveryId? next = null;
        for (var visits = 0; statement.Step(); visits++)
        {
            if (ids.Count == query.Limit)
            {
                next = new DeliveryId(ids[^1]);
                break;
            }
            if (visits == PageVisits && statement == _logOfDelivered)
            {
                // A short page; the next one goes on behind what this one has looked at.
                next = new DeliveryId(statement.Int64(0) + 1);
                break;
            }
            if (statement != _logOfDelivered || statement.Int32(1) == (int)DeliveryState.Delivered)
                ids.Add(statement.Int64(0));
        }
        statement.Reset();

        var items = ImmutableArray.CreateBuilder<DeliverySummary>(ids.Count);
        foreach (var id in ids)
        {
            _summary.Bind(id).Step();
            items.Add(ReadSummary(_summary));
            _summary.Reset();
        }
        return new DeliveryPage(items.DrainToImmutable(), next);
    }

    public DeliveryDetail? GetDelivery(string @namespace, DeliveryId id)
    {
        if (!_detail.Bind(id.Value).Bind(@namespace).Step())
            return null;
        var summary = ReadSummary(_detail);
        var (uid, subscription) = (_detail.Text(16), new NamespacedName(_detail.Text(11), _detail.Text(12)));
        var delivering = _detail.IsNull(13) ? null : new AttemptRecord
        {
            Number = summary.Attempts,
            Time = Microseconds.ToTime(_detail.Int64(13)),
            Duration = Microseconds.ToSpan(_detail.Int64(14)),
            StatusCode = summary.LastStatusCode,
            Response = _detail.Bytes(15).ToArray(),
        };
        _detail.Reset();
        var attempts = ImmutableArray.CreateBuilder<AttemptRecord>();
        _attempts.Bind(id.Value);
        while (_attempts.Step())
        {
            attempts.Add(new AttemptRecord
            {
                Number = _attempts.Int32(0),
                Time = Microseconds.ToTime(_attempts.Int64(1)),
                Duration = Microseconds.ToSpan(_attempts.Int64(2)),
                StatusCode = _attempts.NullableInt32(3),
                Error = (ErrorClass)_attempts.Int32(4),
                Message = _attempts.NullableText(5),
                Response = _attempts.Bytes(6).ToArray(),
            });
        }
        if (delivering is not null)
            attempts.Add(delivering);
        return new DeliveryDetail(summary, uid, subscription, attempts.DrainToImmutable());
    }

    public void Dispose() => _connection.Dispose();

    private static DeliverySummary ReadSummary(Statement row)
    {
        var pending = row.Int32(5) == (int)DeliveryState.Pending;
        return new DeliverySummary
        {
            Id = new DeliveryId(row.Int64(0)),
            EventId = new EventId(row.Int64(1)),
            AcceptedTime = TimeOrderedId.TimeOf(row.Int64(1)),
            EventType = row.Text(2),
            EventSource = row.Text(3),
            CloudEventId = row.Text(4),
            State = (DeliveryState)row.Int32(5),
            Attempts = row.Int32(6),
            DueTime = pending ? NullableTime(row, 7) : null,
            EndedTime = NullableTime(row, 8),
            LastStatusCode = row.NullableInt32(9),
            LastError = (ErrorClass)row.Int32(10),
        };
    }

    private static DateTimeOffset? NullableTime(Statement row, int column) =>
        row.NullableInt64(column) is { } time ? DateTimeOffset.FromUnixTimeMilliseconds(time) : null;

    /// <summary>False where the body is too much; always true for the first.</summary>
    private bool TryReadPending(
        string subscriptionUid, DeliveryId id, long due, long byteLimit, ref long bytes,
        ImmutableArray<PendingDelivery>.Builder found)
    {
        _pending.Bind(id.Value).Step();
        bytes += _pending.Int64(5);
        var fits = found.Count == 0 || bytes <= byteLimit;
        if (fits)
        {
            found.Add(new PendingDelivery
            {
                Id = id,
                SubscriptionUid = subscriptionUid,
                Event = PreparedEvent.Read(_pending, 6, _pending.Int64(0)),
                Attempts = _pending.Int32(1),
                Step = _pending.Int32(2),
                StartedTime = DateTimeOffset.FromUnixTimeMilliseconds(_pending.Int64(3)),
                DueTime = DateTimeOffset.FromUnixTimeMilliseconds(due),
                Version = _pending.Int64(4),
            });
        }
        _pending.Reset();
        return fits;
    }
}
