using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Delivery;

/// <summary>Paces one subscription. Not thread-safe: its lane calls it under its lock.</summary>
internal sealed class TokenBucket
{
    private readonly double _perTick;
    private readonly double _burst;
    private double _tokens;
    private DateTimeOffset _filled;

    /// <param name="policy">How fast it fills, and up to where.</param>
    /// <param name="now">From when on it fills.</param>
    /// <param name="full">
    /// Begins with the whole burst; else with one token, since another process may have used up the burst a moment ago.
    /// Not with none: a process that ends more often than a token comes would never send.
    /// </param>
    public TokenBucket(RateLimitPolicy policy, DateTimeOffset now, bool full)
    {
        _perTick = policy.Requests / (double)policy.Per.Ticks;
        _burst = Math.Max(1, policy.Burst);
        _tokens = full ? _burst : 1;
        _filled = now;
    }

    /// <summary>Takes a token, or tells how long it takes until there is one.</summary>
    public bool TryTake(DateTimeOffset now, out TimeSpan wait)
    {
        if (now > _filled)
        {
            _tokens = Math.Min(_burst, _tokens + (now - _filled).Ticks * _perTick);
            _filled = now;
        }
        if (_tokens >= 1)
        {
            _tokens -= 1;
            wait = TimeSpan.Zero;
            return true;
        }
        wait = TimeSpan.FromTicks((long)Math.Ceiling((1 - _tokens) / _perTick));
        return false;
    }

    /// <summary>Gives back a token whose request was not made.</summary>
    public void Return() => _tokens = Math.Min(_burst, _tokens + 1);
}
