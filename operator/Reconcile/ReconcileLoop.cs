using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
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
/// a reconciler asked for, means another look at the resource and at those made from it.
/// </summary>
internal sealed partial class ReconcileLoop : IDisposable
{
    private const string SubscriptionController = "webhooksubscription";
    private const string SecretController = "webhooksecret";
    private const string QueueName = "reconcile";

    /// <summary>Reading Secrets may wait for an API server; writing them shares commits.</summary>
    private const int Parallelism = 32;

    private static readonly TimeSpan SyncPoll = TimeSpan.FromMilliseconds(100);

    private readonly IResourceSource _source;
    private readonly NamespaceScope _scope;
    private readonly WebhookSecretReconciler _secrets;
    private readonly SubscriptionTranslator _translator;
    private readonly SubscriptionReconciler _subscriptions;
    private readonly DependencyIndex _dependencies = new();
    private readonly RouteTableBuilder _routes;
    private readonly SubscriptionCallbacks _callbacks;
    private readonly SubscriptionStatusWriter _status;
    private readonly TimeProvider _time;
    private readonly Instruments _instruments;
    private readonly ILogger<ReconcileLoop> _logger;
    private readonly WorkQueue<ResourceKey> _queue;
    private readonly Dictionary<ResourceKey, Subscription> _current = [];
    private readonly TaskCompletionSource _firstSync = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ReconcileLoop(
        IResourceSource source, NamespaceScope scope, bool allowHttp, RouteSource routes, SubscriptionCallbacks callbacks, SubscriptionStatusWriter status,
        TimeProvider time, Instruments instruments, ILoggerFactory loggers)
    {
        _source = source;
        _scope = scope;
        _secrets = new WebhookSecretReconciler(source, time, instruments, loggers.CreateLogger<WebhookSecretReconciler>());
        _translator = new SubscriptionTranslator(allowHttp);
        _subscriptions = new SubscriptionReconciler(source, _translator, _dependencies, time);
        _routes = new RouteTableBuilder(routes);
        _callbacks = callbacks;
        _status = status;
        _time = time;
        _instruments = instruments;
        _logger = loggers.CreateLogger<ReconcileLoop>();
        _queue = new WorkQueue<ResourceKey>(QueueName, time, instruments);
        foreach (var controller in new[] { SubscriptionController, SecretController })
        {
            instruments.ReconcileDuration.WithLabels(controller);
            foreach (var result in new[] { "success", "error", "requeue_after" })
                instruments.Reconciles.WithLabels(controller, result);
        }
    }

    /// <summary>
    /// Completes once everything that existed at the start has been looked at, told and routed; a subscription
    /// that could not be read is told too, without an endpoint.
    /// </summary>
    public Task FirstSync => _firstSync.Task;

    /// <summary>Runs until cancelled. Call once; the source must run too.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        _source.Changed += OnChanged;
        try
        {
            while (!_source.Synced)
                await Task.Delay(SyncPoll, _time, cancellation);
            foreach (var secret in _source.WebhookSecrets)
                Add(new ResourceKey(WebhookSecret.KubeKind, secret.Metadata.NamespaceProperty, secret.Metadata.Name));
            foreach (var subscription in _source.Subscriptions)
                Add(new ResourceKey(WebhookSubscription.KubeKind, subscription.Metadata.NamespaceProperty, subscription.Metadata.Name));
            // Also the source of no resources has routes: its namespaces.
            _routes.Publish(NamespacesInScope());

            while (true)
            {
                if (_queue.Depth == 0)
                    _firstSync.TrySetResult();
                var keys = await _queue.TakeAllAsync(cancellation);
                await ReconcileAsync(keys, cancellation);
                foreach (var key in keys)
                    _queue.Done(key);
            }
        }
        catch (Exception e)
        {
            _firstSync.TrySetException(e);
            throw;
        }
        finally
        {
            _source.Changed -= OnChanged;
        }
    }

    public void Dispose() => _queue.Dispose();

    private void OnChanged(ResourceKey key)
    {
        // Before that, all is queued at once.
        if (!_source.Synced)
            return;
        Add(key);
        foreach (var dependent in _dependencies.DependentsOf(key))
            _queue.Add(dependent);
    }

    private void Add(ResourceKey key)
    {
        if (_scope.Contains(key.Namespace))
            _queue.Add(key);
    }

    private HashSet<string> NamespacesInScope() => [.. _source.Namespaces.Where(_scope.Contains)];

    /// <summary>Keys first, since subscriptions are made from them; then the routes of all at once.</summary>
    private async Task ReconcileAsync(IReadOnlyCollection<ResourceKey> keys, CancellationToken cancellation)
    {
        var options = new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellation };
        await Parallel.ForEachAsync(keys.Where(key => key.Kind == WebhookSecret.KubeKind), options,
            async (key, token) => await MeasureAsync(SecretController, key, () => ReconcileSecretAsync(key, token), token));

        var outcomes = new ConcurrentBag<(ResourceKey Key, SubscriptionOutcome? Outcome)>();
        await Parallel.ForEachAsync(keys.Where(key => key.Kind == WebhookSubscription.KubeKind), options,
            async (key, token) => await MeasureAsync(SubscriptionController, key, async () =>
            {
                outcomes.Add((key, await ReconcileSubscriptionAsync(key, outcomes, token)));
                return ReconcileResult.Done;
            }, token));

        var removed = ImmutableArray.CreateBuilder<string>();
        foreach (var (key, outcome) in outcomes)
            Apply(key, outcome, removed);
        _routes.Publish(NamespacesInScope());
        foreach (var uid in removed)
            _callbacks.Removed(uid);
        foreach (var (key, outcome) in outcomes)
        {
            if (outcome is not null)
                await _status.ReconciledAsync(key, outcome.State, cancellation);
        }
    }

    private void Apply(ResourceKey key, SubscriptionOutcome? outcome, ImmutableArray<string>.Builder removed)
    {
        if (_current.TryGetValue(key, out var before) && before.Uid != outcome?.Subscription.Uid)
        {
            removed.Add(before.Uid);
            _current.Remove(key);
        }
        if (outcome is null)
        {
            _dependencies.Set(key, []);
            _status.Removed(key);
            _routes.Remove(new NamespacedName(key.Namespace, key.Name));
            return;
        }
        _current[key] = outcome.Subscription;
        _callbacks.Upserted(outcome.Subscription);
        if (outcome.Routed)
            _routes.Put(outcome.Subscription);
        else
            _routes.Remove(outcome.Subscription.Name);
        if (outcome.Subscription.Endpoint is null && outcome.State.Conditions is [var ready, ..])
            Held(key, ready.Reason, ready.Message);
    }

    private async Task<SubscriptionOutcome?> ReconcileSubscriptionAsync(
        ResourceKey key, ConcurrentBag<(ResourceKey, SubscriptionOutcome?)> outcomes, CancellationToken cancellation)
    {
        var before = _current.GetValueOrDefault(key);
        try
        {
            return await _subscriptions.ReconcileAsync(key, before?.Filter, cancellation);
        }
        catch (Exception) when (!cancellation.IsCancellationRequested)
        {
            // One that has never been told would look deleted, and its pending deliveries be cancelled.
            if (_source.TryGetSubscription(key.Namespace, key.Name, out var resource) && before?.Uid != resource.Metadata.Uid)
                outcomes.Add((key, _translator.Translate(resource, around: null, lastFilter: null, _time.GetUtcNow())));
            throw;
        }
    }

    private async Task<ReconcileResult> ReconcileSecretAsync(ResourceKey key, CancellationToken cancellation)
    {
        if (!_source.TryGetWebhookSecret(key.Namespace, key.Name, out var secret))
        {
            _dependencies.Set(key, []);
            return ReconcileResult.Done;
        }
        // Before it is read, so that no change falls between.
        _dependencies.Set(key, [.. References.SecretsOf(secret).Select(name => References.Secret(key.Namespace, name))]);
        return await _secrets.ReconcileAsync(key.Namespace, key.Name, cancellation);
    }

    /// <summary>Whatever is thrown is a fault that may pass: the key comes back after a wait.</summary>
    private async Task MeasureAsync(
        string controller, ResourceKey key, Func<Task<ReconcileResult>> reconcile, CancellationToken cancellation)
    {
        var start = Stopwatch.GetTimestamp();
        try
        {
            var result = await reconcile();
            _queue.Forgive(key);
            if (result.Again is { } again)
                _queue.AddAt(key, again);
            _instruments.Reconciles.WithLabels(controller, result.Again is null ? "success" : "requeue_after").Inc();
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            _queue.AddAfterFailure(key);
            _instruments.Reconciles.WithLabels(controller, "error").Inc();
            Failed(e, key);
        }
        _instruments.ReconcileDuration.WithLabels(controller).Observe(Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Key} could not be reconciled and will be tried again")]
    private partial void Failed(Exception exception, ResourceKey key);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Key} is not delivered to ({Reason}): {Message}")]
    private partial void Held(ResourceKey key, string reason, string message);
}
