using Prometheus;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Kube;

/// <summary>
/// Keys that want a look, each waiting at most once, now or at a time. A key that is taken is not given out again
/// until it is done; one that is added meanwhile comes back then. A failure comes back after a wait that doubles.
/// Nothing is ever dropped. For any thread.
/// </summary>
/// <remarks>The semantics of client-go's <c>workqueue</c>; KubeOps keeps its own behind its entity queue.</remarks>
internal sealed class WorkQueue<TKey> : IDisposable where TKey : notnull
{
    private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan MaxBackoff = TimeSpan.FromSeconds(1000);

    /// <summary>What a timer can wait; a later time is looked at again then.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromDays(1);

    private readonly TimeProvider _time;
    private readonly System.Threading.ITimer _timer;
    private readonly Gauge.Child _depth;
    private readonly Lock _gate = new();

    /// <summary>What wants a look: in line, or being looked at and changed since.</summary>
    private readonly HashSet<TKey> _dirty = [];
    private readonly HashSet<TKey> _processing = [];

    /// <summary>Those of <see cref="_dirty"/> that are not being processed, oldest first.</summary>
    private readonly Queue<TKey> _line = [];
    private readonly Dictionary<TKey, DateTimeOffset> _later = [];
    private readonly PriorityQueue<TKey, DateTimeOffset> _order = new();
    private readonly Dictionary<TKey, int> _failures = [];
    private readonly SemaphoreSlim _signal = new(0);
    private bool _signalled;
    private bool _disposed;

    /// <param name="name">In the metrics.</param>
    public WorkQueue(string name, TimeProvider time, Instruments instruments)
    {
        _time = time;
        _depth = instruments.WorkQueueDepth.WithLabels(name);
        _timer = time.CreateTimer(_ => Wake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How many are ready to be taken.</summary>
    public int Depth
    {
        get
        {
            lock (_gate)
                return _line.Count;
        }
    }

    public void Add(TKey key)
    {
        lock (_gate)
            MarkDirty(key);
    }

    /// <summary>The time replaces an earlier call's, and is forgotten when the key is taken before.</summary>
    public void AddAt(TKey key, DateTimeOffset due)
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

    public void AddAfterFailure(TKey key)
    {
        lock (_gate)
        {
            var failures = _failures[key] = _failures.GetValueOrDefault(key) + 1;
            var wait = Math.Min(FirstBackoff.Ticks * Math.Pow(2, failures - 1), MaxBackoff.Ticks);
            AddAt(key, _time.GetUtcNow() + TimeSpan.FromTicks((long)wait));
        }
    }

    /// <summary>The next failure of the key is its first again.</summary>
    public void Forgive(TKey key)
    {
        lock (_gate)
            _failures.Remove(key);
    }

    /// <summary>Waits for a key, and takes the one that has waited longest. <see cref="Done"/> must follow.</summary>
    public async Task<TKey> TakeAsync(CancellationToken cancellation) => (await TakeAsync(1, cancellation))[0];

    /// <summary>Waits for at least one key, and takes all that are ready. <see cref="Done"/> must follow for each.</summary>
    public async Task<IReadOnlyCollection<TKey>> TakeAllAsync(CancellationToken cancellation) =>
        await TakeAsync(int.MaxValue, cancellation);

    /// <summary>The look at a key that was taken is over, however it went.</summary>
    public void Done(TKey key)
    {
        lock (_gate)
        {
            if (_processing.Remove(key) && _dirty.Contains(key))
                Line(key);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _timer.Dispose();
            _signal.Dispose();
        }
    }

    private async Task<TKey[]> TakeAsync(int most, CancellationToken cancellation)
    {
        while (true)
        {
            await _signal.WaitAsync(cancellation);
            lock (_gate)
            {
                _signalled = false;
                if (_line.Count == 0)
                    continue;
                var keys = new TKey[Math.Min(most, _line.Count)];
                for (var i = 0; i < keys.Length; i++)
                {
                    var key = keys[i] = _line.Dequeue();
                    _dirty.Remove(key);
                    _later.Remove(key);
                    _processing.Add(key);
                }
                _depth.Set(_line.Count);
                if (_line.Count > 0)
                    Signal();
                return keys;
            }
        }
    }

    private void MarkDirty(TKey key)
    {
        if (_dirty.Add(key) && !_processing.Contains(key))
            Line(key);
    }

    private void Line(TKey key)
    {
        _line.Enqueue(key);
        _depth.Set(_line.Count);
        Signal();
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
                    MarkDirty(key);
                }
            }
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
        // Once disposed of, a signal comes from who was late, and goes to nobody.
        if (_signalled || _disposed)
            return;
        _signalled = true;
        _signal.Release();
    }
}
