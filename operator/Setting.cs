using System.Collections.Immutable;

namespace WebhookOperator;

/// <summary>One thing that can be set from outside: by its flag, or else by its environment variable.</summary>
/// <param name="Flag">As typed, with its two dashes.</param>
/// <param name="Placeholder">What the help shows for the value; null for a switch.</param>
/// <param name="Description">For the help: what it does, and the failure that it prevents where that is not plain.</param>
internal sealed record Setting(string Flag, string? Placeholder, string Description)
{
    public static readonly Setting Manifests = new("--manifests", "DIR",
        "Local mode: the folder of YAML manifests (WebhookSubscription, WebhookSecret, Secret) to serve and watch. "
        + "Default: the cluster of the pod, of $KUBECONFIG or of ~/.kube/config.");

    public static readonly Setting Namespace = new("--namespace", "NS",
        "Serve this namespace only; repeatable. Default: all.")
    { Repeatable = true };

    public static readonly Setting LeaseNamespace = new("--lease-namespace", "NS",
        "Cluster mode: the namespace of the Lease by which replicas choose a leader. Default: the pod's own.");

    public static readonly Setting LeaseName = new("--lease-name", "NAME",
        "Cluster mode: the name of that Lease; installations that share a namespace need different ones. "
        + $"Default: {Settings.DefaultLeaseName}.");

    public static readonly Setting Store = new("--store", "sqlite:PATH|postgres",
        $"Where events and deliveries are kept: in a file, or in the database that {Settings.PostgresVariable} says how to connect to. "
        + $"Default: {Settings.DefaultStore}.");

    public static readonly Setting Listen = new("--listen", "URL",
        $"Where the HTTP API listens; port 0 takes a free one. Default: {Settings.DefaultListen}.");

    public static readonly Setting Metrics = new("--metrics", "URL",
        $"Where /metrics, /healthz and /readyz listen. Default: {Settings.DefaultMetrics}.");

    public static readonly Setting Retention = new("--retention", "DURATION",
        "How long finished deliveries and the ids of events are kept, from when they were accepted; at least 1m, and better longer "
        + "than the longest maxAge. Default: 168h.");

    public static readonly Setting AllowCidr = new("--allow-cidr", "CIDR",
        "Let endpoints be in this address range although it is not public; repeatable. Default: none, so that a "
        + "manifest can't make the operator call its own network.")
    { Repeatable = true };

    public static readonly Setting AllowHttp = new("--allow-http", null,
        "Accept endpoints with plain http. Default: https only, so that payloads never travel in the clear.");

    public static readonly Setting ApiTokenFile = new("--api-token-file", "FILE",
        "Callers of the HTTP API must send a token of this file, one a line, as 'Authorization: Bearer …'. Default: "
        + "no token, and then the API listens on loopback only.");

    public static readonly Setting MaxEventBytes = new("--max-event-bytes", "SIZE",
        "Largest event that is accepted, 1Ki to 64Mi. Default: 256Ki.");

    public static readonly Setting MaxBatchBytes = new("--max-batch-bytes", "SIZE",
        "Largest batch that is accepted, up to 256Mi. Default: 1Mi.");

    public static readonly Setting BacklogLimit = new("--backlog-limit", "COUNT",
        "Pending deliveries at which publishing is answered with 429, so that the disk never fills. Default: 10000000.");

    public static readonly Setting ShutdownGrace = new("--shutdown-grace", "DURATION",
        "How long attempts under way may take to finish at shutdown, 0s to 10m. Default: 25s.");

    public static readonly Setting LogLevel = new("--log-level", "LEVEL",
        "trace, debug, information, warning, error or critical. Default: information.");

    public static readonly Setting LogFormat = new("--log-format", "text|json", "How log lines are written. Default: text.");

    public static readonly ImmutableArray<Setting> All =
    [
        Manifests, Namespace, LeaseNamespace, LeaseName, Store, Listen, Metrics, Retention, AllowCidr, AllowHttp, ApiTokenFile, MaxEventBytes,
        MaxBatchBytes, BacklogLimit, ShutdownGrace, LogLevel, LogFormat,
    ];

    /// <summary>The flag may be given more than once, and the variable holds a list separated by commas.</summary>
    public bool Repeatable { get; init; }

    public bool IsSwitch => Placeholder is null;

    /// <summary>For example <c>WEBHOOK_OPERATOR_ALLOW_CIDR</c> for <c>--allow-cidr</c>.</summary>
    public string Variable => "WEBHOOK_OPERATOR_" + Flag[2..].Replace('-', '_').ToUpperInvariant();
}
