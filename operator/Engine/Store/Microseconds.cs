namespace WebhookOperator.Engine.Store;

/// <summary>Times and durations as whole microseconds, for what is shorter than the milliseconds used elsewhere.</summary>
internal static class Microseconds
{
    public static long FromTime(DateTimeOffset time) =>
        (time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;

    public static DateTimeOffset ToTime(long value) =>
        DateTimeOffset.UnixEpoch.AddTicks(value * TimeSpan.TicksPerMicrosecond);

    public static long FromSpan(TimeSpan span) => span.Ticks / TimeSpan.TicksPerMicrosecond;

    public static TimeSpan ToSpan(long value) => TimeSpan.FromTicks(value * TimeSpan.TicksPerMicrosecond);
}
