namespace WebhookOperator.Kube;

/// <summary>Times for fields of type <c>MicroTime</c>, which the API server takes with six decimals only.</summary>
internal static class MicroTime
{
    /// <summary>Now, to the microsecond; never a whole second, since the client's JSON writes that without decimals.</summary>
    public static DateTime Now(TimeProvider time)
    {
        var now = time.GetUtcNow().UtcDateTime;
        return now.Ticks % TimeSpan.TicksPerSecond < TimeSpan.TicksPerMicrosecond ? now.AddMicroseconds(1) : now;
    }
}
