using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Reconcile;

/// <summary>
/// Gathers what reconciliations found and puts it in force, many changes in one step: a table of thousands of
/// subscriptions is not compiled for each one of them. For any thread.
/// </summary>
internal sealed class RoutePublisher(RouteSource routes, Func<IReadOnlySet<string>> namespaces, SubscriptionCallbacks callbacks) : IDisposable
{
    /// <summary>Between two steps, of real time, since it spares the processor. The first change is in force at once.</summary>
    private static readonly TimeSpan Gap = TimeSpan.FromMilliseconds(50);

    private readonly Lock _gate = new();
    private readonly RouteTableBuilder _builder = new(routes);
    private readonly Dictionary<ResourceKey, Subscription> _current = [];
    private readonly List<string> _removed = [];
    private readonly SemaphoreSlim _signal = new(0, 1);

    /// <summary>The subscription as it was last applied.</summary>
    public Subscription? Current(ResourceKey key)
    {
        lock (_gate)
            return _current.GetValueOrDefault(key);
    }

    /// <summary>Takes over an outcome; the dispatcher knows of it at once, and it is routed with the next step.</summary>
    /// <param name="key">Of the subscription.</param>
    /// <param name="subscription">Null if it is gone.</param>
    /// <param name="routed">False where the spec does not even say which events are wanted.</param>
    public void Apply(ResourceKey key, Subscription? subscription, bool routed)
    {
        lock (_gate)
        {
            if (_current.TryGetValue(key, out var before) && before.Uid != subscription?.Uid)
            {
                _removed.Add(before.Uid);
                _current.Remove(key);
            }
            if (subscription is not null)
            {
                _current[key] = subscription;
                callbacks.Upserted(subscription);
            }
            if (subscription is not null && routed)
                _builder.Put(subscription);
            else
                _builder.Remove(new NamespacedName(key.Namespace, key.Name));
        }
        Signal();
    }

    /// <summary>Something changed that is not a subscription: a namespace came or went.</summary>
    public void Signal()
    {
        lock (_signal)
        {
            if (_signal.CurrentCount == 0)
                _signal.Release();
        }
    }

    /// <summary>Puts in force all that was applied until now.</summary>
    public void Publish()
    {
        lock (_gate)
        {
            _builder.Publish(namespaces());
            // Only now: until here an event could still be routed to it.
            foreach (var uid in _removed)
                callbacks.Removed(uid);
            _removed.Clear();
        }
    }

    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await _signal.WaitAsync(cancellation);
            Publish();
            await Task.Delay(Gap, TimeProvider.System, cancellation);
        }
    }

    public void Dispose() => _signal.Dispose();
}
