using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kube;

/// <summary>What the fake API server is believed to be like, on real ones: over TLS and HTTP/2.</summary>
public sealed class RealApiServerTests(ControlPlanes planes) : IDisposable
{
    private static readonly KubeResource ConfigMaps = new("", "v1", "configmaps", "ConfigMap");

    private static readonly KubeResource Subscriptions =
        new(ApiGroup.Name, ApiGroup.Version, WebhookSubscription.KubePlural, WebhookSubscription.KubeKind);

    private readonly CapturedLog _log = new();

    public void Dispose() => _log.Dispose();

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task A_cache_follows_all_changes_through_a_restart_of_the_API_server(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        var space = await plane.NamespaceAsync("follow");
        using var connection = KubeConnection.Open(plane.Admin.Kubeconfig);
        for (var i = 0; i < 25; i++)
            await connection.Client.CoreV1.CreateNamespacedConfigMapAsync(ConfigMap($"m{i}"), space);
        var cache = new ObjectCache<V1ConfigMap>();
        var listWatch = new ListWatch<V1ConfigMap>(
            connection.Client, ConfigMaps, cache, new() { Namespace = space, PageSize = 7 }, TimeProvider.System, () => 0.5, _log.Logger<RealApiServerTests>());
        using var stop = new CancellationTokenSource();
        var run = Task.Run(() => listWatch.RunAsync(stop.Token));
        await UntilRightAsync();
        Assert.Equal(25, cache.Count);

        await connection.Client.CoreV1.DeleteNamespacedConfigMapAsync("m3", space);
        await connection.Client.CoreV1.ReplaceNamespacedConfigMapAsync(ConfigMap("m4", "changed"), "m4", space);
        await connection.Client.CoreV1.CreateNamespacedConfigMapAsync(ConfigMap("late", new string('x', 500_000)), space);
        await UntilRightAsync();
        Assert.Null(listWatch.Fault);

        await plane.StopServerAsync();
        await Wait.UntilAsync(() => listWatch.Fault is not null, "the fault is told");
        Assert.Contains("can't be reached", listWatch.Fault);
        Assert.True(cache.TryGet(space, "m4", out _));
        await plane.StartServerAsync();
        await connection.Client.CoreV1.DeleteNamespacedConfigMapAsync("m5", space);
        await UntilRightAsync();
        await Wait.UntilAsync(() => listWatch.Fault is null, "the fault is over");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);

        async Task UntilRightAsync() => await Wait.UntilAsync(async () =>
        {
            var there = await connection.Client.CoreV1.ListNamespacedConfigMapAsync(space);
            return cache.Synced && there.Items.Select(Version).Order().SequenceEqual(cache.Items.Select(Version).Order());
        }, () => $"the cache is right: {listWatch.Fault}\n{_log}");

        static string Version(V1ConfigMap item) => $"{item.Metadata.Name} {item.Metadata.ResourceVersion}";
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Two_writers_of_a_status_own_their_fields_and_leave_a_namesake_alone(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        plane.NeedsServerSideApply();
        var space = await plane.NamespaceAsync("apply");
        using var connection = KubeConnection.Open(plane.Admin.Kubeconfig);
        var applier = new StatusApplier(connection.Client, TimeProvider.System);
        var name = new ObjectName(space, "orders");
        await plane.Admin.ApplyAsync(Manifests.Subscription("orders", @namespace: space));
        var uid = await UidAsync();

        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new WebhookSubscriptionStatus { ObservedGeneration = 1, Endpoint = "https://a.example/…" }, "controller"));
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new WebhookSubscriptionStatus { Delivery = new() { Delivered = 7 } }, "delivery"));
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new WebhookSubscriptionStatus { ObservedGeneration = 1 }, "controller"));
        var status = JsonNode.Parse(await plane.Admin.RunAsync("get", "-n", space, "whsub", "orders", "-o", "json"))!["status"]!;
        Assert.Equal(7, (int?)status["delivery"]!["delivered"]);
        Assert.Null(status["endpoint"]);

        // Not forced, a field of another is not taken.
        Assert.Equal(ApplyOutcome.Conflict, await ApplyAsync(new WebhookSubscriptionStatus { ObservedGeneration = 2 }, "intruder", force: false));

        await plane.Admin.RunAsync("delete", "-n", space, "whsub", "orders");
        Assert.Equal(ApplyOutcome.Gone, await ApplyAsync(new WebhookSubscriptionStatus { ObservedGeneration = 1 }, "controller"));
        await plane.Admin.ApplyAsync(Manifests.Subscription("orders", @namespace: space));
        Assert.Equal(ApplyOutcome.Gone, await ApplyAsync(new WebhookSubscriptionStatus { ObservedGeneration = 1, Endpoint = "https://a.example/…" }, "controller"));
        Assert.Equal("", await plane.Admin.RunAsync("get", "-n", space, "whsub", "orders", "-o", "jsonpath={.status.endpoint}"));
        uid = await UidAsync();
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new WebhookSubscriptionStatus { ObservedGeneration = 1 }, "controller"));

        Task<ApplyOutcome> ApplyAsync(WebhookSubscriptionStatus change, string manager, bool force = true) =>
            applier.ApplyStatusAsync(Subscriptions, name, uid, change, manager, force, TestContext.Current.CancellationToken);

        async Task<string> UidAsync() => await plane.Admin.RunAsync("get", "-n", space, "whsub", "orders", "-o", "jsonpath={.metadata.uid}");
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task A_lease_is_taken_renewed_and_handed_over(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        var space = await plane.NamespaceAsync("lease");
        using var connection = KubeConnection.Open(plane.Admin.Kubeconfig);
        using var stop = new CancellationTokenSource();
        using var a = NewLease("a");
        using var b = NewLease("b");
        var runs = new List<Task> { Task.Run(() => a.RunAsync(stop.Token)) };
        var term = await a.AcquiredAsync(default).WaitAsync(TimeSpan.FromSeconds(60));
        runs.Add(Task.Run(() => b.RunAsync(stop.Token)));
        await Wait.UntilAsync(() => b.Holder == "a", "b knows of a");
        var renewed = await RenewTimeAsync();
        await Wait.UntilAsync(async () => await RenewTimeAsync() != renewed, () => $"a renews: {a.Fault}");

        await a.ReleaseAsync(default);
        Assert.True(term.IsCancellationRequested);
        await b.AcquiredAsync(default).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal("b", await plane.Admin.RunAsync("get", "-n", space, "lease", "leader", "-o", "jsonpath={.spec.holderIdentity}"));
        await stop.CancelAsync();
        foreach (var run in runs)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);

        LeaderLease NewLease(string identity) =>
            new(connection.Client, space, "leader", identity, TimeProvider.System, () => 0.5, _log.Logger<LeaderLease>());

        Task<string> RenewTimeAsync() => plane.Admin.RunAsync("get", "-n", space, "lease", "leader", "-o", "jsonpath={.spec.renewTime}");
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Events_show_in_describe_and_repeats_are_counted(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        var space = await plane.NamespaceAsync("events");
        using var connection = KubeConnection.Open(plane.Admin.Kubeconfig);
        await plane.Admin.ApplyAsync(Manifests.Subscription("orders", @namespace: space));
        var regarding = new V1ObjectReference
        {
            ApiVersion = ApiGroup.ApiVersion, Kind = WebhookSubscription.KubeKind, NamespaceProperty = space, Name = "orders",
            Uid = await plane.Admin.RunAsync("get", "-n", space, "whsub", "orders", "-o", "jsonpath={.metadata.uid}"),
        };
        var recorder = new EventRecorder(connection.Client, "webhookoperator.io/controller", "pod-1", TimeProvider.System, _log.Logger<EventRecorder>());
        using var stop = new CancellationTokenSource();
        var run = Task.Run(() => recorder.RunAsync(stop.Token));
        for (var i = 0; i < 3; i++)
            recorder.Record(regarding, "Warning", "CircuitOpened", "Deliver", "The receiver fails.");
        // Stopping writes the count, which else comes within a minute.
        await Wait.UntilAsync(async () => (await plane.Admin.RunAsync("describe", "-n", space, "whsub", "orders")).Contains("The receiver fails.", StringComparison.Ordinal),
            () => $"the event shows\n{_log}");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        var written = JsonNode.Parse(await plane.Admin.RunAsync("get", "-n", space, "events.events.k8s.io", "-o", "json"))!["items"]!.AsArray();
        Assert.Equal(3, (int?)Assert.Single(written)!["series"]!["count"]);
        Assert.Empty(_log.Warnings);
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task What_is_missing_is_said_in_words(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        await plane.Admin.RunAsync("create", "serviceaccount", "nobody", "-n", "default");
        using var admin = KubeConnection.Open(plane.Admin.Kubeconfig);
        using var nobody = KubeConnection.Open((await plane.AsServiceAccountAsync("default", "nobody")).Kubeconfig);
        var missing = Follow(admin.Client, Subscriptions);
        var forbidden = Follow(nobody.Client, Subscriptions);
        await Wait.UntilAsync(() => missing.ListWatch.Fault!.Contains("(404): kubectl apply", StringComparison.Ordinal), "the missing CRD is told");
        await Wait.UntilAsync(() => forbidden.ListWatch.Fault!.Contains("(403)", StringComparison.Ordinal), "the missing right is told");
        Assert.Contains("the verb list on webhooksubscriptions.webhookoperator.io is not granted", forbidden.ListWatch.Fault);
        Assert.Contains("system:serviceaccount:default:nobody", forbidden.ListWatch.Fault);

        await plane.InstallCrdsAsync();
        await missing.Cache.WhenSynced.WaitAsync(TimeSpan.FromSeconds(60));
        await Wait.UntilAsync(() => missing.ListWatch.Fault is null, "the fault is over");
        await missing.Stop.CancelAsync();
        await forbidden.Stop.CancelAsync();

        (ObjectCache<WebhookSubscription> Cache, ListWatch<WebhookSubscription> ListWatch, CancellationTokenSource Stop) Follow(IKubernetes client, KubeResource resource)
        {
            var cache = new ObjectCache<WebhookSubscription>();
            var listWatch = new ListWatch<WebhookSubscription>(
                client, resource, cache, new() { NotFoundHint = "kubectl apply -f crds.yaml" }, TimeProvider.System, () => 0.5, _log.Logger<RealApiServerTests>());
            var stop = new CancellationTokenSource();
            _ = Task.Run(() => listWatch.RunAsync(stop.Token));
            return (cache, listWatch, stop);
        }
    }

    private static V1ConfigMap ConfigMap(string name, string value = "") => new()
    {
        Metadata = new V1ObjectMeta { Name = name }, Data = new Dictionary<string, string> { ["key"] = value },
    };
}
