using System.Collections.Immutable;
using k8s;
using k8s.Models;
using WebhookOperator.Api.Checks;

namespace WebhookOperator.Api;

/// <summary>A receiver, the events that it wants, and how they are delivered. Every field is described in the CRD.</summary>
[KubernetesEntity(Group = ApiGroup.Name, ApiVersion = ApiGroup.Version, Kind = KubeKind, PluralName = KubePlural)]
internal sealed record WebhookSubscription
    : IKubernetesObject<V1ObjectMeta>, ISpec<WebhookSubscriptionSpec>, IStatus<WebhookSubscriptionStatus?>
{
    public const string KubeKind = "WebhookSubscription";
    public const string KubePlural = "webhooksubscriptions";

    public string ApiVersion { get; set; } = ApiGroup.ApiVersion;
    public string Kind { get; set; } = KubeKind;
    public V1ObjectMeta Metadata { get; set; } = new();
    public WebhookSubscriptionSpec Spec { get; set; } = new();
    public WebhookSubscriptionStatus? Status { get; set; }

    /// <summary>Where the spec does not fit the schema, if nobody saw to it before it came here; not part of the resource.</summary>
    internal ImmutableArray<FieldFault> Misfits { get; init; } = [];
}

internal sealed record WebhookSubscriptionSpec
{
    public string? Description { get; init; }
    public bool? Suspend { get; init; }
    public EndpointSpec? Endpoint { get; init; }
    public EventsSpec? Events { get; init; }
    public SigningSpec? Signing { get; init; }
    public PayloadSpec? Payload { get; init; }
    public DeliverySpec? Delivery { get; init; }
}

internal sealed record EndpointSpec
{
    public string? Url { get; init; }
    public SecretSource? UrlFrom { get; init; }
    public ServiceReference? Service { get; init; }
    public IReadOnlyList<HeaderSpec>? Headers { get; init; }
    public AuthSpec? Auth { get; init; }
    public TlsSpec? Tls { get; init; }

    /// <summary>A duration such as <c>15s</c>.</summary>
    public string? Timeout { get; init; }
}

internal sealed record SecretSource
{
    public SecretKeyReference? SecretKeyRef { get; init; }
}

internal sealed record SecretKeyReference
{
    public string? Name { get; init; }
    public string? Key { get; init; }
}

/// <summary>A Secret of the same namespace, or another resource where the field says so.</summary>
internal sealed record LocalReference
{
    public string? Name { get; init; }
}

internal sealed record ServiceReference
{
    public string? Name { get; init; }
    public int? Port { get; init; }
    public string? Path { get; init; }
    public string? Scheme { get; init; }
}

internal sealed record HeaderSpec
{
    public string? Name { get; init; }
    public string? Value { get; init; }
    public SecretSource? ValueFrom { get; init; }
}

internal sealed record AuthSpec
{
    public BearerAuthSpec? Bearer { get; init; }
    public BasicAuthSpec? Basic { get; init; }
    public ApiKeyAuthSpec? ApiKey { get; init; }
    public OAuth2Spec? Oauth2 { get; init; }
}

internal sealed record BearerAuthSpec
{
    public SecretKeyReference? TokenSecretRef { get; init; }
}

/// <summary>Credentials from a Secret of type kubernetes.io/basic-auth: keys <c>username</c> and <c>password</c>.</summary>
internal sealed record BasicAuthSpec
{
    public LocalReference? SecretRef { get; init; }
}

internal sealed record ApiKeyAuthSpec
{
    /// <summary>The header that carries the key.</summary>
    public string? Header { get; init; }
    public SecretKeyReference? ValueSecretRef { get; init; }
}

internal sealed record OAuth2Spec
{
    public string? TokenUrl { get; init; }
    public string? ClientId { get; init; }
    public SecretKeyReference? ClientSecretRef { get; init; }
    public IReadOnlyList<string>? Scopes { get; init; }
    public string? Audience { get; init; }
}

internal sealed record TlsSpec
{
    /// <summary>PEM certificates that are trusted instead of the system's.</summary>
    public SecretKeyReference? CaSecretRef { get; init; }

    /// <summary>A Secret of type kubernetes.io/tls: keys <c>tls.crt</c> and <c>tls.key</c>.</summary>
    public LocalReference? ClientCertificateSecretRef { get; init; }
    public string? ServerName { get; init; }
}

internal sealed record EventsSpec
{
    public IReadOnlyList<string>? Types { get; init; }
    public IReadOnlyList<string>? Sources { get; init; }
    public IReadOnlyList<MatchExpressionSpec>? MatchExpressions { get; init; }
}

internal sealed record MatchExpressionSpec
{
    public string? Key { get; init; }
    public string? Operator { get; init; }
    public IReadOnlyList<string>? Values { get; init; }
}

internal sealed record SigningSpec
{
    /// <summary>A WebhookSecret of the same namespace.</summary>
    public LocalReference? SecretRef { get; init; }
}

internal sealed record PayloadSpec
{
    public string? Format { get; init; }
}

internal sealed record DeliverySpec
{
    public RetrySpec? Retry { get; init; }
    public CircuitBreakerSpec? CircuitBreaker { get; init; }
    public RateLimitSpec? RateLimit { get; init; }
    public int? Concurrency { get; init; }
    public string? DisableAfter { get; init; }
}

internal sealed record RetrySpec
{
    public IReadOnlyList<string>? Schedule { get; init; }
    public string? MaxAge { get; init; }
    public int? JitterPercent { get; init; }
}

internal sealed record CircuitBreakerSpec
{
    public int? FailureRatioPercent { get; init; }
    public int? MinimumThroughput { get; init; }
    public string? SamplingWindow { get; init; }
    public string? BreakDuration { get; init; }
    public string? MaxBreakDuration { get; init; }
}

internal sealed record RateLimitSpec
{
    public int? Requests { get; init; }
    public string? Per { get; init; }
    public int? Burst { get; init; }
}

internal sealed record WebhookSubscriptionStatus
{
    public long? ObservedGeneration { get; init; }
    public IReadOnlyList<V1Condition>? Conditions { get; init; }

    /// <summary>Where requests go, without anything that could be a credential.</summary>
    public string? Endpoint { get; init; }
    public CircuitStatus? Circuit { get; init; }
    public DeliveryStatus? Delivery { get; init; }

    /// <summary>Only the fields of one writer.</summary>
    public WebhookSubscriptionStatus PartOf(StatusWriter writer) => writer == StatusWriter.Delivery
        ? new() { Conditions = ConditionsOf(writer), Circuit = Circuit, Delivery = Delivery }
        : new() { Conditions = ConditionsOf(writer), ObservedGeneration = ObservedGeneration, Endpoint = Endpoint };

    /// <summary>With the fields of one writer replaced.</summary>
    public WebhookSubscriptionStatus With(StatusWriter writer, WebhookSubscriptionStatus part) => writer == StatusWriter.Delivery
        ? this with { Conditions = [.. ConditionsOf(StatusWriter.Controller), .. part.Conditions ?? []], Circuit = part.Circuit, Delivery = part.Delivery }
        : part with { Conditions = [.. part.Conditions ?? [], .. ConditionsOf(StatusWriter.Delivery)], Circuit = Circuit, Delivery = Delivery };

    private IReadOnlyList<V1Condition> ConditionsOf(StatusWriter writer) =>
    [
        .. (Conditions ?? []).Where(condition =>
            (condition.Type is ConditionTypes.EndpointHealthy or ConditionTypes.Disabled) == (writer == StatusWriter.Delivery)),
    ];
}

internal sealed record CircuitStatus
{
    /// <summary>Closed, Open or HalfOpen.</summary>
    public string? State { get; init; }
    public DateTime? Since { get; init; }
    public DateTime? NextProbeTime { get; init; }
}

internal sealed record DeliveryStatus
{
    public DateTime? Since { get; init; }
    public long? Delivered { get; init; }
    public long? FailedAttempts { get; init; }
    public long? DeadLettered { get; init; }
    public long? Pending { get; init; }
    public DateTime? OldestPendingTime { get; init; }
    public DateTime? LastAttemptTime { get; init; }
    public DateTime? LastSuccessTime { get; init; }
    public DateTime? LastFailureTime { get; init; }
    public int? LastStatusCode { get; init; }
    public string? LastError { get; init; }
    public string? LastEventId { get; init; }
    public int? SuccessRatioPercent { get; init; }
    public long? LatencyP50Milliseconds { get; init; }
    public long? LatencyP99Milliseconds { get; init; }
}
