using WebhookOperator.Api;

namespace WebhookOperator.Reconcile;

/// <summary>
/// Keys that want a look, each at most once, now or at a time. A failure comes back after a wait that doubles.
/// Adding may be done from any thread; taking is for one.
/// </summary>
internal sealed class KeyQueue : IDisposable
{
    private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan MaxBackoff = TimeSpan.FromSeconds(1000);

    /// <summary>What a timer can wait; a later time is looked at again then.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromDays(1);

    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();
    private readonly HashSet<ResourceKey> _ready = [];
    private readonly Dictionary<ResourceKey, DateTimeOffset> _later = [];
    private readonly PriorityQueue<ResourceKey, DateTimeOffset> _order = new();
    private readonly Dictionary<ResourceKey, int> _failures = [];
    private readonly SemaphoreSlim _signal = new(0);
    private bool _signalled;

    public KeyQueue(TimeProvider time)
    {
        _time = time;
        _timer = time.CreateTimer(_ => Wake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How many are ready.</summary>
    public int Depth
    {
        get
        {
            lock (_gate)
                return _ready.Count;
        }
    }

    public void Add(ResourceKey key)
    {
        lock (_gate)
        {
            _ready.Add(key);
            Signal();
        }
    }

    /// <summary>The time replaces an earlier call's, and is forgotten when the key is taken before.</summary>
    public void AddAt(ResourceKey key, DateTimeOffset due)
    {
        lock (_gate)
        {
            _later[key] = due;
            if (_order.Count > 2 * _later.Count + 100)
            {
                // Most are of times that were replaced.
                _order.Clear();
                _order.EnqueueRange(_later.Select(entry => (entry.Key, entry.Value)));
            }
            else
            {
                _order.Enqueue(key, due);
            }
            Arm();
        }
    }

    public void AddAfterFailure(ResourceKey key)
    {
        lock (_gate)
        {
            var failures = _failures[key] = _failures.GetValueOrDefault(key) + 1;
            var wait = Math.Min(FirstBackoff.Ticks * Math.Pow(2, failures - 1), MaxBackoff.Ticks);
            AddAt(key, _time.GetUtcNow() + TimeSpan.FromTicks((long)wait));
        }
    }

    /// <summary>The next failure of the key is its first again.</summary>
    public void Forgive(ResourceKey key)
    {
        lock (_gate)
            _failures.Remove(key);
    }

    /// <summary>Waits for at least one key, and takes all that are ready.</summary>
    public async Task<IReadOnlyCollection<ResourceKey>> TakeAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await _signal.WaitAsync(cancellation);
            lock (_gate)
            {
                _signalled = false;
                if (_ready.Count == 0)
                    continue;
                ResourceKey[] keys = [.. _ready];
                _ready.Clear();
                foreach (var key in keys)
                    _later.Remove(key);
                return keys;
            }
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            // A signal now would come from a timer that fires a last time, and go to nobody.
            _signalled = true;
            _timer.Dispose();
            _signal.Dispose();
        }
    }

    private void Wake()
    {
        lock (_gate)
        {
            var now = _time.GetUtcNow();
            while (_order.TryPeek(out var key, out var due) && due <= now)
            {
                _order.Dequeue();
                // Only if no later call has replaced this time, and it was not taken meanwhile.
                if (_later.TryGetValue(key, out var wanted) && wanted <= now)
                {
                    _later.Remove(key);
                    _ready.Add(key);
                }
            }
            if (_ready.Count > 0)
                Signal();
            Arm();
        }
    }

    private void Arm()
    {
        // A timer that was disposed of takes this and does nothing.
        if (!_order.TryPeek(out _, out var due))
            return;
        var wait = due - _time.GetUtcNow();
        _timer.Change(wait < TimeSpan.Zero ? TimeSpan.Zero : wait < MaxWait ? wait : MaxWait, Timeout.InfiniteTimeSpan);
    }

    private void Signal()
    {
        if (_signalled)
            return;
        _signalled = true;
        _signal.Release();
    }
}
