using System.Collections.Concurrent;
using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Kube;
using WebhookOperator.Status;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Reconcile;

/// <summary>Who wants to know which subscriptions there are. Called from one thread at a time, and not to block.</summary>
/// <param name="Upserted">A subscription that is new or has changed, before events are routed to it.</param>
/// <param name="Removed">The uid of one that is gone, after the last event was routed to it.</param>
internal sealed record SubscriptionCallbacks(Action<Subscription> Upserted, Action<string> Removed);

/// <summary>
/// Brings routes, keys and status in line with the resources, again and again: a changed key, or the time that
/// a reconciler asked for, means another look at the resource and at those made from it. Every replica routes;
/// keys and what follows from the specs are the leader's to write.
/// </summary>
internal sealed partial class ReconcileLoop : IDisposable
{
    /// <summary>Reading Secrets may wait for an API server; writing them shares commits.</summary>
    private const int Parallelism = 32;

    /// <summary>Status writes under way at once.</summary>
    private const int StatusParallelism = 16;

    private static readonly TimeSpan SyncPoll = TimeSpan.FromMilliseconds(100);

    private readonly IResourceSource _source;
    private readonly NamespaceScope _scope;
    private readonly Func<bool> _leads;
    private readonly WebhookSecretReconciler _secrets;
    private readonly SubscriptionTranslator _translator;
    private readonly SubscriptionReconciler _subscriptions;
    private readonly DependencyIndex _dependencies;
    private readonly RoutePublisher _routes;
    private readonly SpecStatusWriter _specStatus;
    private readonly DeliveryStatusWriter _deliveryStatus;
    private readonly TimeProvider _time;
    private readonly ILogger<ReconcileLoop> _logger;
    private readonly WorkQueue<ResourceKey> _secretQueue;
    private readonly WorkQueue<ResourceKey> _subscriptionQueue;
    private readonly WorkQueue<ResourceKey> _statusQueue;
    private readonly Controller<ResourceKey> _secretController;
    private readonly Controller<ResourceKey> _subscriptionController;
    private readonly Controller<ResourceKey> _statusController;

    /// <summary>What the log was last told of those that are not delivered to.</summary>
    private readonly ConcurrentDictionary<ResourceKey, (string Reason, string Message)> _held = new();
    private readonly FirstPass _firstSecrets = new();
    private readonly FirstPass _firstSubscriptions = new();
    private readonly TaskCompletionSource _firstSync = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ReconcileLoop(
        IResourceSource source, DependencyIndex dependencies, NamespaceScope scope, Func<bool> leads, SubscriptionTranslator translator,
        RouteSource routes, SubscriptionCallbacks callbacks, SpecStatusWriter specStatus, DeliveryStatusWriter deliveryStatus,
        Action<ResourceEvent> tell, TimeProvider time, Func<double> random, Instruments instruments, ILoggerFactory loggers)
    {
        _source = source;
        _dependencies = dependencies;
        _scope = scope;
        _leads = leads;
        _secrets = new WebhookSecretReconciler(source, tell, time, instruments, loggers.CreateLogger<WebhookSecretReconciler>());
        _translator = translator;
        _subscriptions = new SubscriptionReconciler(source, translator, dependencies, time);
        _routes = new RoutePublisher(routes, () => _source.Namespaces.Where(_scope.Contains).ToHashSet(), callbacks);
        _specStatus = specStatus;
        _deliveryStatus = deliveryStatus;
        _time = time;
        _logger = loggers.CreateLogger<ReconcileLoop>();
        (_secretQueue, _secretController) = Controller("webhooksecret", Parallelism, ReconcileSecretAsync, () => SecretKeys);
        (_subscriptionQueue, _subscriptionController) =
            Controller("webhooksubscription", Parallelism, ReconcileSubscriptionAsync, () => SubscriptionKeys);
        (_statusQueue, _statusController) = Controller("status", StatusParallelism, specStatus.WriteAsync, () => SubscriptionKeys);

        (WorkQueue<ResourceKey>, Controller<ResourceKey>) Controller(
            string name, int workers, Func<ResourceKey, CancellationToken, Task<ReconcileResult>> reconcile, Func<IEnumerable<ResourceKey>> all)
        {
            var queue = new WorkQueue<ResourceKey>(name, time, instruments);
            var logger = loggers.CreateLogger<Controller<ResourceKey>>();
            return (queue, new Controller<ResourceKey>(name, queue, reconcile, all, workers, time, random, instruments, logger));
        }
    }

    /// <summary>
    /// Completes once everything that existed at the start has been looked at, told and routed; a subscription
    /// that could not be read is told too, without an endpoint.
    /// </summary>
    public Task FirstSync => _firstSync.Task;

    private IEnumerable<ResourceKey> SecretKeys => _source.WebhookSecrets
        .Select(secret => new ResourceKey(WebhookSecret.KubeKind, secret.Metadata.NamespaceProperty, secret.Metadata.Name))
        .Where(key => _scope.Contains(key.Namespace));

    private IEnumerable<ResourceKey> SubscriptionKeys => _source.Subscriptions
        .Select(subscription => new ResourceKey(WebhookSubscription.KubeKind, subscription.Metadata.NamespaceProperty, subscription.Metadata.Name))
        .Where(key => _scope.Contains(key.Namespace));

    /// <summary>Runs until cancelled. Call once; the source must run too.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        _source.Changed += OnChanged;
        _specStatus.Changed += _statusQueue.Add;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            while (!_source.Synced)
                await Task.Delay(SyncPoll, _time, cancellation);
            await RunAllAsync(stop);
        }
        catch (Exception e)
        {
            _firstSync.TrySetException(e);
            throw;
        }
        finally
        {
            _source.Changed -= OnChanged;
            _specStatus.Changed -= _statusQueue.Add;
        }
    }

    /// <summary>This replica leads from now on: it looks at everything that only the leader changes.</summary>
    public void Lead()
    {
        foreach (var key in SecretKeys)
            _secretQueue.Add(key);
        _specStatus.Lead();
    }

    public void Dispose()
    {
        _secretQueue.Dispose();
        _subscriptionQueue.Dispose();
        _statusQueue.Dispose();
        _routes.Dispose();
    }

    private async Task RunAllAsync(CancellationTokenSource stop)
    {
        // Keys first, since subscriptions are made from them; then the routes of all at once.
        var runs = new List<Task> { _statusController.RunAsync(stop.Token) };
        await BeginAsync(_firstSecrets, SecretKeys, _secretController);
        await BeginAsync(_firstSubscriptions, SubscriptionKeys, _subscriptionController);
        _routes.Publish();
        _firstSync.TrySetResult();
        runs.Add(_routes.RunAsync(stop.Token));
        await EndAsync();

        // A controller looks at all keys when it begins.
        async Task BeginAsync(FirstPass pass, IEnumerable<ResourceKey> keys, Controller<ResourceKey> controller)
        {
            pass.Begin(keys);
            runs.Add(controller.RunAsync(stop.Token));
            if (await Task.WhenAny([pass.Done, .. runs]) != pass.Done)
                await EndAsync();
        }

        // None ends by itself: where one does, all do.
        async Task EndAsync()
        {
            await Task.WhenAny(runs);
            await stop.CancelAsync();
            await Task.WhenAll(runs);
        }
    }

    private void OnChanged(ResourceKey key)
    {
        // Before that, all is queued at once.
        if (!_source.Synced)
            return;
        Add(key);
        foreach (var dependent in _dependencies.DependentsOf(key))
            Add(dependent);
        if (key.Namespace.Length == 0)
            _routes.Signal();
    }

    private void Add(ResourceKey key)
    {
        if (!_scope.Contains(key.Namespace))
            return;
        if (key.Kind == WebhookSecret.KubeKind)
            _secretQueue.Add(key);
        else if (key.Kind == WebhookSubscription.KubeKind)
            _subscriptionQueue.Add(key);
    }

    private async Task<ReconcileResult> ReconcileSubscriptionAsync(ResourceKey key, CancellationToken cancellation)
    {
        var before = _routes.Current(key);
        try
        {
            var outcome = await _subscriptions.ReconcileAsync(key, before?.Filter, cancellation);
            Apply(key, outcome);
            return ReconcileResult.AgainAt(outcome?.Again);
        }
        catch (Exception) when (!cancellation.IsCancellationRequested)
        {
            // One that has never been told would look deleted, and its pending deliveries be cancelled.
            if (_source.TryGetSubscription(key.Namespace, key.Name, out var resource) && before?.Uid != resource.Metadata.Uid)
                Apply(key, _translator.Translate(resource, around: null, lastFilter: null, _time.GetUtcNow()));
            throw;
        }
        finally
        {
            _firstSubscriptions.Seen(key);
        }
    }

    private void Apply(ResourceKey key, SubscriptionOutcome? outcome)
    {
        if (outcome is null)
        {
            _held.TryRemove(key, out _);
            _dependencies.Set(key, []);
            _specStatus.Removed(key);
            _deliveryStatus.Removed(key);
            _routes.Apply(key, null, routed: false);
            return;
        }
        _routes.Apply(key, outcome.Subscription, outcome.Routed);
        _deliveryStatus.Upserted(key, outcome.Subscription.Uid);
        _specStatus.Reconciled(key, outcome.State);
        if (outcome.Subscription.Endpoint is not null || outcome.State.Conditions is not [var ready, ..])
            _held.TryRemove(key, out _);
        else if (!_held.TryGetValue(key, out var told) || told != (ready.Reason, ready.Message))
        {
            _held[key] = (ready.Reason, ready.Message);
            Held(key, ready.Reason, ready.Message);
        }
    }

    private async Task<ReconcileResult> ReconcileSecretAsync(ResourceKey key, CancellationToken cancellation)
    {
        try
        {
            if (!_source.TryGetWebhookSecret(key.Namespace, key.Name, out var secret))
            {
                _dependencies.Set(key, []);
                return ReconcileResult.Done;
            }
            // Before it is read, so that no change falls between.
            _dependencies.Set(key, [.. References.SecretsOf(secret).Select(name => References.Secret(key.Namespace, name))]);
            return _leads() ? await _secrets.ReconcileAsync(key.Namespace, key.Name, cancellation) : ReconcileResult.Done;
        }
        catch (LeadershipLostException)
        {
            return ReconcileResult.Done;
        }
        catch (ResourceConflictException e)
        {
            return ReconcileResult.Retry(e.Message);
        }
        finally
        {
            _firstSecrets.Seen(key);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Key} is not delivered to ({Reason}): {Message}")]
    private partial void Held(ResourceKey key, string reason, string message);
}
