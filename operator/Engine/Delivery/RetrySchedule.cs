using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Delivery;

/// <summary>When a failed delivery is tried again. Pure: time and randomness come in as arguments.</summary>
internal static class RetrySchedule
{
    /// <summary>Longest wait that a receiver can ask for with Retry-After.</summary>
    public static readonly TimeSpan MaxRetryAfter = TimeSpan.FromHours(24);

    /// <summary>The time of the next attempt, or null if the schedule or the maximum age ends before it.</summary>
    /// <param name="policy">The subscription's schedule, age limit and jitter.</param>
    /// <param name="step">Attempts made in this run of the schedule; at least 1.</param>
    /// <param name="agesFrom">When this run began, or a hold after that ended.</param>
    /// <param name="now">The end of the failed attempt.</param>
    /// <param name="retryAfter">What the receiver asked for; lengthens the wait, up to <see cref="MaxRetryAfter"/>, and never shortens it.</param>
    /// <param name="random">At least 0 and below 1.</param>
    public static DateTimeOffset? Next(
        RetryPolicy policy, int step, DateTimeOffset agesFrom, DateTimeOffset now, TimeSpan? retryAfter, double random)
    {
        if (step > policy.Schedule.Length)
            return null;
        var stretch = 1 + policy.JitterPercent / 100.0 * (2 * random - 1);
        var wait = policy.Schedule[Math.Max(1, step) - 1] * stretch;
        if (retryAfter is { } asked)
        {
            if (asked > MaxRetryAfter)
                asked = MaxRetryAfter;
            if (asked > wait)
                wait = asked;
        }
        var due = now + wait;
        return due > agesFrom + policy.MaxAge ? null : due;
    }
}
