using System.Collections.Immutable;
using System.Net;

namespace WebhookOperator;

/// <summary>Everything that can be set from outside, checked as a whole before anything starts.</summary>
internal sealed record Settings
{
    public const string DefaultStore = "sqlite:./webhook-operator.db";

    /// <summary>Holds the connection string; no flag, since command lines are no secret.</summary>
    public const string PostgresVariable = "WEBHOOK_OPERATOR_POSTGRES";
    public const string DefaultListen = "http://127.0.0.1:8080";
    public const string DefaultMetrics = "http://127.0.0.1:9090";
    public const string DefaultLeaseName = "webhook-operator";

    /// <summary>The folder of manifests of local mode; null means the Kubernetes API.</summary>
    public string? Manifests { get; init; }

    /// <summary>Only these namespaces; empty means all.</summary>
    public ImmutableArray<string> Namespaces { get; init; } = [];

    /// <summary>Cluster mode: where the Lease of the leader is; null means the namespace of the pod, or of the kubeconfig's context.</summary>
    public string? LeaseNamespace { get; init; }

    /// <summary>Cluster mode: the name of that Lease; replicas of one installation share it.</summary>
    public string LeaseName { get; init; } = DefaultLeaseName;

    /// <summary>The SQLite file; with <see cref="Postgres"/>, only a name for <see cref="StatePath"/>.</summary>
    public required string StorePath { get; init; }

    /// <summary>How to connect to the PostgreSQL database that is the store; null means the SQLite file.</summary>
    public ConnectionText? Postgres { get; init; }

    /// <summary>Local mode: what an API server would keep, generated keys too, in a file beside the store, or in the working directory.</summary>
    public string StatePath => StorePath + ".resources.json";

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

    public LogFormat LogFormat { get; init; } = LogFormat.Text;

    /// <summary>Reads and checks every setting; touches the file system only to see that named files are there.</summary>
    /// <param name="flags">What was given, by flag, in order; a switch without a value has the value "true".</param>
    /// <param name="environment">A variable that is empty counts as not set.</param>
    public static SettingsOrFaults Parse(
        IReadOnlyDictionary<string, IReadOnlyList<string>> flags, IReadOnlyDictionary<string, string> environment) =>
        new SettingsParser(flags, environment).Parse();
}

/// <summary>A connection string, which holds a password; its text form does not tell it.</summary>
internal sealed record ConnectionText(string Value)
{
    public override string ToString() => "(connection string)";
}

internal enum LogFormat { Text, Json }

/// <summary>Settings that are right as a whole, or else everything that is wrong with them.</summary>
/// <param name="Settings">Null if there are faults.</param>
/// <param name="Faults">Each names the flag or variable, its value, and what would be right.</param>
internal sealed record SettingsOrFaults(Settings? Settings, ImmutableArray<string> Faults);
