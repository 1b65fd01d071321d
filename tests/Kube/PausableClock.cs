using Microsoft.Extensions.Time.Testing;

namespace WebhookOperator.Tests.Kube;

/// <summary>The clock of a process that can be paused: time goes on, its timers do not fire. It may show any time of day.</summary>
/// <param name="pause">How long the loop of the process sleeps: a timer of this length tells that it does.</param>
internal sealed class PausableClock(FakeTimeProvider world, TimeSpan pause) : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<Action> _missed = [];
    private TimeSpan _ahead;
    private TimeSpan _wrong;
    private bool _paused;
    private DateTimeOffset _asleepUntil;

    /// <summary>Whether nothing happens in the process before the world's clock goes on.</summary>
    public bool Asleep
    {
        get
        {
            lock (_gate)
                return _paused || world.GetUtcNow() < _asleepUntil;
        }
    }

    public override long TimestampFrequency => world.TimestampFrequency;

    public override DateTimeOffset GetUtcNow() => world.GetUtcNow() + _ahead + _wrong;

    public override long GetTimestamp() => world.GetTimestamp() + (long)(_ahead.TotalSeconds * world.TimestampFrequency);

    /// <summary>From now on no timer fires.</summary>
    /// <param name="passes">So much time passes at once, for this process alone.</param>
    public void Pause(TimeSpan passes)
    {
        lock (_gate)
        {
            _paused = true;
            _ahead += passes;
        }
    }

    /// <summary>All timers that should have fired do.</summary>
    public void Resume()
    {
        Action[] missed;
        lock (_gate)
        {
            _paused = false;
            missed = [.. _missed];
            _missed.Clear();
        }
        foreach (var fire in missed)
            fire();
    }

    /// <summary>The time of day is set; no time passes.</summary>
    public void ShowOtherTime(TimeSpan offset) => _wrong = offset;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = world.CreateTimer(s =>
        {
            lock (_gate)
            {
                if (_paused)
                {
                    _missed.Add(() => callback(s));
                    return;
                }
            }
            callback(s);
        }, state, dueTime, period);
        if (dueTime == pause)
        {
            lock (_gate)
                _asleepUntil = world.GetUtcNow() + dueTime;
        }
        return timer;
    }
}
