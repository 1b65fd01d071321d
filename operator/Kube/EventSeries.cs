using k8s.Models;

namespace WebhookOperator.Kube;

/// <summary>The object that an event is about.</summary>
internal readonly record struct EventTarget(string ApiVersion, string Kind, string Namespace, string Name, string? Uid)
{
    public EventTarget(V1ObjectReference reference)
        : this(reference.ApiVersion, reference.Kind, reference.NamespaceProperty ?? "", reference.Name, reference.Uid)
    {
    }

    public V1ObjectReference ToReference() => new()
    {
        ApiVersion = ApiVersion,
        Kind = Kind,
        NamespaceProperty = Namespace.Length == 0 ? null : Namespace,
        Name = Name,
        Uid = Uid,
    };
}

/// <summary>What makes two events the same one again.</summary>
internal readonly record struct EventKey(EventTarget Target, string Type, string Reason, string Action, string Note);

internal enum EventStep
{
    /// <summary>The first of its kind: to be written.</summary>
    Write,

    /// <summary>One more of a running series: counted.</summary>
    Count,

    /// <summary>Its object has had too many.</summary>
    Drop,
}

/// <param name="Event">What the API server calls it.</param>
/// <param name="Count">How often it has happened.</param>
/// <param name="Last">When it did the last time.</param>
internal readonly record struct RunningSeries(EventKey Key, ObjectName Event, int Count, DateTime Last);

/// <summary>
/// Decides which events are written: repeats within 10 minutes are one series; every object has 25 events at once and
/// one more every 5 minutes, as with client-go. Remembers what is recent only.
/// </summary>
internal sealed class EventSeries(TimeProvider time)
{
    private const int Burst = 25;

    /// <summary>Beyond this, what is oldest is forgotten: its next event is a new one.</summary>
    private const int MaxRemembered = 4096;

    private static readonly TimeSpan Refill = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Idle = TimeSpan.FromMinutes(10);

    private readonly Dictionary<EventKey, Entry> _running = [];
    private readonly Dictionary<EventTarget, Allowance> _allowances = [];
    private long _suffix = time.GetUtcNow().UtcTicks;

    public EventStep Observe(EventKey key)
    {
        var now = MicroTime.Now(time);
        if (_running.TryGetValue(key, out var entry) && now - entry.Last < Idle)
        {
            entry.Count++;
            entry.Last = now;
            entry.Changed = true;
            return EventStep.Count;
        }
        if (!Allow(key.Target, now))
            return EventStep.Drop;
        if (_running.Count >= MaxRemembered)
            ForgetOld(now);
        _running[key] = new Entry { Count = 1, Last = now };
        return EventStep.Write;
    }

    /// <summary>The event is there, and its repeats are counted in it.</summary>
    public void Written(EventKey key, ObjectName name)
    {
        if (_running.TryGetValue(key, out var entry))
            entry.Event = name;
    }

    /// <summary>It could not be written: its next one is the first.</summary>
    public void Forget(EventKey key) => _running.Remove(key);

    /// <summary>The series that have grown since the last call.</summary>
    public IReadOnlyList<RunningSeries> TakeChanged()
    {
        var changed = new List<RunningSeries>();
        foreach (var (key, entry) in _running)
        {
            if (!entry.Changed || entry.Event is not { } name)
                continue;
            entry.Changed = false;
            changed.Add(new RunningSeries(key, name, entry.Count, entry.Last));
        }
        ForgetOld(MicroTime.Now(time));
        return changed;
    }

    /// <summary>Makes names unique.</summary>
    public long NextSuffix() => _suffix++;

    private bool Allow(EventTarget target, DateTime now)
    {
        var allowance = _allowances.GetValueOrDefault(target, new Allowance(Burst, now));
        var left = Math.Min(Burst, allowance.Left + (now - allowance.At) / Refill);
        _allowances[target] = new Allowance(left < 1 ? left : left - 1, now);
        return left >= 1;
    }

    private void ForgetOld(DateTime now)
    {
        foreach (var (key, entry) in _running)
        {
            if (now - entry.Last >= Idle)
                _running.Remove(key);
        }
        if (_running.Count >= MaxRemembered)
        {
            foreach (var (key, _) in _running.OrderBy(entry => entry.Value.Last).Take(MaxRemembered / 4).ToArray())
                _running.Remove(key);
        }
        foreach (var (target, allowance) in _allowances)
        {
            if (allowance.Left + (now - allowance.At) / Refill >= Burst)
                _allowances.Remove(target);
        }
        if (_allowances.Count >= MaxRemembered)
        {
            foreach (var (target, _) in _allowances.OrderBy(entry => entry.Value.At).Take(MaxRemembered / 4).ToArray())
                _allowances.Remove(target);
        }
    }

    private sealed class Entry
    {
        public ObjectName? Event { get; set; }
        public int Count { get; set; }
        public DateTime Last { get; set; }
        public bool Changed { get; set; }
    }

    private readonly record struct Allowance(double Left, DateTime At);
}
