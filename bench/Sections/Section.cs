using System.Collections.Immutable;

namespace WebhookOperator.Bench.Sections;

/// <summary>A part of the benchmark that can run by itself.</summary>
/// <param name="Name">As typed after <c>--only</c>.</param>
/// <param name="Purpose">For the person who waits.</param>
/// <param name="RunAsync">Measures. Leaves no process and no load behind.</param>
internal sealed record Section(
    string Name, string Purpose, Func<Workbench, CancellationToken, Task<IReadOnlyList<Figure>>> RunAsync)
{
    public static readonly ImmutableArray<Section> All =
    [
        new("match", "one event against 10,000 subscriptions, in process", Match.RunAsync),
        new("throughput", "publish, store, match, sign, deliver, settle; against a bare loop of POSTs", Throughput.RunAsync),
        new("latency", "publish to receive at half of that rate", Latency.RunAsync),
        new("isolation", "1,000 subscriptions, with and without sick receivers", Isolation.RunAsync),
        new("pending", "memory with a large backlog, before and after a restart", Pending.RunAsync),
        new("cluster", "5,000 subscriptions in a real API server: cold start, changes, memory", Cluster.RunAsync),
        new("soak", "a watch that is cut, and the writes of status, for some minutes", Soak.RunAsync),
        new("postgres", "PostgreSQL as the store: one replica's rate, and three that are killed, stopped and bereft of their server", OnPostgres.RunAsync),
        new("idle", "memory with 10,000 idle subscriptions", Idle.RunAsync),
    ];
}
