namespace WebhookOperator.Engine.Delivery;

/// <summary>Calls each lane again at the earliest time it asked for. One timer serves all lanes.</summary>
internal sealed class WakeQueue : IDisposable
{
    private readonly Lock _gate = new();
    private readonly PriorityQueue<Lane, DateTimeOffset> _queue = new();
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private DateTimeOffset _armed = DateTimeOffset.MaxValue;
    private bool _disposed;

    public WakeQueue(TimeProvider time)
    {
        _time = time;
        _timer = time.CreateTimer(static state => ((WakeQueue)state!).Fire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>May be called with the lane's lock held. Waking early or twice does no harm.</summary>
    public void Add(Lane lane, DateTimeOffset at)
    {
        lock (_gate)
        {
            _queue.Enqueue(lane, at);
            if (at < _armed)
                Arm(at);
        }
    }

    public void Dispose()
    {
        lock (_gate)
            _disposed = true;
        _timer.Dispose();
    }

    private void Fire()
    {
        var due = new List<Lane>();
        lock (_gate)
        {
            if (_disposed)
                return;
            var now = _time.GetUtcNow();
            while (_queue.TryPeek(out var lane, out var at) && at <= now)
            {
                _queue.Dequeue();
                due.Add(lane);
            }
            Arm(_queue.TryPeek(out _, out var next) ? next : DateTimeOffset.MaxValue);
        }
        foreach (var lane in due)
            lane.Wake();
    }

    private void Arm(DateTimeOffset at)
    {
        _armed = at;
        if (_disposed)
            return;
        if (at == DateTimeOffset.MaxValue)
        {
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            return;
        }
        // Timers take at most 49 days, and may fire a little early by the wall clock.
        var wait = at - _time.GetUtcNow() + TimeSpan.FromMilliseconds(1);
        wait = wait < TimeSpan.Zero ? TimeSpan.Zero : wait > TimeSpan.FromDays(1) ? TimeSpan.FromDays(1) : wait;
        _timer.Change(wait, Timeout.InfiniteTimeSpan);
    }
}
