using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <param name="Verdict">What the attempt came to.</param>
/// <param name="Settlement">What to record; null if it was parked.</param>
internal readonly record struct AttemptOutcome(Verdict Verdict, Settlement? Settlement);

/// <summary>One attempt on one delivery: at most one HTTP request.</summary>
internal static class Attempt
{
    /// <param name="context">Sends.</param>
    /// <param name="subscription">To whom.</param>
    /// <param name="delivery">What.</param>
    /// <param name="heldUntil">It ages only from then on; null where it was not held.</param>
    /// <param name="claim">As in <see cref="Settlement.Claim"/>.</param>
    /// <param name="breaker">May refuse it.</param>
    /// <param name="cancellation">Breaks it off.</param>
    public static async Task<AttemptOutcome> RunAsync(
        LaneContext context, Subscription subscription, PendingDelivery delivery, DateTimeOffset? heldUntil, long claim, CircuitBreaker breaker,
        CancellationToken cancellation)
    {
        // 1. A delivery that has grown too old while it waited is not sent.
        var policy = subscription.Delivery.Retry;
        var start = context.Time.GetUtcNow();
        var agesFrom = heldUntil > delivery.StartedTime ? heldUntil.Value : delivery.StartedTime;
        if (start > agesFrom + policy.MaxAge)
            return Expired(delivery, claim, start);

        // 2. Send, unless the circuit has opened meanwhile.
        var stamp = context.Time.GetTimestamp();
        var result = await SendAsync(context, subscription, delivery, breaker, cancellation);
        var duration = context.Time.GetElapsedTime(stamp);

        // 3. Judge.
        var end = context.Time.GetUtcNow();
        var step = delivery.Step + 1;
        var verdict = Judge.Decide(result, policy, step, agesFrom, end, context.Random());
        if (result is null)
            return new AttemptOutcome(verdict, null);

        // 4. Say what to record.
        return new AttemptOutcome(verdict, new Settlement
        {
            Delivery = delivery,
            Claim = claim,
            State = verdict.Kind switch
            {
                VerdictKind.Delivered => DeliveryState.Delivered,
                VerdictKind.Dead => DeliveryState.Dead,
                _ => DeliveryState.Pending,
            },
            DueTime = verdict.Kind == VerdictKind.RetryAt ? verdict.RetryTime : end,
            Step = step,
            Time = end,
            Attempt = new AttemptRecord
            {
                Number = delivery.Attempts + 1,
                Time = start,
                Duration = duration,
                StatusCode = result.StatusCode,
                Error = result.Error,
                Message = result.Message,
                Response = result.Body,
            },
        });
    }

    private static AttemptOutcome Expired(PendingDelivery delivery, long claim, DateTimeOffset now) =>
        new(new Verdict(VerdictKind.Dead), new Settlement
        {
            Delivery = delivery,
            Claim = claim,
            State = DeliveryState.Dead,
            Step = delivery.Step,
            Time = now,
        });

    private static async ValueTask<SendResult?> SendAsync(
        LaneContext context, Subscription subscription, PendingDelivery delivery, CircuitBreaker breaker,
        CancellationToken cancellation)
    {
        try
        {
            return await breaker.ExecuteAsync(
                static (state, token) => new ValueTask<SendResult>(state.Send(state.subscription, state.delivery, token)),
                (context.Send, subscription, delivery), cancellation);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // A bug, but one that must not stop the lane or repeat without end: it takes its place in the schedule.
            context.Logger.AttemptFault(subscription.Name, delivery.Id, e);
            return new SendResult
            {
                Error = ErrorClass.Internal,
                Message = $"A fault within the operator ({e.GetType().Name}); its log has the details.",
            };
        }
    }
}
