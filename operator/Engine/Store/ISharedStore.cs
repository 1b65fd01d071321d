using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store;

/// <summary>
/// A store that several processes work on at once. Each subscription belongs to a shard (<see cref="Shard"/>), each shard
/// to one process at a time, and only that one delivers for it; any of them stores events.
/// </summary>
internal interface ISharedStore : IDeliveryStore
{
    /// <summary>
    /// Asked on storing a delivery for the subscription with this uid: the claim under which this process will send it as soon
    /// as it is offered, or 0 where it may not. A hint, by which such a delivery costs less.
    /// </summary>
    Func<string, long> ClaimOf { set; }

    /// <summary>Becomes a member, until the session is disposed or lost.</summary>
    /// <param name="earlier">Claims that this process held before: their attempts may still end and be settled.</param>
    /// <param name="cancellation">Gives up.</param>
    Task<IShardSession> JoinAsync(IReadOnlySet<long> earlier, CancellationToken cancellation);

    /// <summary>What is pending in these shards, for each subscription that has any or has a saved state.</summary>
    Task<ImmutableArray<Backlog>> ReadBacklogsAsync(IReadOnlyCollection<int> shards, CancellationToken cancellation);

    /// <summary>The subscriptions of these shards that have a delivery due. Costs one look into an index for each.</summary>
    Task<ImmutableArray<DueSubscription>> FindDueAsync(IReadOnlyCollection<int> shards, DateTimeOffset now, CancellationToken cancellation);

    /// <summary>How many deliveries each of these has pending, but for those with more than <paramref name="limit"/>, which are left out.</summary>
    Task<IReadOnlyDictionary<string, int>> CountPendingAsync(
        IReadOnlyCollection<string> subscriptionUids, int limit, CancellationToken cancellation);

    /// <summary>
    /// Says to the others that a subscription has something to deliver. Returns at once; may get lost, since it is a hint only.
    /// </summary>
    void Tell(Hint hint);

    /// <summary>Listens to what others tell, and what this process tells itself, until cancelled.</summary>
    /// <param name="heard">Called for each hint.</param>
    /// <param name="deaf">Called after hints may have been missed.</param>
    /// <param name="cancellation">Ends it.</param>
    Task ListenAsync(Action<Hint> heard, Action deaf, CancellationToken cancellation);
}

/// <param name="SubscriptionUid">Whose; empty means that shards were released.</param>
/// <param name="Count">How many deliveries became pending.</param>
internal readonly record struct Hint(string SubscriptionUid, int Count)
{
    public static Hint ShardsReleased => new("", 0);
}

internal readonly record struct DueSubscription(string Uid, NamespacedName Name);

/// <param name="Members">Processes that are alive, this one too.</param>
/// <param name="Pending">What all of them together have pending, as they said last.</param>
internal readonly record struct Membership(int Members, long Pending);

/// <summary>
/// One process's membership. What it holds is held by the server for as long as the connection lives, so that a process
/// that dies lets go of everything. Not thread-safe.
/// </summary>
/// <remarks>
/// Every method throws <see cref="StoreUnavailableException"/> once the connection is lost; then all shards are lost too.
/// </remarks>
internal interface IShardSession : IAsyncDisposable
{
    /// <summary>Names this membership in every <see cref="Settlement"/>; never 0. Once another has taken over a shard of it, none of them count any more.</summary>
    long Claim { get; }

    /// <summary>Says that it is there and what it has pending, and asks about the others.</summary>
    Task<Membership> BeatAsync(long pending);

    /// <summary>Counts as alive no longer, so that the others take what it releases, while it still holds the rest.</summary>
    Task RetireAsync();

    /// <summary>Takes those of the candidates that nobody holds, in their order.</summary>
    Task<ImmutableArray<int>> TakeAsync(IReadOnlyCollection<int> candidates, int atMost);

    /// <summary>Lets go of shards that nothing is under way for any more.</summary>
    Task ReleaseAsync(IReadOnlyCollection<int> shards);
}
