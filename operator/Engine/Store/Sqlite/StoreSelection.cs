using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// Finds the rows that a change over many of them is about, on a connection that reads, so that the search
/// never holds up commits. The change checks each row again when it comes to it.
/// </summary>
internal sealed class StoreSelection
{
    private const int Visits = 10_000;
    private const int MaxRows = 1000;

    /// <summary>Deliveries of one event that are deleted at once; with up to ten attempts each.</summary>
    private const int SliceDeliveries = 100;

    private readonly Statement _finished;
    private readonly Statement _dead;
    private readonly Statement _typeOf;
    private readonly Statement _oldestPending;
    private readonly Statement _pending;
    private readonly Statement _events;
    private readonly Statement _anyPending;
    private readonly Statement _lastDelivery;
    private readonly Statement _countAttempts;
    private readonly Statement _idle;

    public StoreSelection(Connection connection)
    {
        _finished = connection.Prepare("""
            SELECT id, event, state FROM delivery INDEXED BY delivery_log WHERE subscription = ? AND id > ? AND id < ? ORDER BY id
            """);
        _dead = connection.Prepare("""
            SELECT id, event, state FROM delivery INDEXED BY delivery_failed
            WHERE subscription = ? AND id > ? AND id < ? AND state >= 2 AND state = 2 ORDER BY id
            """);
        _typeOf = connection.Prepare("SELECT type FROM event WHERE id = ?");
        _oldestPending = connection.Prepare(
            "SELECT min(id) FROM delivery INDEXED BY delivery_pending WHERE subscription = ? AND state = 0");
        _pending = connection.Prepare("""
            SELECT id FROM delivery INDEXED BY delivery_pending WHERE subscription = ? AND state = 0 AND id < ? AND started < ?
            """);
        _events = connection.Prepare("SELECT id, deliveries FROM event WHERE id > ? AND id < ? ORDER BY id");
        _anyPending = connection.Prepare("SELECT 1 FROM delivery WHERE id BETWEEN ? AND ? AND state = 0 LIMIT 1");
        _lastDelivery = connection.Prepare("SELECT max(id) FROM delivery WHERE id BETWEEN ? AND ?");
        _countAttempts = connection.Prepare("SELECT count(*) FROM attempt WHERE delivery BETWEEN ? AND ?");
        _idle = connection.Prepare("""
            SELECT uid FROM subscription s WHERE failing_since IS NULL AND disabled_reason IS NULL
                AND NOT EXISTS (SELECT 1 FROM delivery WHERE subscription = s.key) LIMIT ?
            """);
    }

    /// <summary>The smallest id of what was accepted at the given time or later.</summary>
    public static long FirstIdSince(DateTimeOffset? time) => time is { } since
        ? TimeOrderedId.Floor(DateTimeOffset.FromUnixTimeMilliseconds(CeilingMilliseconds(since)))
        : 0;

    /// <summary>Stored times are whole milliseconds, so before this one means before <paramref name="time"/>.</summary>
    public static long CeilingMilliseconds(DateTimeOffset time)
    {
        var floor = time.ToUnixTimeMilliseconds();
        return DateTimeOffset.FromUnixTimeMilliseconds(floor) < time ? floor + 1 : floor;
    }

    /// <summary>The next deliveries of a replay after <paramref name="cursor"/>, which moves on; at its end it is null.</summary>
    public List<long> FindForReplay(long subscription, ReplayQuery query, ref long? cursor)
    {
        var found = new List<long>();
        var after = Math.Max(cursor ?? 0, FirstIdSince(query.Since) - 1);
        var before = query.Until is { } until ? FirstIdSince(until) : long.MaxValue;
        var statement = !query.States.IsDefault && query.States is [DeliveryState.Dead] ? _dead : _finished;
        statement.Bind(subscription).Bind(after).Bind(before);
        cursor = null;
        for (var visits = 1; statement.Step(); visits++)
        {
            var id = statement.Int64(0);
            if (IsSelected(query, (DeliveryState)statement.Int32(2), statement.Int64(1)))
                found.Add(id);
            if (visits == Visits || found.Count == MaxRows)
            {
                cursor = id;
                break;
            }
        }
        statement.Reset();
        return found;
    }

    /// <summary>Pending deliveries whose schedule began before the given time, but not those held.</summary>
    public List<long> FindPending(long subscription, long startedBefore, IReadOnlySet<DeliveryId> held)
    {
        // A schedule never begins before its event was accepted, and the index knows when that was.
        var idBefore = startedBefore == long.MaxValue
            ? long.MaxValue
            : TimeOrderedId.Floor(DateTimeOffset.FromUnixTimeMilliseconds(startedBefore));
        var found = new List<long>();
        if (_oldestPending.Bind(subscription).ReadInt64() is not { } oldest || oldest >= idBefore)
            return found;
        _pending.Bind(subscription).Bind(idBefore).Bind(startedBefore);
        while (found.Count < MaxRows && _pending.Step())
        {
            var id = _pending.Int64(0);
            if (!held.Contains(new DeliveryId(id)))
                found.Add(id);
        }
        _pending.Reset();
        return found;
    }

    /// <summary>
    /// The next events after <paramref name="cursor"/>, which moves on, that are old and have nothing pending.
    /// At the end the cursor goes back to the beginning, for the next round, and idle subscriptions are added.
    /// </summary>
    public SweepChunk FindForSweep(DateTimeOffset cutoff, ref long cursor)
    {
        var events = new List<SweepEvent>();
        var rows = 0L;
        var atEnd = true;
        _events.Bind(cursor).Bind(FirstIdSince(cutoff));
        for (var visits = 0; _events.Step(); visits++)
        {
            if (rows >= MaxRows || visits == Visits)
            {
                atEnd = false;
                break;
            }
            var id = _events.Int64(0);
            var last = id + _events.Int64(1);
            if (_anyPending.Bind(id + 1).Bind(last).ReadInt64() is null)
            {
                last = _lastDelivery.Bind(id + 1).Bind(last).ReadInt64() ?? id;
                var first = Math.Max(id + 1, last + 1 - SliceDeliveries);
                events.Add(new SweepEvent(id, first, last));
                rows += 2 + last - first + (_countAttempts.Bind(first).Bind(last).ReadInt64() ?? 0);
                if (first > id + 1)
                {
                    // The rest of it comes next.
                    atEnd = false;
                    break;
                }
            }
            cursor = id;
        }
        _events.Reset();
        if (!atEnd)
            return new SweepChunk(events, [], AtEnd: false);
        cursor = 0;
        return new SweepChunk(events, FindIdle(), AtEnd: true);
    }

    private List<string> FindIdle()
    {
        var uids = new List<string>();
        _idle.Bind(MaxRows);
        while (_idle.Step())
            uids.Add(_idle.Text(0));
        return uids;
    }

    private bool IsSelected(ReplayQuery query, DeliveryState state, long eventId)
    {
        if (state == DeliveryState.Pending || (!query.States.IsDefaultOrEmpty && !query.States.Contains(state)))
            return false;
        if (query.Types.IsDefaultOrEmpty)
            return true;
        _typeOf.Bind(eventId).Step();
        var type = _typeOf.Text(0);
        _typeOf.Reset();
        foreach (var wanted in query.Types)
        {
            if (wanted.EndsWith('*') ? type.StartsWith(wanted.AsSpan(0, wanted.Length - 1), StringComparison.Ordinal) : type == wanted)
                return true;
        }
        return false;
    }
}

/// <param name="Events">To delete, as far as nothing of them has become pending again.</param>
/// <param name="IdleSubscriptions">Uids without a delivery and without a state worth keeping.</param>
/// <param name="AtEnd">Nothing older than the cutoff is left after these.</param>
internal sealed record SweepChunk(List<SweepEvent> Events, List<string> IdleSubscriptions, bool AtEnd);

/// <summary>The deliveries <paramref name="First"/> to <paramref name="Last"/>, and the event itself if that is all it has.</summary>
internal readonly record struct SweepEvent(long Id, long First, long Last);
