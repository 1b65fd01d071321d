using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Cluster;
using WebhookOperator.Engine.Ingest;
using WebhookOperator.Kube;
using WebhookOperator.Local;
using WebhookOperator.Reconcile;
using WebhookOperator.Status;

namespace WebhookOperator;

/// <summary>Where resources come from, and all that depends on it: a folder of manifests, or the Kubernetes API.</summary>
/// <param name="Source">The resources.</param>
/// <param name="Authorize">Who may call the HTTP API.</param>
/// <param name="Leads">Whether this process may write what only one may.</param>
/// <param name="Tell">Where it is told what happened to a resource.</param>
/// <param name="Pace">How often delivery status is written.</param>
/// <param name="Fault">Why resources can't be read; null if they can.</param>
/// <param name="RunAsync">Reads and watches; calls the action at each start of leadership.</param>
/// <param name="CloseAsync">After everything that writes has stopped.</param>
internal sealed record ResourceSide(
    IResourceSource Source, Authorize Authorize, Func<bool> Leads, Action<ResourceEvent> Tell, StatusPace Pace, Func<string?> Fault,
    Func<Action, CancellationToken, Task> RunAsync, Func<Task> CloseAsync)
{
    public static ResourceSide OpenFolder(Settings settings, TimeProvider time, ILoggerFactory loggers)
    {
        var state = LocalState.Open(settings.StatePath);
        var source = new ManifestFolder(settings.Manifests!, state, time, loggers.CreateLogger<ManifestFolder>());
        string[] tokens = settings.ApiTokenFile is null ? []
            : [.. File.ReadLines(settings.ApiTokenFile).Select(line => line.Trim()).Where(line => line.Length > 0)];
        return new ResourceSide(
            source, new LocalCaller(tokens, settings.Listen.Host).AuthorizeAsync, Leads: () => true, Tell: _ => { }, StatusPace.Local, Fault: () => null,
            RunAsync: (_, cancellation) => source.RunAsync(cancellation),
            CloseAsync: () =>
            {
                state.Dispose();
                return Task.CompletedTask;
            });
    }

    /// <param name="settings">Which namespaces, and the Lease.</param>
    /// <param name="dependencies">Which Secrets are named.</param>
    /// <param name="time">For all waits.</param>
    /// <param name="random">0 to 1.</param>
    /// <param name="loggers">Where faults are told.</param>
    public static ResourceSide OpenCluster(
        Settings settings, DependencyIndex dependencies, TimeProvider time, Func<double> random, ILoggerFactory loggers)
    {
        var connection = KubeConnection.Open(null);
        var client = connection.Client;
        // A restarted container is another process, though its pod has the same name.
        var identity = $"{Environment.MachineName}_{Guid.NewGuid():N}";
        var lease = new LeaderLease(
            client, settings.LeaseNamespace ?? connection.Namespace, settings.LeaseName, identity, time, random, loggers.CreateLogger<LeaderLease>());
        var events = new EventRecorder(client, "webhook-operator", identity, time, loggers.CreateLogger<EventRecorder>());
        var source = new ClusterSource(
            client, new NamespaceScope(settings.Namespaces), key => !dependencies.DependentsOf(key).IsEmpty, () => lease.IsLeader, time, random, loggers);
        var callers = new CallerReview(new ApiCalls(client, time), CallerReview.Lifetime, loggers.CreateLogger<CallerReview>());
        var stopEvents = new CancellationTokenSource();
        var eventLoop = events.RunAsync(stopEvents.Token);
        return new ResourceSide(
            source, callers.AuthorizeAsync, () => lease.IsLeader, Record, StatusPace.Cluster, () => source.Fault, RunAsync, CloseAsync);

        void Record(ResourceEvent happened)
        {
            var regarding = happened.Regarding;
            var reference = new V1ObjectReference
            {
                ApiVersion = regarding.ApiVersion,
                Kind = regarding.Kind,
                Name = regarding.Metadata.Name,
                NamespaceProperty = regarding.Metadata.NamespaceProperty,
                Uid = regarding.Metadata.Uid,
            };
            events.Record(reference, happened.Warning ? "Warning" : "Normal", happened.Reason, happened.Action, happened.Message);
        }

        async Task RunAsync(Action lead, CancellationToken cancellation)
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task[] runs = [source.RunAsync(stop.Token), lease.RunAsync(stop.Token), LeadAsync(stop.Token)];
            await Task.WhenAny(runs);
            await stop.CancelAsync();
            await Task.WhenAll(runs);

            async Task LeadAsync(CancellationToken token)
            {
                while (true)
                {
                    var term = await lease.AcquiredAsync(token);
                    lead();
                    var over = new TaskCompletionSource();
                    await using var registration = term.Register(over.SetResult);
                    await over.Task.WaitAsync(token);
                }
            }
        }

        async Task CloseAsync()
        {
            await lease.ReleaseAsync(CancellationToken.None);
            await stopEvents.CancelAsync();
            await eventLoop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            stopEvents.Dispose();
            lease.Dispose();
            callers.Dispose();
            connection.Dispose();
        }
    }
}
