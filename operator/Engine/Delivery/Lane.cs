using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Delivery;

/// <summary>
/// The deliveries of one subscription: a bounded window of those that are due, sent as its concurrency, rate
/// limit and circuit allow. The rest stays in the store. Lanes share nothing that one of them could hold up.
/// </summary>
internal sealed class Lane : IDisposable
{
    private const int SmallestWindow = 256;
    private const long ReadBytes = 1 << 20;
    private const int UnsettledPerSlot = 4;
    private static readonly TimeSpan ReadRetry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SaveGrace = TimeSpan.FromSeconds(2);

    /// <summary>Before a delivery that could not be sent is looked at again; the circuit or a shutdown was in its way.</summary>
    private static readonly TimeSpan ReturnPause = TimeSpan.FromMilliseconds(100);
    private static readonly HashSet<DeliveryId> None = [];

    /// <summary>The hour that ratio and latencies look back on moves on also where nothing happens.</summary>
    private static readonly TimeSpan SnapshotLifetime = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly LaneContext _context;
    private readonly SubscriptionSeries _series;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _lost;
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Window _window;
    private readonly LaneCircuit _circuit;
    private readonly ReceiverHealth _health;
    private readonly StateKeeper _keeper;
    private readonly OutcomeReporter _reporter;
    private Subscription _subscription;
    private TokenBucket? _bucket;

    /// <summary>Requests under way: at most the subscription's concurrency.</summary>
    private int _underWay;

    /// <summary>
    /// Delivered, and not yet recorded: a crash would send them again. Requests need not wait for the record of
    /// those before them, but only so many may be ahead of it.
    /// </summary>
    private int _settling;
    private long _pending;

    /// <summary>By how much the store's last count was off.</summary>
    private long _miscount;

    /// <summary>Deliveries that have come to an end here.</summary>
    private long _ended;

    /// <summary>Null once anything has changed.</summary>
    private Task<DeliverySnapshot>? _snapshot;
    private DateTimeOffset _snapshotTime;
    private DateTimeOffset? _oldestPending;

    private DateTimeOffset _wakeAt = DateTimeOffset.MaxValue;
    private bool _stopping;

    /// <summary>What is offered is sent as soon as its turn comes.</summary>
    private volatile bool _flows;

    /// <summary>Under which what this lane sends is settled; 0 where no other process has the store too.</summary>
    private readonly long _claim;

    /// <summary>What was accepted before may have been sent by another process.</summary>
    private readonly DateTimeOffset _claimedTime;

    public Lane(LaneContext context, Subscription subscription, Backlog? backlog, int shard, long claim)
    {
        Shard = shard;
        _claim = claim;
        _claimedTime = context.Time.GetUtcNow();
        _context = context;
        _lost = new CancellationTokenSource(Timeout.InfiniteTimeSpan, context.Time);
        _subscription = subscription;
        _series = new SubscriptionSeries(context.Instruments, subscription.Name.Namespace, subscription.Name.Name);
        _health = new ReceiverHealth(backlog?.State ?? SubscriptionState.Healthy, context.Time.GetUtcNow());
        _keeper = new StateKeeper(context, subscription.Uid, claim, _lost.Token);
        _reporter = new OutcomeReporter(context, _series);
        _window = new Window(context.Budget);
        _circuit = new LaneCircuit(context, subscription, backlog?.State.Circuit, CircuitMoved);
        // Without a backlog, it may all have been sent by another process.
        _bucket = NewBucket(full: claim == 0 && backlog is null);
        if (backlog is not { Pending: > 0 })
            return;
        _pending = backlog.Pending;
        _oldestPending = backlog.OldestPendingTime;
        _window.Expect(backlog.NextDueTime);
        // So that nothing newer is taken before it.
        if (backlog.NextDueTime <= context.Time.GetUtcNow())
            _window.LookAgain();
        context.AddPending(_pending);
    }

    public int Shard { get; }

    public Subscription Subscription => Volatile.Read(ref _subscription);

    /// <summary>Under which what is offered will be sent as soon as its turn comes; 0 where something is in its way.</summary>
    public long ClaimOfNext => _flows ? _claim : 0;

    /// <summary>Nothing is sent: suspended, disabled, or not resolvable.</summary>
    private bool Holds =>
        _subscription.Suspended || _subscription.Endpoint is null || _health.State.Disabled is not null;

    /// <summary>Follows a change of the spec or of what it refers to.</summary>
    public void Update(Subscription subscription)
    {
        lock (_gate)
        {
            var before = _subscription;
            Volatile.Write(ref _subscription, subscription);
            _circuit.Update(before, subscription);
            if (subscription.Delivery.RateLimit != before.Delivery.RateLimit)
                _bucket = NewBucket(full: true);
            if (_health.Enable(subscription.Generation))
            {
                _context.Logger.Enabled(subscription.Name);
                Save();
            }
        }
        Pump();
    }

    /// <summary>Takes on a delivery that has just been stored; <see cref="Pump"/> then starts it, and others that were offered with it.</summary>
    public void Offer(PendingDelivery delivery)
    {
        if ((_claim != 0 && delivery.StartedTime <= _claimedTime) || delivery.StartedTime < _context.Time.GetUtcNow() - Window.OfferDelay)
        {
            Hint(1);
            return;
        }
        lock (_gate)
        {
            if (_stopping)
                return;
            AddPending(1);
            if (_pending == 1)
                _oldestPending = delivery.Event.AcceptedTime;
            _window.Offer(delivery, WindowSize(_subscription.Delivery.Concurrency));
        }
    }

    /// <summary>Looks into the store again.</summary>
    /// <param name="reopened">Finished deliveries that were made pending there.</param>
    public void Reopen(int reopened)
    {
        lock (_gate)
        {
            if (_stopping)
                return;
            AddPending(reopened);
            _oldestPending = null;
            _window.LookAgain();
        }
        Pump();
    }

    /// <summary>The store has so many more deliveries, some of which may have ended by now.</summary>
    public void Hint(int count)
    {
        lock (_gate)
        {
            if (_stopping)
                return;
            if (_pending == 0)
                _oldestPending = null;
            AddPending(count);
            _window.LookAgain();
        }
        Pump();
    }

    /// <summary>The store has deliveries due, perhaps some that this lane was not told of.</summary>
    public void Poll()
    {
        lock (_gate)
            _window.Doubt();
        Pump();
    }

    /// <summary>
    /// So many are pending by the store's own count. It is taken over only where two counts are off by the same: what is stored
    /// and about to be offered, or was counted and has ended since, is on its way once. While something is under way it says nothing.
    /// </summary>
    /// <returns>False where it should be counted again soon.</returns>
    public bool Recount(int pending)
    {
        lock (_gate)
        {
            var before = _miscount;
            _miscount = _stopping || _underWay + _settling > 0 ? 0 : pending - _pending;
            if (_miscount == 0)
                return true;
            if (_miscount != before)
                return false;
            AddPending(_miscount);
            _miscount = 0;
            _oldestPending = null;
            _snapshot = null;
            return true;
        }
    }

    /// <summary>The time that was asked for has come.</summary>
    public void Wake()
    {
        lock (_gate)
            _wakeAt = DateTimeOffset.MaxValue;
        Pump();
    }

    /// <summary>Ends pending deliveries that are too old to be tried; those under way are left alone.</summary>
    /// <param name="retention">The age limit of what was held until lately: it is not lost to the spec's own limit.</param>
    public async Task ExpireAsync(TimeSpan retention, CancellationToken cancellation)
    {
        HashSet<DeliveryId> held;
        DateTimeOffset cutoff;
        lock (_gate)
        {
            if (_pending == 0 || _stopping)
                return;
            held = _window.HeldIds;
            var (now, maxAge) = (_context.Time.GetUtcNow(), _subscription.Delivery.Retry.MaxAge);
            var young = _health.State.HeldUntil > now - maxAge;
            cutoff = now - (young && retention > maxAge ? retention : maxAge);
        }
        for (var ended = 1; ended > 0;)
        {
            ended = await _context.Store.EndPendingAsync(
                _subscription.Uid, DeliveryState.Dead, cutoff, held, _context.Time.GetUtcNow(), cancellation);
            lock (_gate)
            {
                if (_stopping)
                    return;
                AddPending(-ended);
                _health.AddDeadLettered(ended);
                _oldestPending = null;
                _snapshot = null;
            }
            _series.AddDead(ended);
        }
    }

    /// <summary>
    /// What status and metrics show. Reads the store where the oldest pending delivery is not in memory; where
    /// nothing has happened since the last call, it is the same snapshot again, since fleets are mostly idle.
    /// </summary>
    public Task<DeliverySnapshot> SnapshotAsync(CancellationToken cancellation)
    {
        lock (_gate)
        {
            var now = _context.Time.GetUtcNow();
            if (_snapshot is { } kept && now - _snapshotTime < SnapshotLifetime)
                return kept;
            // Where all of them are held, the store need not be asked, which under load would have to look through many.
            if (_pending == _window.Held)
                _oldestPending ??= _window.OldestHeld;
            if (_pending > 0 && _oldestPending is null)
                return ReadSnapshotAsync(cancellation);
            _snapshotTime = now;
            return _snapshot = Task.FromResult(TakeSnapshot(now));
        }
    }

    private async Task<DeliverySnapshot> ReadSnapshotAsync(CancellationToken cancellation)
    {
        var ended = Volatile.Read(ref _ended);
        var oldest = await _context.Store.ReadOldestPendingAsync(_subscription.Uid, cancellation);
        lock (_gate)
        {
            _oldestPending = oldest;
            var snapshot = TakeSnapshot(_context.Time.GetUtcNow());
            // It may have ended while it was read.
            if (_ended != ended)
                _oldestPending = null;
            return snapshot;
        }
    }

    /// <summary>What ends without ever having been counted, since a hint was lost, leaves the count too low until the store's own is taken over.</summary>
    private DeliverySnapshot TakeSnapshot(DateTimeOffset now) =>
        DeliverySnapshot.Of(_health, _circuit.Snapshot, Math.Max(0, _pending), _pending > 0 ? _oldestPending : null, now);

    /// <summary>Writes what the snapshot shows to the subscription's gauges.</summary>
    public async Task ObserveAsync(CancellationToken cancellation)
    {
        var snapshot = await SnapshotAsync(cancellation);
        lock (_gate)
        {
            if (_stopping)
                return;
            var age = snapshot.OldestPendingTime is { } oldest ? Math.Max(0, (_context.Time.GetUtcNow() - oldest).TotalSeconds) : 0;
            _series.Set(snapshot.Pending, age, (int)_circuit.Snapshot.Position);
            _series.SetHeld(_subscription.Suspended, _health.State.Disabled is not null, _subscription.Endpoint is null);
        }
    }

    /// <summary>Starts nothing more; completes once nothing is under way. <see cref="Cancel"/> hurries it.</summary>
    public Task StopAsync()
    {
        lock (_gate)
        {
            _stopping = true;
            _flows = false;
            _window.Drop();
            if (_underWay + _settling == 0)
                _idle.TrySetResult();
        }
        return _idle.Task;
    }

    /// <summary>Another process goes on: completes once nothing is under way and, unless nothing must be saved any more, all is saved.</summary>
    public async Task LeaveAsync(bool save)
    {
        if (!save)
            await _lost.CancelAsync();
        await StopAsync();
        if (save && _health.HasSeen)
            Save();
        await _keeper.FlushAsync();
        lock (_gate)
            _context.AddPending(-_pending);
        _series.Remove();
    }

    /// <summary>Breaks off what is under way; it stays pending and costs no attempt. What is still to be saved has a moment left.</summary>
    public void Cancel()
    {
        _stop.Cancel();
        _lost.CancelAfter(SaveGrace);
    }

    /// <summary>For a deleted subscription: its series go at once, and what it has pending ends in the store.</summary>
    public async Task RemoveAsync(CancellationToken cancellation)
    {
        var idle = StopAsync();
        _series.Remove();
        Cancel();
        await _lost.CancelAsync();
        await idle;
        await CancelPendingAsync(_context, _subscription.Uid, _subscription.Name, cancellation);
        lock (_gate)
            AddPending(-_pending);
    }

    /// <summary>Cancels everything that is pending for a subscription that exists no more.</summary>
    public static async Task CancelPendingAsync(
        LaneContext context, string uid, NamespacedName name, CancellationToken cancellation)
    {
        long cancelled = 0;
        for (var chunk = 1; chunk > 0; cancelled += chunk)
            chunk = await context.PersistAsync(
                token => context.Store.EndPendingAsync(
                    uid, DeliveryState.Cancelled, null, None, context.Time.GetUtcNow(), token),
                cancellation);
        context.Logger.LaneRemoved(name, cancelled);
    }

    public void Dispose()
    {
        _stop.Dispose();
        _lost.Dispose();
    }

    private static int WindowSize(int concurrency) => Math.Max(SmallestWindow, 4 * concurrency);

    private TokenBucket? NewBucket(bool full) =>
        _subscription.Delivery.RateLimit is { } limit ? new TokenBucket(limit, _context.Time.GetUtcNow(), full) : null;

    /// <summary>Starts what may start, and looks for more where there is room. Called after every change.</summary>
    public void Pump()
    {
        lock (_gate)
        {
            _snapshot = null;
            _flows = !_stopping && StartNext();
        }
    }

    /// <returns>Whether what is offered next will be sent without a wait for anything but those before it.</returns>
    private bool StartNext()
    {
        var now = _context.Time.GetUtcNow();
        var circuit = _circuit.Snapshot;
        if (_health.Hold(Holds, now, _subscription.Delivery.Retry.MaxAge))
            Save();
        if (Holds)
        {
            _window.Drop();
            return false;
        }
        if (circuit.Position == CircuitPosition.Open && circuit.NextProbeTime is { } probe && now < probe)
        {
            _window.Drop();
            WakeAt(probe);
            return false;
        }
        var probing = circuit.Position != CircuitPosition.Closed;
        var slots = probing ? 1 : _subscription.Delivery.Concurrency;
        var limited = false;
        using var formation = Convoy.Form();
        while (_underWay < slots && _underWay + _settling < UnsettledPerSlot * slots && _window.Ready > 0)
        {
            if (_bucket is not null && !_bucket.TryTake(now, out var wait))
            {
                WakeAt(now + wait);
                limited = true;
                break;
            }
            _underWay++;
            Convoy.Add(new Start(this, _window.Dequeue(), _health.State.HeldUntil, _circuit.BreakerFor(_subscription)));
        }
        ReadWhereUseful(now, slots, probing);
        // Where a receiver fails, most is tried again, and so better stored for that from the beginning.
        return !probing && !limited && _window.IsOpen && _health.State.FailingSince is null;
    }

    private void ReadWhereUseful(DateTimeOffset now, int slots, bool probing)
    {
        var enough = _window.Ready >= slots;
        if (_window.Reading || (enough && !_window.InDoubt) || (probing && _underWay > 0) || _window.NextRead is not { } at)
            return;
        if (at > now)
        {
            WakeAt(at);
            return;
        }
        var bytes = Math.Clamp(_context.Budget.Free, 0, ReadBytes);
        var room = probing ? 1 : (int)Math.Clamp(bytes / Window.Overhead, 1, Math.Max(1, WindowSize(slots) - _window.Ready));
        if (bytes == 0 && _window.Held > 0)
            return; // Each delivery that ends pumps again.
        // Where enough is held, what was stored just now is no news: it is about to be offered.
        _ = ReadAsync(_window.BeginRead(now), enough ? now - Window.Stragglers : now, room, bytes, _window.HeldIds);
    }

    private async Task ReadAsync(DateTimeOffset since, DateTimeOffset until, int limit, long bytes, HashSet<DeliveryId> held)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        DueDeliveries? read = null;
        try
        {
            read = await _context.Store.ReadDueAsync(_subscription.Uid, since, until, limit, bytes, held, _stop.Token);
        }
        catch (StoreUnavailableException e)
        {
            _context.Logger.StoreRetry(ReadRetry.TotalSeconds, e.Message);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            _context.Logger.LoopFault($"Reading due deliveries of {_subscription.Name}", e);
        }
        lock (_gate)
        {
            if (read is null)
                _window.FailRead(_context.Time.GetUtcNow() + ReadRetry);
            else
                _window.EndRead(read, _context.Time.GetUtcNow());
            if (_stopping)
                _window.Drop();
        }
        Pump();
    }

    private async Task RunAsync(PendingDelivery delivery, DateTimeOffset? heldUntil, CircuitBreaker breaker)
    {
        var subscription = Subscription;
        var outcome = new AttemptOutcome(new Verdict(VerdictKind.Parked), null);
        var applied = false;
        try
        {
            outcome = await Attempt.RunAsync(_context, subscription, delivery, heldUntil, _claim, breaker, _stop.Token);
            if (outcome.Verdict.Kind == VerdictKind.Delivered)
                FreeSlot();
            if (outcome.Settlement is { } settlement)
            {
                applied = await _context.PersistAsync(
                    (_context.Store, settlement), static (what, token) => what.Store.SettleAsync(what.settlement, token), _stop.Token);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Not recorded, so it is sent again.
        }
        catch (Exception e)
        {
            _context.Logger.LoopFault($"Delivering for {subscription.Name}", e);
        }
        Finish(subscription, delivery, outcome, applied);
        Pump();
    }

    /// <summary>The receiver has answered and is free for the next. Any verdict but Delivered must be recorded first, since it may hold the lane.</summary>
    private void FreeSlot()
    {
        lock (_gate)
        {
            _underWay--;
            _settling++;
        }
        Pump();
    }

    private void Finish(Subscription subscription, PendingDelivery delivery, in AttemptOutcome outcome, bool applied)
    {
        lock (_gate)
        {
            if (outcome.Verdict.Kind == VerdictKind.Delivered)
                _settling--;
            else
                _underWay--;
            if (!applied)
            {
                _window.Return(delivery, _context.Time.GetUtcNow() + ReturnPause);
                _bucket?.Return();
            }
            else
            {
                _window.Settled(delivery, outcome.Settlement!.State == DeliveryState.Pending ? outcome.Settlement.DueTime : null);
                Account(subscription, delivery, outcome);
            }
            if (_stopping && _underWay + _settling == 0)
                _idle.TrySetResult();
        }
        if (applied)
            _reporter.Report(subscription, delivery, outcome.Settlement!);
    }

    private void Account(Subscription subscription, PendingDelivery delivery, in AttemptOutcome outcome)
    {
        if (outcome.Settlement!.State != DeliveryState.Pending)
        {
            _ended++;
            AddPending(-1);
            if (delivery.Event.AcceptedTime <= _oldestPending)
                _oldestPending = null;
        }
        var wasDisabled = _health.State.Disabled is not null;
        if (!_health.Record(subscription, delivery, outcome))
            return;
        if (!wasDisabled && _health.State.Disabled is { } disabled)
            _context.Logger.Disabled(subscription.Name, disabled.Reason, disabled.Message);
        Save();
    }

    /// <summary>Called from within a request.</summary>
    private void CircuitMoved()
    {
        if (_claim == 0)
            return;
        lock (_gate)
            Save();
    }

    /// <summary>Where other processes may go on, with all that they need for that. Called under the lock.</summary>
    private void Save()
    {
        if (_lost.IsCancellationRequested)
            return;
        _keeper.Save(_claim == 0 ? _health.State : _health.State with
        {
            Circuit = _circuit.Broken,
            Counters = _health.Counters,
        });
    }

    private void AddPending(long change)
    {
        _pending += change;
        _context.AddPending(change);
    }

    private void WakeAt(DateTimeOffset time)
    {
        if (time >= _wakeAt)
            return;
        _wakeAt = time;
        _context.WakeQueue.Add(this, time);
    }

    /// <summary>A delivery whose turn has come.</summary>
    private sealed class Start(Lane lane, PendingDelivery delivery, DateTimeOffset? heldUntil, CircuitBreaker breaker) : IThreadPoolWorkItem
    {
        public void Execute() => _ = lane.RunAsync(delivery, heldUntil, breaker);
    }
}
