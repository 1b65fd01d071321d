using System.Collections.Concurrent;
using Microsoft.Extensions.Time.Testing;
using Prometheus;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Local;
using WebhookOperator.Reconcile;
using WebhookOperator.Status;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Reconcile;

/// <summary>The reconcile loop on a real folder, with a clock that stands still until it is moved.</summary>
internal sealed class ReconcileHarness : IAsyncDisposable
{
    private CancellationTokenSource _stop = new();
    private Task _run = Task.CompletedTask;
    private ReconcileLoop? _loop;

    public ManifestDirectory Directory { get; } = new();

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    public RouteSource Routes { get; private set; } = new();

    /// <summary>What the dispatcher would know, by uid.</summary>
    public ConcurrentDictionary<string, Subscription> Told { get; } = new();

    public ConcurrentQueue<string> Removed { get; } = new();

    public ConcurrentQueue<ResourceEvent> Events { get; } = new();

    public Instruments Instruments { get; } = new(Metrics.NewCustomRegistry());

    public ManifestFolder Source => Directory.Source;

    public bool AllowHttp { get; init; }

    public ReconcileLoop Loop => _loop ?? throw new InvalidOperationException("Start first.");

    public async Task StartAsync()
    {
        await Directory.StartAsync();
        Routes = new RouteSource();
        Told.Clear();
        var specStatus = new SpecStatusWriter(Source, () => true, Events.Enqueue, Time, Instruments);
        var deliveryStatus = new DeliveryStatusWriter(
            Source, (_, _) => Task.FromResult<DeliverySnapshot?>(null), StatusPace.Local, Events.Enqueue, Time, () => 0.5, Instruments,
            Directory.Log.Logger<DeliveryStatusWriter>());
        var callbacks = new SubscriptionCallbacks(
            subscription => Told[subscription.Uid] = subscription,
            uid =>
            {
                Told.TryRemove(uid, out _);
                Removed.Enqueue(uid);
            });
        _loop = new ReconcileLoop(
            Source, new DependencyIndex(), new NamespaceScope([]), () => true, new SubscriptionTranslator(AllowHttp), Routes, callbacks,
            specStatus, deliveryStatus, Events.Enqueue, Time, () => 0.5, Instruments, Directory.Log.Factory);
        _stop = new CancellationTokenSource();
        _run = Task.Run(() => _loop.RunAsync(_stop.Token));
        await _loop.FirstSync.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        await UntilAsync(() => Source.Subscriptions.All(subscription => subscription.Status?.ObservedGeneration == subscription.Metadata.Generation),
            "each subscription has a status");
    }

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        _loop?.Dispose();
        _stop.Dispose();
        _run = Task.CompletedTask;
        await Directory.StopAsync();
    }

    public async Task RestartAsync()
    {
        await StopAsync();
        await StartAsync();
    }

    public Task UntilAsync(Func<bool> condition, string what) => Directory.UntilAsync(
        () => _run.IsFaulted ? throw new InvalidOperationException("The loop ended.", _run.Exception) : condition(), what);

    public Subscription? Subscription(string name) => Told.Values.SingleOrDefault(subscription => subscription.Name.Name == name);

    public IReadOnlyList<string> KeyIds(string subscription) =>
        [.. Subscription(subscription)?.Endpoint?.SigningKeys.Select(key => key.Id) ?? []];

    /// <summary>The names of the subscriptions that an event would be routed to; null for an unknown namespace.</summary>
    public IReadOnlyList<string>? RoutedIn(string @namespace)
    {
        return Routes.Current.TryGet(@namespace, out var table) ? [.. table.Subscriptions.Select(subscription => subscription.Name.Name)] : null;
    }

    /// <summary>Such as <c>True KeysAvailable</c>; empty if there is no such condition.</summary>
    public string Condition(string kind, string name, string type)
    {
        var conditions = kind == WebhookSecret.KubeKind
            ? Source.TryGetWebhookSecret("acme", name, out var secret) ? secret.Status?.Conditions : null
            : Source.TryGetSubscription("acme", name, out var subscription) ? subscription.Status?.Conditions : null;
        var condition = conditions?.SingleOrDefault(condition => condition.Type == type);
        return condition is null ? "" : $"{condition.Status} {condition.Reason}";
    }

    public WebhookSecretStatus? SecretStatus(string name) =>
        Source.TryGetWebhookSecret("acme", name, out var secret) ? secret.Status : null;

    public async ValueTask DisposeAsync()
    {
        if (!_run.IsCompleted)
            await StopAsync();
        await Directory.DisposeAsync();
    }
}
