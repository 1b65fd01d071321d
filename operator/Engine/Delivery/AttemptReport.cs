using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Delivery;

/// <summary>What an observer is told of each attempt once its outcome is durable.</summary>
/// <param name="Subscription">Whose delivery.</param>
/// <param name="Delivery">The delivery as it was before the attempt.</param>
/// <param name="Attempt">The attempt; null where the delivery ended without one.</param>
/// <param name="State">The delivery's state after it.</param>
/// <param name="DueTime">When it is tried again, if it is still pending.</param>
internal sealed record AttemptReport(
    Subscription Subscription, PendingDelivery Delivery, AttemptRecord? Attempt, DeliveryState State, DateTimeOffset? DueTime);
