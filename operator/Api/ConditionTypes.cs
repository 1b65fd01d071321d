namespace WebhookOperator.Api;

/// <summary>The types of the conditions in status. Those that kstatus knows are named as kstatus names them.</summary>
internal static class ConditionTypes
{
    /// <summary>The spec is accepted and served. A dead receiver does not make it false.</summary>
    public const string Ready = "Ready";

    /// <summary>True while a change of the spec is being taken over; absent otherwise.</summary>
    public const string Reconciling = "Reconciling";

    /// <summary>True while the spec cannot work as it is; absent otherwise.</summary>
    public const string Stalled = "Stalled";

    /// <summary>Every Secret that the spec names is there and usable.</summary>
    public const string SecretResolved = "SecretResolved";

    /// <summary>The receiver takes events.</summary>
    public const string EndpointHealthy = "EndpointHealthy";

    /// <summary>Deliveries are held by <c>spec.suspend</c>.</summary>
    public const string Suspended = "Suspended";

    /// <summary>Deliveries ended: the receiver said 410 Gone, or failed for too long.</summary>
    public const string Disabled = "Disabled";

    /// <summary>Two keys of a WebhookSecret sign, until the overlap ends.</summary>
    public const string Rotating = "Rotating";
}
