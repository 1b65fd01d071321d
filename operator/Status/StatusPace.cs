namespace WebhookOperator.Status;

/// <summary>
/// How often what was seen while delivering is written to status. API servers die of a write per event, so
/// status is recent, and metrics are exact.
/// </summary>
/// <param name="Beat">How often it is looked at what changed; a transition waits no longer.</param>
/// <param name="TransitionGap">Between two writes of one object because of a transition, at least.</param>
/// <param name="CounterInterval">Between two writes of one object because of counters, on average.</param>
/// <param name="WritesPerSecond">Of all objects together. Counters wait for it; transitions are taken from it, and never wait.</param>
/// <param name="Burst">Writes that were saved up while there was little to write.</param>
internal sealed record StatusPace(
    TimeSpan Beat, TimeSpan TransitionGap, TimeSpan CounterInterval, double WritesPerSecond, int Burst)
{
    /// <summary>The interval of counters varies by this part of it, so that writes do not come in waves.</summary>
    public const double Jitter = 0.2;

    /// <summary>For an API server.</summary>
    public static StatusPace Cluster { get; } =
        new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(60), WritesPerSecond: 5, Burst: 20);

    /// <summary>For a status that is kept in memory and costs nothing.</summary>
    public static StatusPace Local { get; } =
        new(TimeSpan.FromSeconds(1), TimeSpan.Zero, TimeSpan.Zero, WritesPerSecond: double.PositiveInfinity, int.MaxValue);
}
