using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing;
using WebhookOperator.Tests.Testing.FakeApi;

namespace WebhookOperator.Tests.Kube;

/// <summary>A cache of widgets that follows a fake API server, and the means to change the world.</summary>
internal sealed class Follower : IAsyncDisposable
{
    public static readonly string Collection = FakeApiServer.Collection(Widget.Resource);

    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _runs = [];

    private Follower(FakeApiServer server) => Server = server;

    public FakeApiServer Server { get; }

    public FakeApiStore Store => Server.Store;

    public ObjectCache<Widget> Cache { get; } = new();

    public IReadOnlyList<ListWatch<Widget>> ListWatches { get; private set; } = [];

    public ConcurrentQueue<ObjectName> Changes { get; } = new();

    public CapturedLog Log { get; } = new();

    public string? Fault => ListWatches[0].Fault;

    /// <param name="options">One for each that feeds the cache; one with the defaults if none.</param>
    public static async Task<Follower> StartAsync(
        FakeApiServer server, TimeProvider? time = null, bool waitForSync = true, params ListWatchOptions<Widget>[] options)
    {
        var follower = new Follower(server);
        follower.Cache.Changed += follower.Changes.Enqueue;
        var random = new Random(1);
        follower.ListWatches =
        [
            .. (options.Length == 0 ? [new()] : options).Select(o => new ListWatch<Widget>(
                server.Client(), Widget.Resource, follower.Cache, o, time ?? TimeProvider.System, random.NextDouble, follower.Log.Logger<Follower>())),
        ];
        follower._runs.AddRange(follower.ListWatches.Select(listWatch => Task.Run(() => listWatch.RunAsync(follower._stop.Token))));
        if (waitForSync)
            await follower.Cache.WhenSynced.WaitAsync(TimeSpan.FromSeconds(60));
        return follower;
    }

    public static JsonObject NewWidget(string name, int size = 0, string? text = null, string? label = null) => new()
    {
        ["apiVersion"] = Widget.Resource.ApiVersion,
        ["kind"] = Widget.Resource.Kind,
        ["metadata"] = new JsonObject { ["name"] = name, ["labels"] = label is null ? null : new JsonObject { ["app"] = label } },
        ["spec"] = new JsonObject { ["size"] = size, ["text"] = text },
    };

    public void Create(string name, int size = 0, string @namespace = "acme", string? text = null, string? label = null) =>
        Store.Create(Collection, @namespace, NewWidget(name, size, text, label));

    public void Resize(string name, int size, string @namespace = "acme") =>
        Store.MergePatch(Collection, @namespace, name, new JsonObject { ["spec"] = new JsonObject { ["size"] = size } }, status: false);

    public void Delete(string name, string @namespace = "acme") => Store.Delete(Collection, @namespace, name);

    /// <summary>Waits for one that is connected, and gives it.</summary>
    public async Task<FakeWatch> WatchAsync(FakeWatch? otherThan = null)
    {
        FakeWatch? watch = null;
        await Wait.UntilAsync(
            () => Task.FromResult((watch = Server.Watches.FirstOrDefault(w => w != otherThan)) is not null),
            () => $"a watch is connected; fault: {Fault}; log:\n{Log}");
        return watch!;
    }

    /// <summary>Waits until the cache holds what the server holds: the same objects in the same state.</summary>
    public Task UntilRightAsync() => Wait.UntilAsync(
        () => Task.FromResult(Wrong().Count == 0),
        () => $"the cache is right; wrong are {string.Join(", ", Wrong().Take(10))}; fault: {Fault}; log:\n{Log}");

    /// <summary>The objects of which the cache and the server say different things.</summary>
    public IReadOnlyList<string> Wrong()
    {
        var there = Store.List(Collection, null).Items.ToDictionary(
            item => $"{item["metadata"]!["namespace"]}/{item["metadata"]!["name"]}",
            item => $"{item["metadata"]!["uid"]} {item["metadata"]!["resourceVersion"]} {item["spec"]!["size"]}");
        var here = Cache.Items.ToDictionary(
            item => $"{item.Metadata.NamespaceProperty}/{item.Metadata.Name}",
            item => $"{item.Metadata.Uid} {item.Metadata.ResourceVersion} {item.Spec?.Size}");
        return [.. there.Except(here).Concat(here.Except(there)).Select(entry => entry.Key).Distinct()];
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var run in _runs)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        _stop.Dispose();
    }
}
