namespace WebhookOperator.Status;

/// <summary>A token bucket that may run into debt: what must be written now is, and what can wait pays for it.</summary>
internal sealed class WriteBudget(double perSecond, int burst, DateTimeOffset now)
{
    private double _tokens = burst;
    private DateTimeOffset _filled = now;

    /// <summary>True, and one less, if there is one.</summary>
    public bool TryTake(DateTimeOffset now)
    {
        Fill(now);
        if (_tokens < 1)
            return false;
        _tokens -= 1;
        return true;
    }

    /// <summary>Takes one whether there is one or not. Debt is never more than one burst, so that counters are not starved.</summary>
    public void Take(DateTimeOffset now)
    {
        Fill(now);
        _tokens = Math.Max(-burst, _tokens - 1);
    }

    private void Fill(DateTimeOffset now)
    {
        if (now <= _filled)
            return;
        _tokens = Math.Min(burst, _tokens + (now - _filled).TotalSeconds * perSecond);
        _filled = now;
    }
}
