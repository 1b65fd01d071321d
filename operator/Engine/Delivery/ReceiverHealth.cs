using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// What a lane has seen of its receiver since the process started, and the little of it that outlives the
/// process. Not thread-safe: the lane calls it under its lock.
/// </summary>
internal sealed class ReceiverHealth(SubscriptionState saved, DateTimeOffset since)
{
    private readonly DeliveryCounters? _handedOver = saved.Counters;
    private RollingHour? _hour;

    /// <summary>What must be saved whenever <see cref="Record"/>, <see cref="Enable"/> or <see cref="Hold"/> says that it changed.</summary>
    public SubscriptionState State { get; private set; } = saved with { Circuit = null, Counters = null };

    public DateTimeOffset Since { get; } = saved.Counters?.Since ?? since;
    public long Delivered { get; private set; } = saved.Counters?.Delivered ?? 0;
    public long FailedAttempts { get; private set; } = saved.Counters?.FailedAttempts ?? 0;
    public long DeadLettered { get; private set; } = saved.Counters?.DeadLettered ?? 0;

    public DeliveryCounters Counters => new(Since, Delivered, FailedAttempts, DeadLettered);

    /// <summary>There is something to tell who goes on.</summary>
    public bool HasSeen => Counters with { Since = default } != (_handedOver ?? new DeliveryCounters(default, 0, 0, 0)) with { Since = default };
    public DateTimeOffset? LastSuccessTime { get; private set; }

    /// <summary>The last attempt, and the event that it was for.</summary>
    public (AttemptRecord Attempt, EventId Event)? Last { get; private set; }

    public (AttemptRecord Attempt, DateTimeOffset Time)? LastFailure { get; private set; }

    /// <summary>Takes in the end of one attempt, or of a delivery without one. True if <see cref="State"/> changed.</summary>
    public bool Record(Subscription subscription, PendingDelivery delivery, in AttemptOutcome outcome)
    {
        var settlement = outcome.Settlement!;
        var now = settlement.Time;
        if (settlement.State == DeliveryState.Dead)
            DeadLettered++;
        if (settlement.Attempt is not { } attempt)
            return false;
        Last = (attempt, delivery.Event.Id);
        _hour ??= new RollingHour();
        if (outcome.Verdict.Kind == VerdictKind.Delivered)
        {
            Delivered++;
            LastSuccessTime = now;
            _hour.AddSuccess(now, now - delivery.Event.AcceptedTime);
            return State.FailingSince is not null && Change(State with { FailingSince = null });
        }
        FailedAttempts++;
        LastFailure = (attempt, now);
        _hour.AddFailure(now);
        var failingSince = State.FailingSince ?? now;
        var disabled = State.Disabled;
        if (outcome.Verdict.Kind == VerdictKind.Gone)
            disabled = new DisabledState("Gone", "The receiver answered 410 Gone. Any change of the spec enables the subscription again.",
                subscription.Generation, now);
        else if (now - failingSince >= subscription.Delivery.DisableAfter)
            disabled ??= new DisabledState("FailingTooLong",
                $"No attempt has succeeded since {failingSince:yyyy-MM-ddTHH:mm:ssZ}. Any change of the spec enables the subscription again.",
                subscription.Generation, now);
        return Change(State with { FailingSince = failingSince, Disabled = disabled });
    }

    /// <summary>Notes whether what is pending may be sent from now on. True if <see cref="State"/> changed.</summary>
    /// <param name="holds">It may not.</param>
    /// <param name="now">When that was seen.</param>
    /// <param name="maxAge">What was held until longer ago has no effect any more.</param>
    public bool Hold(bool holds, DateTimeOffset now, TimeSpan maxAge)
    {
        var until = holds ? SubscriptionState.StillHeld
            : State.HeldUntil == SubscriptionState.StillHeld ? now
            : State.HeldUntil < now - maxAge ? null : State.HeldUntil;
        return until != State.HeldUntil && Change(State with { HeldUntil = until });
    }

    /// <summary>Deliveries that were ended in the store, by age.</summary>
    public void AddDeadLettered(int count) => DeadLettered += count;

    /// <summary>Forgets why it was disabled if the spec has changed since. True if <see cref="State"/> changed.</summary>
    public bool Enable(long generation) =>
        State.Disabled is { } disabled && generation > disabled.Generation && Change(State with { FailingSince = null, Disabled = null });

    public int? SuccessRatioPercent(DateTimeOffset now) => _hour?.SuccessRatioPercent(now);

    public long? LatencyMilliseconds(DateTimeOffset now, double quantile) => _hour?.LatencyMilliseconds(now, quantile);

    private bool Change(SubscriptionState state)
    {
        if (state == State)
            return false;
        State = state;
        return true;
    }
}
