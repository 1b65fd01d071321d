using SQLitePCL;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>The changes, as statements on the one connection that writes. Only for the writer's thread.</summary>
internal sealed class StoreWriter : IDisposable
{
    public const int BusyMilliseconds = 5000;

    private const int CacheKiB = 16 * 1024;
    private const int ShrinkPages = 1024;
    private const int WorthShrinkingPages = 4096;

    private readonly Connection _connection;
    private readonly Statement _insertEvent;
    private readonly Statement _findDuplicate;
    private readonly Statement _insertDelivery;
    private readonly Statement _keepSubscription;
    private readonly Statement _settle;
    private readonly Statement _deliver;
    private readonly Statement _insertAttempt;
    private readonly Statement _saveState;
    private readonly Statement _findForRedelivery;
    private readonly Statement _makeDue;
    private readonly Statement _keepDelivering;
    private readonly Statement _startOver;
    private readonly Statement _endPending;
    private readonly Statement _findPending;
    private readonly Statement _deleteAttempts;
    private readonly Statement _countDelivering;
    private readonly Statement _deleteDeliveries;
    private readonly Statement _deleteEvent;
    private readonly Statement _deleteSubscription;
    private readonly Statement _savepoint;
    private readonly Statement _rollbackTo;
    private readonly Statement _release;
    private readonly Statement _freePages;
    private readonly Statement _allPages;
    private readonly Statement _shrink;
    private readonly Dictionary<string, long> _keys = new(StringComparer.Ordinal);
    private long _lastId;

    private StoreWriter(Connection connection)
    {
        _connection = connection;
        _insertEvent = connection.Prepare("""
            INSERT INTO event (id, deliveries, dedupe, namespace, source, ce_id, type, encoding, attributes,
                               data_start, data_length, data_base64, body)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dedupe) DO NOTHING
            """);
        _findDuplicate = connection.Prepare("SELECT id, deliveries FROM event WHERE dedupe = ?");
        _insertDelivery = connection.Prepare("""
            INSERT INTO delivery (id, event, subscription, state, version, attempts, step, started, due, last_error)
            VALUES (?1, ?2, ?3, 0, 1, 0, 0, ?4, ?4, 0)
            """);
        _keepSubscription = connection.Prepare("""
            INSERT INTO subscription (uid, namespace, name) VALUES (?, ?, ?)
            ON CONFLICT (uid) DO UPDATE SET namespace = excluded.namespace, name = excluded.name RETURNING key
            """);
        _settle = connection.Prepare("""
            UPDATE delivery SET state = ?3, version = version + 1, attempts = coalesce(?4, attempts), step = ?5, due = ?6,
                ended = ?7, last_status = iif(?4 IS NULL, last_status, ?8), last_error = coalesce(?9, last_error)
            WHERE id = ?1 AND version = ?2 AND state = 0
            """);
        // Two attempts of one number are a fault of the caller, which the null that is refused here makes known.
        _deliver = connection.Prepare("""
            UPDATE delivery SET state = 1, version = version + 1, attempts = iif(attempts < ?3, ?3, NULL), step = ?4, due = ?5, ended = ?5, last_status = ?6,
                last_error = 0, delivered_time = ?7, delivered_duration = ?8, delivered_response = ?9
            WHERE id = ?1 AND version = ?2 AND state = 0
            """);
        _insertAttempt = connection.Prepare("""
            INSERT INTO attempt (delivery, number, time, duration, status, error, message, response)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """);
        _saveState = connection.Prepare("""
            INSERT INTO subscription (uid, failing_since, disabled_reason, disabled_message, disabled_generation, disabled_time, held_until)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (uid) DO UPDATE SET failing_since = excluded.failing_since,
                disabled_reason = excluded.disabled_reason, disabled_message = excluded.disabled_message,
                disabled_generation = excluded.disabled_generation, disabled_time = excluded.disabled_time, held_until = excluded.held_until
            """);
        _findForRedelivery = connection.Prepare("""
            SELECT s.uid, d.state FROM delivery d JOIN event e ON e.id = d.event JOIN subscription s ON s.key = d.subscription
            WHERE d.id = ? AND e.namespace = ?
            """);
        // One that is due already may be under way; a new version would make its attempt count for nothing.
        _makeDue = connection.Prepare(
            "UPDATE delivery SET due = ?2, version = version + 1 WHERE id = ?1 AND state = 0 AND due > ?2");
        _keepDelivering = connection.Prepare("""
            INSERT INTO attempt (delivery, number, time, duration, status, error, response)
            SELECT id, attempts, delivered_time, delivered_duration, last_status, last_error, delivered_response
            FROM delivery WHERE id = ? AND delivered_time IS NOT NULL
            """);
        _startOver = connection.Prepare("""
            UPDATE delivery SET state = 0, version = version + 1, step = 0, started = ?2, due = ?2, ended = NULL,
                delivered_time = NULL, delivered_duration = NULL, delivered_response = NULL
            WHERE id = ?1 AND state <> 0
            """);
        _endPending = connection.Prepare("""
            UPDATE delivery SET state = ?2, version = version + 1, ended = ?3, last_error = coalesce(?4, last_error)
            WHERE id = ?1 AND state = 0 AND started < ?5
            """);
        _findPending = connection.Prepare("SELECT 1 FROM delivery WHERE id BETWEEN ? AND ? AND state = 0 LIMIT 1");
        _deleteAttempts = connection.Prepare("DELETE FROM attempt WHERE delivery BETWEEN ? AND ?");
        _countDelivering = connection.Prepare("SELECT count(delivered_time) FROM delivery WHERE id BETWEEN ? AND ?");
        _deleteDeliveries = connection.Prepare("DELETE FROM delivery WHERE id BETWEEN ? AND ?");
        _deleteEvent = connection.Prepare("DELETE FROM event WHERE id = ?");
        _deleteSubscription = connection.Prepare("""
            DELETE FROM subscription WHERE uid = ?1 AND failing_since IS NULL AND disabled_reason IS NULL
                AND NOT EXISTS (SELECT 1 FROM delivery WHERE subscription = subscription.key)
            """);
        _savepoint = connection.Prepare("SAVEPOINT operation");
        _rollbackTo = connection.Prepare("ROLLBACK TO operation");
        _release = connection.Prepare("RELEASE operation");
        _freePages = connection.Prepare("PRAGMA freelist_count");
        _allPages = connection.Prepare("PRAGMA page_count");
        _shrink = connection.Prepare($"PRAGMA incremental_vacuum({ShrinkPages})");
        _lastId = connection.Prepare("SELECT max((SELECT coalesce(max(id), 0) FROM event), (SELECT coalesce(max(id), 0) FROM delivery))")
            .ReadInt64() ?? 0;
    }

    public static StoreWriter Open(string path)
    {
        var connection = Connection.Open(path, CacheKiB, BusyMilliseconds);
        try
        {
            return new StoreWriter(connection);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    public void Begin() => _connection.BeginImmediate();

    public void Commit() => _connection.Commit();

    public void Rollback()
    {
        _connection.Rollback();
        _keys.Clear();
    }

    /// <summary>From here <see cref="RollbackToSavepoint"/> undoes, until <see cref="ReleaseSavepoint"/>.</summary>
    public void SetSavepoint() => _savepoint.Run();

    public void ReleaseSavepoint() => _release.Run();

    public void RollbackToSavepoint()
    {
        _connection.ResetStatements();
        _rollbackTo.Run();
        _keys.Clear();
    }

    /// <summary>Answers each event in order; the ids of its deliveries follow its own.</summary>
    public Enqueued[] Enqueue(PreparedEvent[] events)
    {
        var results = new Enqueued[events.Length];
        for (var i = 0; i < events.Length; i++)
            results[i] = Enqueue(events[i]);
        return results;
    }

    public bool Settle(Settlement settlement)
    {
        var attempt = settlement.Attempt;
        if (attempt is not null && settlement.State == DeliveryState.Delivered)
            return Deliver(settlement, attempt);
        var ended = settlement.State != DeliveryState.Pending;
        var due = ended ? settlement.Time : settlement.DueTime;
        // Only a delivery that was too old dies without an attempt.
        var error = attempt is null && settlement.State == DeliveryState.Dead ? ErrorClass.Expired : attempt?.Error;
        _settle.Bind(settlement.Id.Value).Bind(settlement.Version).Bind((long)settlement.State)
            .Bind((long?)attempt?.Number).Bind(settlement.Step).Bind(due.ToUnixTimeMilliseconds())
            .Bind(ended ? settlement.Time.ToUnixTimeMilliseconds() : null)
            .Bind((long?)attempt?.StatusCode).Bind((long?)error).Run();
        if (_connection.Changes == 0)
            return false;
        if (attempt is null)
            return true;

        _insertAttempt.Bind(settlement.Id.Value).Bind(attempt.Number).Bind(Microseconds.FromTime(attempt.Time))
            .Bind(Microseconds.FromSpan(attempt.Duration)).Bind((long?)attempt.StatusCode).Bind((long)attempt.Error)
            .Bind(attempt.Message);
        _insertAttempt.BindBlobOrNull(attempt.Response.Span).Run();
        return true;
    }

    public bool SaveState(string subscriptionUid, SubscriptionState state)
    {
        _saveState.Bind(subscriptionUid).Bind(state.FailingSince?.ToUnixTimeMilliseconds()).Bind(state.Disabled?.Reason)
            .Bind(state.Disabled?.Message).Bind(state.Disabled?.Generation)
            .Bind(state.Disabled?.Time.ToUnixTimeMilliseconds()).Bind(state.HeldUntil?.ToUnixTimeMilliseconds()).Run();
        return true;
    }

    public Redelivery? Redeliver(string @namespace, DeliveryId id, DateTimeOffset now)
    {
        if (!_findForRedelivery.Bind(id.Value).Bind(@namespace).Step())
            return null;
        var uid = _findForRedelivery.Text(0);
        var pending = _findForRedelivery.Int32(1) == (int)DeliveryState.Pending;
        _findForRedelivery.Reset();
        if (pending)
            _makeDue.Bind(id.Value).Bind(now.ToUnixTimeMilliseconds()).Run();
        else
            StartOver(id.Value, now);
        return new Redelivery(uid, !pending);
    }

    public int Replay(IReadOnlyList<long> deliveries, DateTimeOffset now)
    {
        var count = 0;
        foreach (var id in deliveries)
        {
            StartOver(id, now);
            count += _connection.Changes;
        }
        return count;
    }

    public int EndPending(IReadOnlyList<long> deliveries, DeliveryState state, long startedBefore, DateTimeOffset now)
    {
        var count = 0;
        var error = state == DeliveryState.Dead ? (long?)ErrorClass.Expired : null;
        foreach (var id in deliveries)
        {
            _endPending.Bind(id).Bind((long)state).Bind(now.ToUnixTimeMilliseconds()).Bind(error).Bind(startedBefore).Run();
            count += _connection.Changes;
        }
        return count;
    }

    /// <summary>Deletes what is safe to delete of the given events and the given idle subscriptions.</summary>
    /// <returns>How many events, deliveries and attempts went.</returns>
    public int Sweep(SweepChunk chunk)
    {
        var count = 0;
        foreach (var (id, first, last) in chunk.Events)
        {
            // A redelivery may have come in between.
            if (_findPending.Bind(id + 1).Bind(last).ReadInt64() is not null)
                continue;
            _deleteAttempts.Bind(first).Bind(last).Run();
            count += _connection.Changes + (int)(_countDelivering.Bind(first).Bind(last).ReadInt64() ?? 0);
            _deleteDeliveries.Bind(first).Bind(last).Run();
            count += _connection.Changes;
            if (first > id + 1)
                continue;
            _deleteEvent.Bind(id).Run();
            count += _connection.Changes;
        }
        foreach (var uid in chunk.IdleSubscriptions)
        {
            _deleteSubscription.Bind(uid).Run();
            _keys.Remove(uid);
        }
        Shrink();
        return count;
    }

    /// <summary>Writes something that changes nothing, to see whether it can.</summary>
    public bool Probe()
    {
        _connection.Execute($"PRAGMA user_version = {Schema.Version}");
        return true;
    }

    public int TakePagesWritten() => _connection.TakePagesWritten();

    /// <summary>Makes the next commit write at the log's beginning; waits so long for reads that need the log.</summary>
    public bool RestartWal(int waitMilliseconds)
    {
        _connection.SetBusyTimeout(waitMilliseconds);
        try
        {
            return _connection.Checkpoint(raw.SQLITE_CHECKPOINT_RESTART, out _);
        }
        finally
        {
            _connection.SetBusyTimeout(BusyMilliseconds);
        }
    }

    public void Dispose() => _connection.Dispose();

    /// <summary>Gives free pages back to the disk, a few at a time, where they are more than new events will soon fill.</summary>
    private void Shrink()
    {
        var free = _freePages.ReadInt64() ?? 0;
        if (free > WorthShrinkingPages && free > _allPages.ReadInt64() / 4)
            _shrink.Run();
    }

    private bool Deliver(Settlement settlement, AttemptRecord attempt)
    {
        _deliver.Bind(settlement.Id.Value).Bind(settlement.Version).Bind(attempt.Number).Bind(settlement.Step)
            .Bind(settlement.Time.ToUnixTimeMilliseconds()).Bind((long?)attempt.StatusCode)
            .Bind(Microseconds.FromTime(attempt.Time)).Bind(Microseconds.FromSpan(attempt.Duration))
            .BindBlobOrNull(attempt.Response.Span).Run();
        return _connection.Changes > 0;
    }

    private void StartOver(long id, DateTimeOffset now)
    {
        _keepDelivering.Bind(id).Run();
        _startOver.Bind(id).Bind(now.ToUnixTimeMilliseconds()).Run();
    }

    private Enqueued Enqueue(PreparedEvent prepared)
    {
        var (@namespace, @event, matches, acceptedTime) = prepared.Source;
        var accepted = acceptedTime.ToUnixTimeMilliseconds();
        var id = Math.Max(TimeOrderedId.Floor(acceptedTime), _lastId + 1);
        _insertEvent.Bind(id).Bind(matches.Count).BindBlob(prepared.Dedupe).Bind(@namespace).Bind(@event.Source)
            .Bind(@event.Id).Bind(@event.Type).Bind((long)@event.Encoding);
        if (prepared.Attributes is { } attributes)
            _insertEvent.BindText(attributes);
        else
            _insertEvent.Bind((long?)null);
        _insertEvent.Bind(prepared.DataStart).Bind(prepared.DataLength).Bind(@event.DataIsBase64 ? 1 : 0)
            .BindBlob(@event.Body.Span).Run();
        if (_connection.Changes == 0)
            return FindDuplicate(prepared);

        _lastId = id + matches.Count;
        for (var i = 0; i < matches.Count; i++)
            _insertDelivery.Bind(id + 1 + i).Bind(id).Bind(KeyOf(matches[i])).Bind(accepted).Run();
        return new Enqueued(id, matches.Count, Duplicate: false);
    }

    private Enqueued FindDuplicate(PreparedEvent prepared)
    {
        _findDuplicate.BindBlob(prepared.Dedupe).Step();
        var found = new Enqueued(_findDuplicate.Int64(0), _findDuplicate.Int32(1), Duplicate: true);
        _findDuplicate.Reset();
        return found;
    }

    private long KeyOf(Subscription subscription)
    {
        if (_keys.TryGetValue(subscription.Uid, out var key))
            return key;
        key = _keepSubscription.Bind(subscription.Uid).Bind(subscription.Name.Namespace).Bind(subscription.Name.Name)
            .ReadInt64()!.Value;
        _keys.Add(subscription.Uid, key);
        return key;
    }
}

internal readonly record struct Enqueued(long Id, int Deliveries, bool Duplicate);
