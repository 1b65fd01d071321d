using System.Globalization;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;

namespace WebhookOperator.Status;

/// <summary>What of a delivery status is told at once when it changes.</summary>
/// <param name="Circuit">Closed, Open or HalfOpen; null if it was never told.</param>
/// <param name="Healthy">The status of the condition EndpointHealthy.</param>
/// <param name="Disabled">The status of the condition Disabled.</param>
internal readonly record struct DeliveryPhase(string? Circuit, string? Healthy, string? Disabled)
{
    public static DeliveryPhase Of(WebhookSubscriptionStatus? part) => new(
        part?.Circuit?.State, Condition(part, ConditionTypes.EndpointHealthy)?.Status, Condition(part, ConditionTypes.Disabled)?.Status);

    /// <summary>That of the status which would tell of it.</summary>
    public static DeliveryPhase Of(DeliverySnapshot delivery, long generation) => new(
        delivery.Circuit.Position.ToString(), StatusComposer.EndpointHealthy(delivery).StatusText, StatusComposer.Disabled(delivery, generation).StatusText);

    public static V1Condition? Condition(WebhookSubscriptionStatus? part, string type) =>
        part?.Conditions?.FirstOrDefault(condition => condition.Type == type);
}

/// <summary>The Events of one write of a delivery status. Pure.</summary>
internal static class DeliveryTransitions
{
    public static IEnumerable<ResourceEvent> Between(
        WebhookSubscription resource, WebhookSubscriptionStatus? before, WebhookSubscriptionStatus after)
    {
        var (circuitBefore, healthyBefore, disabledBefore) = DeliveryPhase.Of(before);
        var (circuit, healthy, disabled) = DeliveryPhase.Of(after);
        if (circuit == "Open" && circuitBefore is not ("Open" or "HalfOpen"))
        {
            yield return Warning("CircuitOpened", "OpenCircuit", "Deliveries are held, since too many attempts failed."
                + (after.Circuit?.NextProbeTime is { } probe
                    ? string.Create(CultureInfo.InvariantCulture, $" The next probe is at {probe:yyyy-MM-ddTHH:mm:ssZ}.") : "")
                + (after.Delivery?.LastError is { } error ? $" The last failure: {error}" : ""));
        }
        if (circuit == "Closed" && circuitBefore is "Open" or "HalfOpen")
            yield return Normal("CircuitClosed", "CloseCircuit", "The receiver answers again; deliveries go on.");
        if (healthy == "False" && healthyBefore != "False")
            yield return Warning("EndpointUnhealthy", "Deliver", Message(ConditionTypes.EndpointHealthy));
        if (healthy == "True" && healthyBefore == "False")
            yield return Normal("EndpointHealthy", "Deliver", Message(ConditionTypes.EndpointHealthy));
        if (disabled == "True" && disabledBefore != "True")
            yield return Warning("Disabled", "Disable", Message(ConditionTypes.Disabled));
        if (disabled == "False" && disabledBefore == "True")
            yield return Normal("Enabled", "Enable", Message(ConditionTypes.Disabled));

        ResourceEvent Warning(string reason, string action, string message) => new(resource, true, reason, action, message);
        ResourceEvent Normal(string reason, string action, string message) => new(resource, false, reason, action, message);
        string Message(string type) => DeliveryPhase.Condition(after, type)?.Message ?? type;
    }
}
