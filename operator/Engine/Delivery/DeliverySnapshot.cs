using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Delivery;

/// <summary>What the delivery engine knows of one subscription at one moment; the delivery half of its status.</summary>
internal sealed record DeliverySnapshot
{
    public required CircuitSnapshot Circuit { get; init; }

    /// <summary>The counters count from here.</summary>
    public required DateTimeOffset Since { get; init; }
    public long Delivered { get; init; }
    public long FailedAttempts { get; init; }
    public long DeadLettered { get; init; }
    public long Pending { get; init; }
    public DateTimeOffset? OldestPendingTime { get; init; }
    public DateTimeOffset? LastAttemptTime { get; init; }
    public DateTimeOffset? LastSuccessTime { get; init; }
    public DateTimeOffset? LastFailureTime { get; init; }

    /// <summary>Of the last attempt; null if no answer came.</summary>
    public int? LastStatusCode { get; init; }

    /// <summary>Of the last failure.</summary>
    public ErrorClass LastErrorClass { get; init; }

    /// <summary>Of the last failure: one sentence.</summary>
    public string? LastError { get; init; }
    public EventId? LastEventId { get; init; }

    /// <summary>Over the last hour; null without an attempt.</summary>
    public int? SuccessRatioPercent { get; init; }
    public long? LatencyP50Milliseconds { get; init; }
    public long? LatencyP99Milliseconds { get; init; }

    /// <summary>The first failure after the last success; null while the last attempt succeeded.</summary>
    public DateTimeOffset? FailingSince { get; init; }

    /// <summary>Set while the subscription is disabled.</summary>
    public DisabledState? Disabled { get; init; }

    public static DeliverySnapshot Of(
        ReceiverHealth health, CircuitSnapshot circuit, long pending, DateTimeOffset? oldestPending, DateTimeOffset now) => new()
        {
            Circuit = circuit,
            Since = health.Since,
            Delivered = health.Delivered,
            FailedAttempts = health.FailedAttempts,
            DeadLettered = health.DeadLettered,
            Pending = pending,
            OldestPendingTime = oldestPending,
            LastAttemptTime = health.Last?.Attempt.Time,
            LastSuccessTime = health.LastSuccessTime,
            LastFailureTime = health.LastFailure?.Time,
            LastStatusCode = health.Last?.Attempt.StatusCode,
            LastErrorClass = health.LastFailure?.Attempt.Error ?? ErrorClass.None,
            LastError = health.LastFailure?.Attempt.Message,
            LastEventId = health.Last?.Event,
            SuccessRatioPercent = health.SuccessRatioPercent(now),
            LatencyP50Milliseconds = health.LatencyMilliseconds(now, 0.5),
            LatencyP99Milliseconds = health.LatencyMilliseconds(now, 0.99),
            FailingSince = health.State.FailingSince,
            Disabled = health.State.Disabled,
        };
}
