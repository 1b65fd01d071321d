using System.Globalization;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Status;

/// <summary>Puts together the status of a subscription from what the reconciler and the dispatcher know. Pure.</summary>
internal static class StatusComposer
{
    /// <summary>The part that follows from the spec.</summary>
    /// <param name="reconciled">What the reconciler found.</param>
    /// <param name="before">The last conditions, for the times of transitions.</param>
    /// <param name="now">The time of transitions.</param>
    public static WebhookSubscriptionStatus Compose(ReconciledState reconciled, IReadOnlyList<V1Condition>? before, DateTimeOffset now) => new()
    {
        ObservedGeneration = reconciled.Generation,
        Conditions = reconciled.Conditions.ToConditions(before, reconciled.Generation, now),
        Endpoint = reconciled.Endpoint,
    };

    /// <summary>The part that tells of the receiver.</summary>
    /// <param name="delivery">What the dispatcher saw.</param>
    /// <param name="generation">Of the resource.</param>
    /// <param name="before">The last conditions, for the times of transitions.</param>
    /// <param name="now">The time of transitions.</param>
    public static WebhookSubscriptionStatus Compose(
        DeliverySnapshot delivery, long generation, IReadOnlyList<V1Condition>? before, DateTimeOffset now)
    {
        ConditionDraft[] drafts = [EndpointHealthy(delivery), Disabled(delivery, generation)];
        return new WebhookSubscriptionStatus
        {
            Conditions = drafts.ToConditions(before, generation, now),
            Circuit = new CircuitStatus
            {
                State = delivery.Circuit.Position.ToString(),
                Since = Time(delivery.Circuit.Since),
                NextProbeTime = Time(delivery.Circuit.NextProbeTime),
            },
            Delivery = new DeliveryStatus
            {
                Since = Time(delivery.Since),
                Delivered = delivery.Delivered,
                FailedAttempts = delivery.FailedAttempts,
                DeadLettered = delivery.DeadLettered,
                Pending = delivery.Pending,
                OldestPendingTime = Time(delivery.OldestPendingTime),
                LastAttemptTime = Time(delivery.LastAttemptTime),
                LastSuccessTime = Time(delivery.LastSuccessTime),
                LastFailureTime = Time(delivery.LastFailureTime),
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

    public static ConditionDraft EndpointHealthy(DeliverySnapshot delivery) => delivery switch
    {
        { FailingSince: { } since } => new(ConditionTypes.EndpointHealthy, false,
            delivery.LastErrorClass == ErrorClass.None ? "Failing" : delivery.LastErrorClass.ToString(),
            string.Create(CultureInfo.InvariantCulture, $"No attempt has succeeded since {since.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}.")
            + (delivery.LastError is { } error ? $" The last: {error}" : "")),
        { LastAttemptTime: not null } => new(ConditionTypes.EndpointHealthy, true, "AttemptSucceeded", "The last attempt succeeded."),
        _ => new(ConditionTypes.EndpointHealthy, null, "NoAttempt", "No attempt has been made yet."),
    };

    public static ConditionDraft Disabled(DeliverySnapshot delivery, long generation) =>
        delivery.Disabled is { } disabled && disabled.Generation >= generation
            ? new(ConditionTypes.Disabled, true, disabled.Reason,
                $"{disabled.Message.TrimEnd('.')}. Deliveries are held; a change of the spec enables the subscription again.")
            : new(ConditionTypes.Disabled, false, "Enabled", "Deliveries are made.");

    private static DateTime? Time(DateTimeOffset? time) => time?.ToStatusTime();
}
