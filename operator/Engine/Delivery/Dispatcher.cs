using System.Collections.Concurrent;
using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>Why a process stops to deliver for a shard.</summary>
internal enum LeaveReason
{
    /// <summary>Another goes on.</summary>
    HandOver,

    /// <summary>It is lost already, and another may go on at any time: nothing must be saved.</summary>
    Lost,

    /// <summary>The process ends; what was seen can still be asked for.</summary>
    Shutdown,
}

/// <summary>
/// Runs a lane for each subscription, or, where several processes share a store, for each in a shard that this one owns.
/// The order of calls matters at two places: <see cref="StartAsync"/> comes before everything else, and
/// <see cref="Upsert"/> before the subscription is routed, so that every delivery that is stored finds its lane.
/// </summary>
/// <param name="context">What all lanes share.</param>
/// <param name="shared">The store, where others work on it too; then <see cref="ShardKeeper"/> says what is owned.</param>
internal sealed class Dispatcher(LaneContext context, ISharedStore? shared = null) : IAsyncDisposable
{
    /// <summary>
    /// Replicas learn of a new subscription at different times, one whose watch is cut off only after minutes; what is still
    /// unknown after so long was deleted.
    /// </summary>
    private static readonly TimeSpan StrangerAge = TimeSpan.FromMinutes(5);

    private readonly Lock _gate = new();
    private readonly ConcurrentDictionary<string, Known> _known = new();
    private readonly ConcurrentDictionary<string, Lane> _lanes = new();
    private readonly ConcurrentDictionary<NamespacedName, string> _uids = new();
    private readonly ConcurrentDictionary<string, Backlog> _backlogs = new();
    private readonly ConcurrentDictionary<Task, byte> _removals = new();
    private readonly CancellationTokenSource _stop = new();

    /// <summary>The claim on each shard; null where it is not owned.</summary>
    private readonly long?[] _claims = new long?[Shard.Count];

    /// <summary>Lanes of shards that were left, until nothing of them is under way.</summary>
    private readonly Dictionary<string, (Lane Lane, Task Ended)> _ending = [];

    /// <summary>Subscriptions with deliveries that nobody here knows, and since when.</summary>
    private Dictionary<string, DateTimeOffset> _strangers = [];
    private long _pendingElsewhere;

    /// <summary>Pending deliveries of all subscriptions, those of other processes as far as is known.</summary>
    public long Pending => context.Pending + PendingElsewhere;

    /// <summary>Pending deliveries of the subscriptions that this process delivers for.</summary>
    public long OwnPending => context.Pending;

    public long PendingElsewhere
    {
        get => Volatile.Read(ref _pendingElsewhere);
        set => Volatile.Write(ref _pendingElsewhere, value);
    }

    /// <summary>Those that this process owns.</summary>
    public IReadOnlyCollection<int> Shards
    {
        get
        {
            lock (_gate)
                return [.. Enumerable.Range(0, Shard.Count).Where(shard => _claims[shard] is not null)];
        }
    }

    /// <summary>The subscriptions that this process delivers for.</summary>
    public IReadOnlyCollection<string> Uids => [.. _lanes.Keys];

    /// <summary>Reads what earlier processes left, unless shards are still to be taken.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        if (shared is not null)
            shared.ClaimOf = uid => _lanes.TryGetValue(uid, out var lane) ? lane.ClaimOfNext : 0;
        else
            Gain([.. Enumerable.Range(0, Shard.Count)], await context.Store.ReadBacklogsAsync(cancellation), claim: 0);
        context.Instruments.Registry.AddBeforeCollectCallback(ObserveAsync);
    }

    /// <summary>Begins to deliver for a subscription, or follows its change.</summary>
    public void Upsert(Subscription subscription)
    {
        // A namesake that was deleted goes first, so that its series do not take the new one's with them.
        if (_uids.TryGetValue(subscription.Name, out var namesake) && namesake != subscription.Uid)
            Remove(namesake);
        Lane? lane;
        lock (_gate)
        {
            _uids[subscription.Name] = subscription.Uid;
            var known = _known.AddOrUpdate(
                subscription.Uid, _ => new Known(subscription, Shard.Of(subscription.Uid)), (_, before) => before with { Subscription = subscription });
            if (!_lanes.TryGetValue(subscription.Uid, out lane))
                StartLane(known);
        }
        lane?.Update(subscription);
    }

    /// <summary>The subscription was deleted: what it has pending is cancelled, in the background.</summary>
    public void Remove(string uid)
    {
        Lane? lane;
        lock (_gate)
        {
            if (!_known.TryRemove(uid, out var known))
                return;
            _uids.TryRemove(KeyValuePair.Create(known.Subscription.Name, uid));
            _lanes.TryRemove(uid, out lane);
        }
        if (lane is not null)
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
        // Mostly all of them go to one.
        Lane? first = null;
        HashSet<Lane>? others = null;
        foreach (var result in stored)
            foreach (var delivery in result.Pending)
                if (_lanes.TryGetValue(delivery.SubscriptionUid, out var lane))
                {
                    lane.Offer(delivery);
                    first ??= lane;
                    if (lane != first)
                        (others ??= []).Add(lane);
                }
                else if (shared is not null && _known.ContainsKey(delivery.SubscriptionUid))
                    shared.Tell(new Hint(delivery.SubscriptionUid, 1));
                else // Deleted while the event was on its way into the store.
                    InBackground(
                        Lane.CancelPendingAsync(context, delivery.SubscriptionUid, new NamespacedName(delivery.Event.Namespace, "?"), _stop.Token),
                        "Cancelling a delivery of a deleted subscription");
        first?.Pump();
        if (others is null)
            return;
        foreach (var lane in others)
            lane.Pump();
    }

    /// <summary>Finished deliveries were made pending in the store, or pending ones became due.</summary>
    public void Reopen(string uid, int count)
    {
        if (_lanes.TryGetValue(uid, out var lane))
            lane.Reopen(count);
        else
            shared?.Tell(new Hint(uid, count));
    }

    /// <summary>This process delivers for these shards from now on.</summary>
    /// <param name="shards">That it did not own.</param>
    /// <param name="backlogs">Read since they are owned.</param>
    /// <param name="claim">For settlements.</param>
    public void Gain(IReadOnlyCollection<int> shards, ImmutableArray<Backlog> backlogs, long claim)
    {
        lock (_gate)
        {
            foreach (var backlog in backlogs)
                _backlogs[backlog.SubscriptionUid] = backlog;
            foreach (var shard in shards)
                _claims[shard] = claim;
            var gained = shards.ToHashSet();
            foreach (var (_, known) in _known)
                if (gained.Contains(known.Shard))
                    StartLane(known);
        }
    }

    /// <summary>
    /// This process starts nothing more in these shards. Completes once nothing of them is under way, and what was seen of
    /// their receivers is saved.
    /// </summary>
    public Task LeaveAsync(IReadOnlyCollection<int> shards, LeaveReason reason)
    {
        lock (_gate)
        {
            var left = shards.ToHashSet();
            foreach (var shard in left)
                _claims[shard] = null;
            foreach (var (uid, _) in _backlogs)
                if (left.Contains(Shard.Of(uid)))
                    _backlogs.TryRemove(uid, out _);
            var ending = new List<Task>();
            foreach (var (uid, lane) in _lanes)
            {
                if (!left.Contains(lane.Shard))
                    continue;
                if (reason != LeaveReason.Shutdown)
                    _lanes.TryRemove(uid, out _);
                var ended = EndAsync(lane);
                _ending[uid] = (lane, ended);
                ending.Add(ended);
            }
            return Task.WhenAll(ending);
        }

        async Task EndAsync(Lane lane)
        {
            // Not under the lock, in which the lane may have much to put away.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            try
            {
                await lane.LeaveAsync(save: reason != LeaveReason.Lost);
            }
            catch (Exception e)
            {
                context.Logger.LoopFault($"Leaving {lane.Subscription.Name}", e);
            }
            lock (_gate)
            {
                if (_ending.TryGetValue(lane.Subscription.Uid, out var current) && current.Lane == lane)
                    _ending.Remove(lane.Subscription.Uid);
                if (reason != LeaveReason.Shutdown)
                    lane.Dispose();
                // Gained again meanwhile.
                if (_known.TryGetValue(lane.Subscription.Uid, out var known) && !_lanes.ContainsKey(lane.Subscription.Uid))
                    StartLane(known);
            }
        }
    }

    /// <summary>Breaks off everything that is under way; it stays pending.</summary>
    public void Cancel()
    {
        foreach (var lane in _lanes.Values)
            lane.Cancel();
        lock (_gate)
            foreach (var (lane, _) in _ending.Values)
                lane.Cancel();
    }

    /// <summary>Another process has stored deliveries.</summary>
    public void Hinted(Hint hint)
    {
        if (_lanes.TryGetValue(hint.SubscriptionUid, out var lane))
            lane.Hint(hint.Count);
    }

    /// <summary>What the store has due in the shards that this process owns. Cancels what is due for nobody.</summary>
    public void Polled(ImmutableArray<DueSubscription> due, Func<string, bool> serves)
    {
        var strangers = new Dictionary<string, DateTimeOffset>();
        var now = context.Time.GetUtcNow();
        foreach (var (uid, name) in due)
        {
            if (_lanes.TryGetValue(uid, out var lane))
                lane.Poll();
            else if (!_known.ContainsKey(uid) && serves(name.Namespace))
            {
                var since = _strangers.GetValueOrDefault(uid, now);
                strangers[uid] = since;
                if (now - since < StrangerAge)
                    continue;
                strangers.Remove(uid);
                InBackground(Lane.CancelPendingAsync(context, uid, name, _stop.Token), "Cancelling deliveries of a deleted subscription");
            }
        }
        _strangers = strangers;
    }

    /// <summary>How many deliveries are pending, by the store's own count.</summary>
    /// <returns>Those to be counted again soon.</returns>
    public IReadOnlyCollection<string> Counted(IReadOnlyDictionary<string, int> pending)
    {
        var again = new List<string>();
        foreach (var (uid, count) in pending)
            if (_lanes.TryGetValue(uid, out var lane) && !lane.Recount(count))
                again.Add(uid);
        return again;
    }

    /// <summary>What is known of one subscription's deliveries; null if there is no such subscription, or another process delivers for it.</summary>
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
        Task[] ending;
        lock (_gate)
            ending = [.. _ending.Values.Select(e => e.Ended)];
        var idle = Task.WhenAll(_lanes.Values.Select(lane => lane.StopAsync()).Concat(ending));
        using var limit = new CancellationTokenSource(grace, context.Time);
        try
        {
            await idle.WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Cancel();
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

    /// <summary>If its shard is owned, and once nothing is under way that an earlier lane of it has sent. Called under the lock.</summary>
    private void StartLane(Known known)
    {
        var subscription = known.Subscription;
        if (_claims[known.Shard] is not { } claim || _ending.ContainsKey(subscription.Uid) || _stop.IsCancellationRequested)
            return;
        _backlogs.TryRemove(subscription.Uid, out var backlog);
        var lane = new Lane(context, subscription, backlog, known.Shard, claim);
        _lanes[subscription.Uid] = lane;
        lane.Update(subscription);
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

    private sealed record Known(Subscription Subscription, int Shard);
}
