using System.Collections.Concurrent;
using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// Runs a lane for each subscription. The order of calls matters at two places: <see cref="StartAsync"/> comes
/// before everything else, and <see cref="Upsert"/> before the subscription is routed, so that every delivery
/// that is stored finds its lane.
/// </summary>
internal sealed class Dispatcher(LaneContext context) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, Lane> _lanes = new();
    private readonly ConcurrentDictionary<NamespacedName, string> _uids = new();
    private readonly ConcurrentDictionary<string, Backlog> _backlogs = new();
    private readonly ConcurrentDictionary<Task, byte> _removals = new();
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Pending deliveries of all subscriptions.</summary>
    public long Pending => context.Pending;

    /// <summary>Reads what earlier processes left.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (var backlog in await context.Store.ReadBacklogsAsync(cancellation))
            _backlogs[backlog.SubscriptionUid] = backlog;
        context.Instruments.Registry.AddBeforeCollectCallback(ObserveAsync);
    }

    /// <summary>Begins to deliver for a subscription, or follows its change.</summary>
    public void Upsert(Subscription subscription)
    {
        if (_lanes.TryGetValue(subscription.Uid, out var lane))
        {
            lane.Update(subscription);
            return;
        }
        // A namesake that was deleted goes first, so that its series do not take the new one's with them.
        if (_uids.TryGetValue(subscription.Name, out var namesake))
            Remove(namesake);
        _uids[subscription.Name] = subscription.Uid;
        _backlogs.TryRemove(subscription.Uid, out var backlog);
        lane = new Lane(context, subscription, backlog);
        _lanes[subscription.Uid] = lane;
        lane.Update(subscription);
    }

    /// <summary>The subscription was deleted: what it has pending is cancelled, in the background.</summary>
    public void Remove(string uid)
    {
        if (!_lanes.TryRemove(uid, out var lane))
            return;
        _uids.TryRemove(KeyValuePair.Create(lane.Subscription.Name, uid));
        InBackground(RemoveAsync(lane), $"Removing {lane.Subscription.Name}");

        async Task RemoveAsync(Lane removed)
        {
            await removed.RemoveAsync(_stop.Token);
            removed.Dispose();
        }
    }

    /// <summary>
    /// Cancels what is pending for subscriptions that were deleted while no process ran. To be called once
    /// every subscription that exists has been upserted.
    /// </summary>
    /// <param name="serves">Whether this operator serves a namespace; what others left is not its to cancel.</param>
    /// <param name="cancellation">Stops before the next subscription.</param>
    public async Task CancelOrphansAsync(Func<string, bool> serves, CancellationToken cancellation)
    {
        foreach (var (uid, backlog) in _backlogs)
            if (serves(backlog.Name.Namespace) && _backlogs.TryRemove(uid, out _) && backlog.Pending > 0)
                await Lane.CancelPendingAsync(context, uid, backlog.Name, cancellation);
    }

    /// <summary>Hands over what was just stored.</summary>
    public void Offer(ImmutableArray<EnqueueResult> stored)
    {
        foreach (var result in stored)
            foreach (var delivery in result.Pending)
                if (_lanes.TryGetValue(delivery.SubscriptionUid, out var lane))
                    lane.Offer(delivery);
                else // Deleted while the event was on its way into the store.
                    InBackground(
                        Lane.CancelPendingAsync(context, delivery.SubscriptionUid, new NamespacedName(delivery.Event.Namespace, "?"), _stop.Token),
                        "Cancelling a delivery of a deleted subscription");
    }

    /// <summary>Finished deliveries were made pending in the store, or pending ones became due.</summary>
    public void Reopen(string uid, int count)
    {
        if (_lanes.TryGetValue(uid, out var lane))
            lane.Reopen(count);
    }

    /// <summary>What is known of one subscription's deliveries; null if there is no such subscription.</summary>
    public async Task<DeliverySnapshot?> SnapshotAsync(string uid, CancellationToken cancellation) =>
        _lanes.TryGetValue(uid, out var lane) ? await lane.SnapshotAsync(cancellation) : null;

    /// <summary>Ends deliveries that grew too old while they waited.</summary>
    public async Task ExpireAsync(TimeSpan retention, CancellationToken cancellation)
    {
        foreach (var lane in _lanes.Values)
            await lane.ExpireAsync(retention, cancellation);
    }

    /// <summary>
    /// Starts nothing more and waits for attempts under way; those that outlast <paramref name="grace"/> are
    /// broken off and stay pending.
    /// </summary>
    public async Task StopAsync(TimeSpan grace)
    {
        var idle = Task.WhenAll(_lanes.Values.Select(lane => lane.StopAsync()));
        using var limit = new CancellationTokenSource(grace, context.Time);
        try
        {
            await idle.WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            foreach (var lane in _lanes.Values)
                lane.Cancel();
            await idle;
        }
        await _stop.CancelAsync();
        await Task.WhenAll(_removals.Keys);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.Zero);
        foreach (var lane in _lanes.Values)
            lane.Dispose();
        context.Dispose();
        _stop.Dispose();
    }

    private async Task ObserveAsync(CancellationToken cancellation)
    {
        try
        {
            foreach (var lane in _lanes.Values)
                await lane.ObserveAsync(cancellation);
        }
        catch (StoreUnavailableException)
        {
            // The gauges keep their last values; the store's own log tells why, and a scrape must not fail with it.
        }
    }

    private void InBackground(Task work, string what)
    {
        var task = RunAsync();
        _removals.TryAdd(task, 0);
        _ = task.ContinueWith(done => _removals.TryRemove(done, out _), TaskScheduler.Default);

        async Task RunAsync()
        {
            try
            {
                await work;
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                // The next start finds and cancels them.
            }
            catch (Exception e)
            {
                context.Logger.LoopFault(what, e);
            }
        }
    }
}
