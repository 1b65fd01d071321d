using System.Collections.Concurrent;
using k8s;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Status;

/// <summary>
/// Writes what was seen while delivering to the status of the subscriptions that this replica delivers for, no
/// more often than the pace says and only where something changed.
/// </summary>
/// <param name="source">Where status goes.</param>
/// <param name="deliveries">Asks the dispatcher by uid; null where another replica delivers. It may need the store, which may be away.</param>
/// <param name="pace">How often.</param>
/// <param name="tell">Where transitions are told.</param>
/// <param name="time">For the pace and for transitions.</param>
/// <param name="random">0 to 1, spreads the writes.</param>
/// <param name="instruments">Counts the writes.</param>
/// <param name="logger">Where failed writes are told.</param>
internal sealed partial class DeliveryStatusWriter(
    IResourceSource source, Func<string, CancellationToken, Task<DeliverySnapshot?>> deliveries, StatusPace pace,
    Action<ResourceEvent> tell, TimeProvider time, Func<double> random, Instruments instruments, ILogger<DeliveryStatusWriter> logger)
{
    /// <summary>Writes under way at once.</summary>
    private const int Parallelism = 16;

    private static readonly TimeSpan FailureGap = TimeSpan.FromSeconds(5);

    /// <summary>Only a write that is not answered takes so long; the rest of the shutdown must have its time.</summary>
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<ResourceKey, Entry> _entries = new();
    private readonly WriteBudget _budget = new(pace.WritesPerSecond, pace.Burst, time.GetUtcNow());

    /// <summary>There is such a subscription, perhaps a new one of the name of another.</summary>
    public void Upserted(ResourceKey key, string uid) =>
        _entries.AddOrUpdate(key, _ => new Entry(uid), (_, before) => before.Uid == uid ? before : new Entry(uid));

    public void Removed(ResourceKey key) => _entries.TryRemove(key, out _);

    /// <summary>Writes until cancelled, and then once more all that changed, so that the last word is the true one.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            using var beat = new PeriodicTimer(pace.Beat, time);
            while (await beat.WaitForNextTickAsync(cancellation))
                await WriteDueAsync(cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            await FlushAsync();
        }
    }

    /// <summary>One beat: writes what is due by now. Not to be called twice at the same time.</summary>
    public async Task WriteDueAsync(CancellationToken cancellation) =>
        await WriteAsync(await DueAsync(all: false, cancellation), cancellation);

    private async Task FlushAsync()
    {
        using var limit = new CancellationTokenSource(FlushLimit, time);
        try
        {
            await WriteAsync(await DueAsync(all: true, limit.Token), limit.Token);
        }
        catch (OperationCanceledException)
        {
            FlushCut(FlushLimit.TotalSeconds);
        }
    }

    /// <summary>What to write now: transitions first, then the counters that have waited longest, as far as the budget goes.</summary>
    private async Task<List<Change>> DueAsync(bool all, CancellationToken cancellation)
    {
        var due = new List<Change>();
        var counters = new List<Change>();
        var now = time.GetUtcNow();
        using var impatience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        foreach (var (key, entry) in _entries)
        {
            Change? found;
            try
            {
                found = await ChangeAsync(key, entry, impatience.Token);
            }
            catch (Exception e) when (e is StoreUnavailableException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
            {
                // Others that need the store could take as long to fail; those that don't are told all the same. The store's own
                // log tells why, and the next pass begins anew.
                await impatience.CancelAsync();
                continue;
            }
            if (found is not { } change)
                continue;
            if (all || (change.IsTransition && now >= entry.NextTransition))
                due.Add(change);
            else if (!change.IsTransition && now >= entry.NextCounters)
                counters.Add(change);
        }
        foreach (var _ in due)
            _budget.Take(now);
        foreach (var change in counters.OrderBy(change => change.Entry.NextCounters))
        {
            if (_budget.TryTake(now))
                due.Add(change);
            else if (!change.Entry.Throttled)
            {
                change.Entry.Throttled = true;
                instruments.StatusWrites.WithLabels("throttled").Inc();
            }
        }
        return due;
    }

    /// <summary>Null if nothing is to be written.</summary>
    private async Task<Change?> ChangeAsync(ResourceKey key, Entry entry, CancellationToken cancellation)
    {
        if (!source.TryGetSubscription(key.Namespace, key.Name, out var resource) || resource.Metadata.Uid != entry.Uid)
            return null;
        var snapshot = await deliveries(entry.Uid, cancellation);
        if (snapshot is null)
        {
            // Should it come back, what another replica wrote meanwhile is read from the resource.
            entry.Written = null;
            return null;
        }
        var generation = resource.Metadata.Generation ?? 0;
        if (entry.Written is { } written)
        {
            return written.Snapshot == snapshot && written.Generation == generation ? null
                : new Change(key, entry, resource, snapshot, written.Part, written.Phase != DeliveryPhase.Of(snapshot, generation));
        }
        var before = resource.Status?.PartOf(StatusWriter.Delivery);
        if (before?.Circuit is null)
            // The first write is no transition: it may wait, as counters do, when thousands are new.
            return new Change(key, entry, resource, snapshot, before, IsTransition: false);
        var part = StatusComposer.Compose(snapshot, generation, before.Conditions, time.GetUtcNow());
        if (KubernetesJson.Serialize(before) == KubernetesJson.Serialize(part))
        {
            entry.Written = new Written(snapshot, generation, part);
            return null;
        }
        return new Change(key, entry, resource, snapshot, before, DeliveryPhase.Of(before) != DeliveryPhase.Of(part));
    }

    private async Task WriteAsync(List<Change> changes, CancellationToken cancellation)
    {
        var failures = new ConcurrentQueue<Exception>();
        var options = new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellation };
        await Parallel.ForEachAsync(changes, options, async (change, token) =>
        {
            var entry = change.Entry;
            var generation = change.Resource.Metadata.Generation ?? 0;
            var part = StatusComposer.Compose(change.Snapshot, generation, change.Before?.Conditions, time.GetUtcNow());
            try
            {
                await source.SaveStatusAsync(change.Key, entry.Uid, StatusWriter.Delivery, part, token);
                entry.Written = new Written(change.Snapshot, generation, part);
                entry.Throttled = false;
                instruments.StatusWrites.WithLabels("success").Inc();
                var now = time.GetUtcNow();
                entry.NextCounters = now + pace.CounterInterval * (1 + StatusPace.Jitter * (2 * random() - 1));
                if (change.IsTransition)
                    entry.NextTransition = now + pace.TransitionGap;
                foreach (var happened in DeliveryTransitions.Between(change.Resource, change.Before, part))
                    tell(happened);
            }
            catch (Exception e) when (!token.IsCancellationRequested)
            {
                instruments.StatusWrites.WithLabels("error").Inc();
                entry.NextCounters = entry.NextTransition = time.GetUtcNow() + FailureGap;
                failures.Enqueue(e);
            }
        });
        if (failures.TryPeek(out var first))
            WritesFailed(first, failures.Count, changes.Count, FailureGap.TotalSeconds);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Failed} of {Count} writes of delivery status failed and will be tried again in {Seconds} s; the first with:")]
    private partial void WritesFailed(Exception exception, int failed, int count, double seconds);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "The API server did not take the last delivery status within {Seconds} s; some statuses stay as they were, until the next start")]
    private partial void FlushCut(double seconds);

    private sealed record Written(DeliverySnapshot Snapshot, long Generation, WebhookSubscriptionStatus Part)
    {
        public DeliveryPhase Phase { get; } = DeliveryPhase.Of(Part);
    }

    /// <summary>Touched by one pass at a time.</summary>
    private sealed class Entry(string uid)
    {
        public string Uid { get; } = uid;

        /// <summary>Null before the first look.</summary>
        public Written? Written { get; set; }

        public DateTimeOffset NextTransition { get; set; }

        public DateTimeOffset NextCounters { get; set; }

        /// <summary>Due, but the budget was spent.</summary>
        public bool Throttled { get; set; }
    }

    private sealed record Change(
        ResourceKey Key, Entry Entry, WebhookSubscription Resource, DeliverySnapshot Snapshot, WebhookSubscriptionStatus? Before, bool IsTransition);
}
