using System.Collections.Immutable;
using System.Net;

namespace WebhookOperator;

/// <summary>Everything that can be set from outside, checked as a whole before anything starts.</summary>
internal sealed record Settings
{
    /// <summary>The folder of manifests of local mode; null means the Kubernetes API.</summary>
    public string? Manifests { get; init; }

    /// <summary>Only these namespaces; empty means all.</summary>
    public ImmutableArray<string> Namespaces { get; init; } = [];

    /// <summary>The SQLite file.</summary>
    public required string StorePath { get; init; }

    /// <summary>Where the HTTP API listens; port 0 takes a free one.</summary>
    public required Uri Listen { get; init; }

    /// <summary>Where metrics and probes listen; port 0 takes a free one.</summary>
    public required Uri Metrics { get; init; }

    /// <summary>How long finished deliveries, dead ones too, and the ids of events are kept.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromHours(168);

    /// <summary>Destinations that the address guard lets through although they are not public.</summary>
    public ImmutableArray<IPNetwork> AllowCidrs { get; init; } = [];

    /// <summary>Endpoints with plain http are accepted.</summary>
    public bool AllowHttp { get; init; }

    /// <summary>Local mode: callers must send a token of this file, one a line; null means loopback only.</summary>
    public string? ApiTokenFile { get; init; }

    /// <summary>Largest event in bytes.</summary>
    public int MaxEventBytes { get; init; } = 256 * 1024;

    /// <summary>Largest batch in bytes.</summary>
    public int MaxBatchBytes { get; init; } = 1024 * 1024;

    /// <summary>Pending deliveries, of all subscriptions, at which publishing answers 429.</summary>
    public long BacklogLimit { get; init; } = 10_000_000;

    /// <summary>How long attempts under way may take to finish at shutdown.</summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(25);

    public LogLevel LogLevel { get; init; } = LogLevel.Information;
}
