using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>Tells metrics, log and observer of an outcome, once it is durable.</summary>
internal sealed class OutcomeReporter(LaneContext context, SubscriptionSeries series)
{
    public void Report(Subscription subscription, PendingDelivery delivery, Settlement settlement)
    {
        if (settlement.Attempt is { } attempt)
        {
            series.AddAttempt(attempt.StatusCode);
            context.Instruments.AttemptDuration.Observe(attempt.Duration.TotalSeconds);
        }
        switch (settlement.State)
        {
            case DeliveryState.Delivered:
                ReportDelivered(subscription, delivery, settlement);
                break;
            case DeliveryState.Dead:
                series.AddDead(1);
                context.Logger.DeliveryDead(
                    subscription.Name, delivery.Id, settlement.Attempt?.Number ?? delivery.Attempts,
                    settlement.Attempt?.Message ?? "It grew older than maxAge.");
                break;
            default:
                context.Logger.AttemptFailed(
                    subscription.Name, delivery.Id, settlement.Attempt!.Number, settlement.Attempt.Duration.TotalMilliseconds,
                    settlement.Attempt.Message, settlement.DueTime);
                break;
        }
        context.OnAttempt?.Invoke(new AttemptReport(
            subscription, delivery, settlement.Attempt, settlement.State,
            settlement.State == DeliveryState.Pending ? settlement.DueTime : null));
    }

    private void ReportDelivered(Subscription subscription, PendingDelivery delivery, Settlement settlement)
    {
        var attempt = settlement.Attempt!;
        series.AddDelivered();
        context.Instruments.Latency.Observe((settlement.Time - delivery.Event.AcceptedTime).TotalSeconds);
        context.Logger.AttemptDelivered(
            subscription.Name, delivery.Id, attempt.Number, attempt.StatusCode, attempt.Duration.TotalMilliseconds);
    }
}
