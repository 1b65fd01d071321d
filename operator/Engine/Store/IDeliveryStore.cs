using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store;

/// <summary>
/// The durable truth about events and their deliveries. Every method that changes something returns only
/// when the change would survive a power cut. Calls may come from any thread at once and share commits.
/// </summary>
/// <remarks>
/// Every method throws <see cref="StoreUnavailableException"/> where the store can't answer now (disk full,
/// I/O fault, closed); then nothing of that call was changed, and the same call may succeed later. Of a call
/// that changes something and was cancelled, it is not known whether it did; so none that must be followed up
/// (by telling a lane, say) is given a token that a stranger can cancel.
/// </remarks>
internal interface IDeliveryStore : IAsyncDisposable
{
    /// <summary>Why the last change failed, for people; null while changes succeed. Mends itself within a second or so.</summary>
    string? Fault { get; }

    /// <summary>
    /// Stores events with their deliveries, all or none. An event whose (namespace, source, id) is there
    /// already is answered with what was stored then, and nothing is added for it; the same holds for two in
    /// one call. Deliveries start due at once.
    /// </summary>
    /// <returns>One answer for each event, in order.</returns>
    Task<ImmutableArray<EnqueueResult>> EnqueueAsync(IReadOnlyList<NewEvent> events, CancellationToken cancellation);

    /// <summary>
    /// The pending deliveries of one subscription that have become due from <paramref name="since"/> to
    /// <paramref name="now"/>, earliest due first and then oldest first, leaving out those in <paramref name="held"/>;
    /// at most <paramref name="limit"/>, and no more after <paramref name="byteLimit"/> bytes of bodies (but always one,
    /// if there is one).
    /// </summary>
    Task<DueDeliveries> ReadDueAsync(
        string subscriptionUid, DateTimeOffset since, DateTimeOffset now, int limit, long byteLimit, IReadOnlySet<DeliveryId> held,
        CancellationToken cancellation);

    /// <summary>
    /// Records the end of one attempt, or of a delivery without one. Applied only if the delivery is still
    /// pending at <see cref="Settlement.Version"/>.
    /// </summary>
    /// <returns>False where the delivery has moved on, and so nothing was changed.</returns>
    Task<bool> SettleAsync(Settlement settlement, CancellationToken cancellation);

    /// <summary>What is pending, for each subscription that has any or has a saved state.</summary>
    Task<ImmutableArray<Backlog>> ReadBacklogsAsync(CancellationToken cancellation);

    /// <summary>When the oldest pending delivery of the subscription was accepted; null if none is pending.</summary>
    Task<DateTimeOffset?> ReadOldestPendingAsync(string subscriptionUid, CancellationToken cancellation);

    /// <summary>Keeps what must outlive a restart or follow a shard to another replica.</summary>
    /// <param name="subscriptionUid">Whose.</param>
    /// <param name="state">The newest.</param>
    /// <param name="claim">As in <see cref="Settlement.Claim"/>: under one that has ended, nothing is kept.</param>
    /// <param name="cancellation">Before its turn, it is not kept at all.</param>
    Task SaveStateAsync(string subscriptionUid, SubscriptionState state, long claim, CancellationToken cancellation);

    /// <summary>The delivery log of a subscription, newest first.</summary>
    Task<DeliveryPage> ListDeliveriesAsync(string subscriptionUid, DeliveryQuery query, CancellationToken cancellation);

    /// <summary>One delivery with all its attempts; null if there is none of that id in that namespace.</summary>
    Task<DeliveryDetail?> GetDeliveryAsync(string @namespace, DeliveryId id, CancellationToken cancellation);

    /// <summary>
    /// Makes one delivery due now, at the start of its schedule, whatever its state. One that is pending
    /// keeps its place in the schedule and only becomes due.
    /// </summary>
    /// <returns>Null if there is no such delivery.</returns>
    Task<Redelivery?> RedeliverAsync(string @namespace, DeliveryId id, DateTimeOffset now, CancellationToken cancellation);

    /// <summary>
    /// Makes every finished delivery that the query selects due now, at the start of its schedule. Works in
    /// chunks of at most 1,000: where it fails midway, those before are due, and the same call again does the rest.
    /// </summary>
    /// <param name="subscriptionUid">Whose.</param>
    /// <param name="query">Which.</param>
    /// <param name="now">When they become due.</param>
    /// <param name="replayed">
    /// Called once for each chunk that is durable and has any, with how many it has, before the next one begins;
    /// so their sum is what was done, also where the call then fails.
    /// </param>
    /// <param name="cancellation">Stops before the next chunk.</param>
    Task ReplayAsync(string subscriptionUid, ReplayQuery query, DateTimeOffset now, Action<int> replayed, CancellationToken cancellation);

    /// <summary>
    /// Ends pending deliveries of a subscription: <see cref="DeliveryState.Cancelled"/> for one that was
    /// deleted, <see cref="DeliveryState.Dead"/> for those too old. Works in chunks; call again until 0.
    /// </summary>
    /// <param name="subscriptionUid">Whose.</param>
    /// <param name="state">Cancelled or Dead.</param>
    /// <param name="startedBefore">Only those whose schedule began before; null for all.</param>
    /// <param name="held">Not those: an attempt is under way.</param>
    /// <param name="now">Recorded as the time of their end.</param>
    /// <param name="cancellation">Stops before the next chunk.</param>
    /// <returns>How many this call ended.</returns>
    Task<int> EndPendingAsync(
        string subscriptionUid, DeliveryState state, DateTimeOffset? startedBefore, IReadOnlySet<DeliveryId> held,
        DateTimeOffset now, CancellationToken cancellation);

    /// <summary>
    /// Deletes events accepted before <paramref name="cutoff"/> that have nothing pending, with their
    /// deliveries and attempts, in one small chunk; call again until it returns 0.
    /// </summary>
    /// <returns>About how many rows went.</returns>
    Task<int> SweepAsync(DateTimeOffset cutoff, CancellationToken cancellation);
}

/// <summary>The store can't answer now; nothing was changed, and trying again later may succeed.</summary>
internal sealed class StoreUnavailableException : Exception
{
    public StoreUnavailableException(string message, Exception? inner = null) : base(message, inner) { }
}

/// <summary>The store can't be opened as it is; the message says what would mend it. Never thrown after start.</summary>
internal sealed class StoreOpenException : Exception
{
    public StoreOpenException(string message, Exception? inner = null) : base(message, inner) { }
}
