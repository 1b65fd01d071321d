using System.Collections.Immutable;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store;

/// <summary>An event on its way into the store, with the subscriptions that it matched.</summary>
internal sealed record NewEvent(string Namespace, Event Event, IReadOnlyList<Subscription> Matches, DateTimeOffset AcceptedTime);

/// <param name="Id">The event's id: for a duplicate, that of the first.</param>
/// <param name="Deliveries">How many deliveries the event has: for a duplicate, those of the first.</param>
/// <param name="Duplicate">The event was there already, and nothing was added.</param>
/// <param name="Pending">The deliveries that this call added, in the order of the matches; empty for a duplicate.</param>
internal sealed record EnqueueResult(EventId Id, int Deliveries, bool Duplicate, ImmutableArray<PendingDelivery> Pending)
{
    /// <summary>Of an event that was new. Its deliveries are due at once.</summary>
    /// <param name="source">What was stored.</param>
    /// <param name="id">The event's.</param>
    /// <param name="idOf">Of its delivery with this number, from 1.</param>
    /// <param name="storedIn">For <see cref="PendingDelivery.StoredIn"/>, in the order of the matches; null for none.</param>
    public static EnqueueResult Stored(NewEvent source, long id, Func<long, int, long> idOf, IReadOnlyList<object?>? storedIn = null)
    {
        var stored = new StoredEvent(new EventId(id), source.Namespace, TimeOrderedId.TimeOf(id), source.Event);
        // To the millisecond, as it is read from the store later.
        var due = DateTimeOffset.FromUnixTimeMilliseconds(source.AcceptedTime.ToUnixTimeMilliseconds());
        var pending = ImmutableArray.CreateBuilder<PendingDelivery>(source.Matches.Count);
        for (var i = 0; i < source.Matches.Count; i++)
        {
            pending.Add(new PendingDelivery
            {
                Id = new DeliveryId(idOf(id, i + 1)),
                SubscriptionUid = source.Matches[i].Uid,
                Event = stored,
                Attempts = 0,
                Step = 0,
                StartedTime = due,
                DueTime = due,
                Version = 1,
                StoredIn = storedIn?[i],
            });
        }
        return new EnqueueResult(stored.Id, pending.Count, Duplicate: false, pending.MoveToImmutable());
    }

    public static EnqueueResult Found(long id, int deliveries) => new(new EventId(id), deliveries, Duplicate: true, []);
}

/// <summary>An event as it was accepted.</summary>
internal sealed record StoredEvent(EventId Id, string Namespace, DateTimeOffset AcceptedTime, Event Event);

/// <summary>A delivery that has not reached its end.</summary>
internal sealed record PendingDelivery
{
    public required DeliveryId Id { get; init; }

    public required string SubscriptionUid { get; init; }

    public required StoredEvent Event { get; init; }

    /// <summary>Attempts made so far, over all schedules.</summary>
    public required int Attempts { get; init; }

    /// <summary>Attempts made in the current run through the schedule; 0 after a redelivery.</summary>
    public required int Step { get; init; }

    /// <summary>When the current run through the schedule began; the age counts from here.</summary>
    public required DateTimeOffset StartedTime { get; init; }

    public required DateTimeOffset DueTime { get; init; }

    /// <summary>Grows with every change; a settlement must name the one it answers.</summary>
    public required long Version { get; init; }

    /// <summary>The store's own note of where it keeps this.</summary>
    public object? StoredIn { get; init; }
}

/// <param name="Deliveries">Due now, in order.</param>
/// <param name="More">True if more are due now than were returned.</param>
/// <param name="NextDueTime">Without more: when the next pending delivery that is not held becomes due; null if there is none.</param>
internal sealed record DueDeliveries(ImmutableArray<PendingDelivery> Deliveries, bool More, DateTimeOffset? NextDueTime);

internal enum DeliveryState
{
    Pending = 0,
    Delivered = 1,

    /// <summary>Given up: the schedule or the maximum age ended. Kept until retention ends; can be redelivered.</summary>
    Dead = 2,

    /// <summary>Its subscription was deleted.</summary>
    Cancelled = 3,
}

/// <summary>Why an attempt failed, in words that status, metrics and the log share.</summary>
internal enum ErrorClass
{
    None = 0,

    /// <summary>The receiver answered, but not with 2xx.</summary>
    HttpStatus = 1,
    Timeout = 2,
    ConnectionRefused = 3,

    /// <summary>The connection broke, or the answer was not HTTP.</summary>
    ConnectionFailed = 4,
    Dns = 5,
    Tls = 6,

    /// <summary>The address guard refused the destination.</summary>
    AddressBlocked = 7,

    /// <summary>No attempt: the delivery was older than maxAge.</summary>
    Expired = 8,

    /// <summary>The payload could not be built in the subscription's format.</summary>
    Payload = 9,

    /// <summary>A fault of the operator itself; its log has the details.</summary>
    Internal = 10,

    /// <summary>No access token could be had from the token endpoint, so no request was made.</summary>
    OAuth2 = 11,
}

/// <summary>One HTTP request and what came of it.</summary>
internal sealed record AttemptRecord
{
    /// <summary>From 1, over all schedules.</summary>
    public required int Number { get; init; }

    public required DateTimeOffset Time { get; init; }

    public required TimeSpan Duration { get; init; }

    /// <summary>Null if no answer came.</summary>
    public int? StatusCode { get; init; }

    public ErrorClass Error { get; init; }

    /// <summary>One sentence for people; null for a success. Never holds a credential.</summary>
    public string? Message { get; init; }

    /// <summary>The first 4 KiB of the response body at most.</summary>
    public ReadOnlyMemory<byte> Response { get; init; }
}

/// <summary>What to make of a pending delivery, fenced by the version that it answers.</summary>
internal sealed record Settlement
{
    /// <summary>As it came from the store.</summary>
    public required PendingDelivery Delivery { get; init; }

    public DeliveryId Id => Delivery.Id;

    public long Version => Delivery.Version;

    /// <summary>The membership under which the attempt was made (<see cref="IShardSession.Claim"/>); 0 where one process has the store to itself.</summary>
    public long Claim { get; init; }

    public required DeliveryState State { get; init; }

    /// <summary>For <see cref="DeliveryState.Pending"/>: when to try again.</summary>
    public DateTimeOffset DueTime { get; init; }

    /// <summary>Attempts made in this run of the schedule, this one counted.</summary>
    public required int Step { get; init; }

    /// <summary>Null where the delivery ends without an attempt, for example by age.</summary>
    public AttemptRecord? Attempt { get; init; }

    public required DateTimeOffset Time { get; init; }
}

/// <summary>What of a subscription must outlive a restart.</summary>
internal sealed record SubscriptionState
{
    public static readonly SubscriptionState Healthy = new();

    /// <summary>The latest time that stores can keep.</summary>
    public static readonly DateTimeOffset StillHeld = new(9999, 12, 31, 0, 0, 0, TimeSpan.Zero);

    /// <summary>The first failure after the last success; null while the last attempt succeeded.</summary>
    public DateTimeOffset? FailingSince { get; init; }

    public DisabledState? Disabled { get; init; }

    /// <summary>
    /// What is pending has been held until then, and ages only from then on; <see cref="StillHeld"/> while it is held. Null where
    /// nothing was held lately.
    /// </summary>
    public DateTimeOffset? HeldUntil { get; init; }

    /// <summary>Set while the circuit is not closed. Kept by stores for several processes, for the one that goes on.</summary>
    public BrokenCircuit? Circuit { get; init; }

    /// <summary>Kept by stores for several processes; null until a subscription was handed over.</summary>
    public DeliveryCounters? Counters { get; init; }
}

/// <param name="Since">The circuit is open since then.</param>
/// <param name="NextProbeTime">When one request may go through.</param>
/// <param name="FailedProbes">How many have failed in a row; each doubles the next break.</param>
internal sealed record BrokenCircuit(DateTimeOffset Since, DateTimeOffset NextProbeTime, int FailedProbes);

/// <param name="Since">The others count from here.</param>
internal sealed record DeliveryCounters(DateTimeOffset Since, long Delivered, long FailedAttempts, long DeadLettered);

/// <param name="Reason">A CamelCase word for the condition: Gone or FailingTooLong.</param>
/// <param name="Message">A sentence for people.</param>
/// <param name="Generation">The generation that was disabled; a later one is enabled.</param>
/// <param name="Time">Since when.</param>
internal sealed record DisabledState(string Reason, string Message, long Generation, DateTimeOffset Time);

/// <summary>What the store holds of a subscription when it is opened.</summary>
/// <param name="SubscriptionUid">Whose.</param>
/// <param name="Name">Both parts empty where a state was saved but never a delivery.</param>
/// <param name="Pending">How many.</param>
/// <param name="OldestPendingTime">When the oldest of them was accepted; null if none is pending.</param>
/// <param name="NextDueTime">The earliest due time, past or future; null if none is pending.</param>
/// <param name="State">As last saved.</param>
internal sealed record Backlog(
    string SubscriptionUid, NamespacedName Name, int Pending, DateTimeOffset? OldestPendingTime,
    DateTimeOffset? NextDueTime, SubscriptionState State);

/// <param name="State">Only these; null for all.</param>
/// <param name="Since">Only events accepted at or after.</param>
/// <param name="Limit">1 to 500.</param>
/// <param name="Before">Continue after this delivery of an earlier page.</param>
internal sealed record DeliveryQuery(DeliveryState? State, DateTimeOffset? Since, int Limit, DeliveryId? Before);

/// <param name="Items">Newest first. Can be fewer than the limit, even none, with more pages to come.</param>
/// <param name="Continue">Names the next page; null on the last.</param>
internal sealed record DeliveryPage(ImmutableArray<DeliverySummary> Items, DeliveryId? Continue);

/// <summary>A line of the delivery log.</summary>
internal sealed record DeliverySummary
{
    public required DeliveryId Id { get; init; }
    public required EventId EventId { get; init; }
    public required string EventType { get; init; }
    public required string EventSource { get; init; }

    /// <summary>The producer's own id of the event.</summary>
    public required string CloudEventId { get; init; }
    public required DeliveryState State { get; init; }
    public required int Attempts { get; init; }
    public required DateTimeOffset AcceptedTime { get; init; }

    /// <summary>When it is tried next; null once it has ended.</summary>
    public DateTimeOffset? DueTime { get; init; }
    public DateTimeOffset? EndedTime { get; init; }
    public int? LastStatusCode { get; init; }
    public ErrorClass LastError { get; init; }
}

/// <param name="Summary">As in the log.</param>
/// <param name="SubscriptionUid">Whose; it may have been deleted since.</param>
/// <param name="Subscription">Its name.</param>
/// <param name="Attempts">In order.</param>
internal sealed record DeliveryDetail(
    DeliverySummary Summary, string SubscriptionUid, NamespacedName Subscription, ImmutableArray<AttemptRecord> Attempts);

/// <summary>Which finished deliveries to send again. What is left out does not restrict.</summary>
/// <param name="Since">Accepted at or after.</param>
/// <param name="Until">Accepted before.</param>
/// <param name="Types">Exact event types, or prefixes that end in <c>*</c>.</param>
/// <param name="States">Delivered, Dead or both.</param>
internal sealed record ReplayQuery(
    DateTimeOffset? Since, DateTimeOffset? Until, ImmutableArray<string> Types, ImmutableArray<DeliveryState> States);

/// <param name="SubscriptionUid">Whose delivery it is.</param>
/// <param name="Reopened">True if it had ended and is pending again; false if it was pending anyway.</param>
internal sealed record Redelivery(string SubscriptionUid, bool Reopened);
