using System.Collections.Immutable;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// What the engine knows of a WebhookSubscription: an immutable snapshot of one generation. It is routed as
/// long as it exists, also while it can't be sent to, so that no event is lost to a missing Secret.
/// </summary>
internal sealed record Subscription
{
    /// <summary>Names this subscription for its whole life; a namesake created later has another.</summary>
    public required string Uid { get; init; }

    public required NamespacedName Name { get; init; }

    /// <summary>Counts changes of the spec. A new generation enables a disabled subscription again.</summary>
    public required long Generation { get; init; }

    public required Filter Filter { get; init; }

    /// <summary>Where to send; null while it can't be resolved, and then deliveries are held.</summary>
    public Endpoint? Endpoint { get; init; }

    /// <summary>Deliveries are held until it is false again.</summary>
    public bool Suspended { get; init; }

    public required DeliveryPolicy Delivery { get; init; }
}

/// <summary>The receiver, and what a request to it looks like.</summary>
internal sealed record Endpoint
{
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(15);

    public required Uri Url { get; init; }

    /// <summary>A Service of the same namespace: may have a private address, and is exempt from https-only.</summary>
    public bool IsClusterService { get; init; }

    /// <summary>The subscription's own headers, credentials resolved. Never one that the engine sets itself.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Headers { get; init; } = [];

    /// <summary>Each request carries a token that is had with it; null to send none.</summary>
    public OAuth2Client? OAuth2 { get; init; }

    /// <summary>Null for TLS with what the system trusts, without a client certificate.</summary>
    public TlsSettings? Tls { get; init; }

    /// <summary>Each signs; empty means unsigned. The newest key comes first.</summary>
    public ImmutableArray<SigningKey> SigningKeys { get; init; } = [];

    public PayloadFormat Format { get; init; } = PayloadFormat.CloudEvents;

    /// <summary>For the whole attempt: connect, TLS, send, and reading the answer. 1 s to 60 s.</summary>
    public TimeSpan Timeout { get; init; } = DefaultTimeout;
}

/// <summary>What the receiver gets as body.</summary>
internal enum PayloadFormat
{
    /// <summary>The CloudEvent as one JSON object (structured mode).</summary>
    CloudEvents,

    /// <summary>The data as body and the attributes as <c>ce-*</c> headers (binary mode).</summary>
    CloudEventsBinary,

    /// <summary>An object of <c>type</c>, <c>timestamp</c> and <c>data</c>, as Standard Webhooks 1.0.0 recommends.</summary>
    StandardWebhooks,

    /// <summary>The data alone, with its own content type.</summary>
    Data,
}

/// <summary>How deliveries to one subscription are paced, retried and given up.</summary>
internal sealed record DeliveryPolicy
{
    public RetryPolicy Retry { get; init; } = new();

    public CircuitBreakerPolicy CircuitBreaker { get; init; } = new();

    /// <summary>Null means unlimited.</summary>
    public RateLimitPolicy? RateLimit { get; init; }

    /// <summary>Requests under way at once; 1 to 1,000.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>Failing without one success for so long disables the subscription.</summary>
    public TimeSpan DisableAfter { get; init; } = TimeSpan.FromHours(120);
}

internal sealed record RetryPolicy
{
    /// <summary>The wait before each retry; attempts in all are one more than entries. Standard Webhooks' own by default.</summary>
    public ImmutableArray<TimeSpan> Schedule { get; init; } =
    [
        TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30), TimeSpan.FromHours(2),
        TimeSpan.FromHours(5), TimeSpan.FromHours(10), TimeSpan.FromHours(14), TimeSpan.FromHours(20),
        TimeSpan.FromHours(24),
    ];

    /// <summary>No attempt starts on a delivery older than this; it is dead.</summary>
    public TimeSpan MaxAge { get; init; } = TimeSpan.FromHours(96);

    /// <summary>Each wait is stretched or shortened at random by up to this much; 0 to 100.</summary>
    public int JitterPercent { get; init; } = 20;
}

internal sealed record CircuitBreakerPolicy
{
    /// <summary>1 to 100.</summary>
    public int FailureRatioPercent { get; init; } = 50;

    /// <summary>Attempts within the window before the ratio counts; at least 2.</summary>
    public int MinimumThroughput { get; init; } = 10;

    public TimeSpan SamplingWindow { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The first break; it doubles with each failed probe.</summary>
    public TimeSpan BreakDuration { get; init; } = TimeSpan.FromSeconds(15);

    public TimeSpan MaxBreakDuration { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>A token bucket: <paramref name="Requests"/> every <paramref name="Per"/>, up to <paramref name="Burst"/> at once.</summary>
internal sealed record RateLimitPolicy(int Requests, TimeSpan Per, int Burst);
