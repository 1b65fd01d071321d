using System.Globalization;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Status;

/// <summary>Puts together the status of a subscription from what the reconciler and the dispatcher know. Pure.</summary>
internal static class StatusComposer
{
    /// <param name="resource">With its last status, for the times of transitions.</param>
    /// <param name="reconciled">What follows from the spec.</param>
    /// <param name="delivery">Null before the dispatcher knows the subscription.</param>
    /// <param name="now">The time of transitions.</param>
    public static WebhookSubscriptionStatus Compose(
        WebhookSubscription resource, ReconciledState reconciled, DeliverySnapshot? delivery, DateTimeOffset now)
    {
        ConditionDraft[] drafts = [.. reconciled.Conditions, EndpointHealthy(delivery), Disabled(delivery, reconciled.Generation)];
        return new WebhookSubscriptionStatus
        {
            ObservedGeneration = reconciled.Generation,
            Conditions = drafts.ToConditions(resource.Status?.Conditions, reconciled.Generation, now),
            Endpoint = reconciled.Endpoint,
            Circuit = delivery is null ? null : new CircuitStatus
            {
                State = delivery.Circuit.Position.ToString(),
                Since = Utc(delivery.Circuit.Since),
                NextProbeTime = Utc(delivery.Circuit.NextProbeTime),
            },
            Delivery = delivery is null ? null : new DeliveryStatus
            {
                Since = Utc(delivery.Since),
                Delivered = delivery.Delivered,
                FailedAttempts = delivery.FailedAttempts,
                DeadLettered = delivery.DeadLettered,
                Pending = delivery.Pending,
                OldestPendingTime = Utc(delivery.OldestPendingTime),
                LastAttemptTime = Utc(delivery.LastAttemptTime),
                LastSuccessTime = Utc(delivery.LastSuccessTime),
                LastFailureTime = Utc(delivery.LastFailureTime),
                LastStatusCode = delivery.LastStatusCode,
                LastError = delivery.LastError,
                LastEventId = delivery.LastEventId?.ToString(),
                SuccessRatioPercent = delivery.SuccessRatioPercent,
                LatencyP50Milliseconds = delivery.LatencyP50Milliseconds,
                LatencyP99Milliseconds = delivery.LatencyP99Milliseconds,
            },
        };
    }

    /// <summary>
    /// The receiver without what could be a credential: no user info, no query, and of the path nothing, since
    /// many receivers put a token there.
    /// </summary>
    public static string Display(Uri url)
    {
        var server = url.GetComponents(UriComponents.SchemeAndServer, UriFormat.UriEscaped);
        return url.PathAndQuery == "/" ? server + "/" : server + "/…";
    }

    private static ConditionDraft EndpointHealthy(DeliverySnapshot? delivery) => delivery switch
    {
        { FailingSince: { } since } => new(ConditionTypes.EndpointHealthy, false,
            delivery.LastErrorClass == ErrorClass.None ? "Failing" : delivery.LastErrorClass.ToString(),
            string.Create(CultureInfo.InvariantCulture, $"No attempt has succeeded since {since.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}.")
            + (delivery.LastError is { } error ? $" The last: {error}" : "")),
        { LastAttemptTime: not null } => new(ConditionTypes.EndpointHealthy, true, "AttemptSucceeded", "The last attempt succeeded."),
        _ => new(ConditionTypes.EndpointHealthy, null, "NoAttempt", "No attempt has been made yet."),
    };

    private static ConditionDraft Disabled(DeliverySnapshot? delivery, long generation) =>
        delivery?.Disabled is { } disabled && disabled.Generation >= generation
            ? new(ConditionTypes.Disabled, true, disabled.Reason,
                $"{disabled.Message.TrimEnd('.')}. Deliveries are held; a change of the spec enables the subscription again.")
            : new(ConditionTypes.Disabled, false, "Enabled", "Deliveries are made.");

    private static DateTime? Utc(DateTimeOffset? time) => time?.UtcDateTime;
}
