namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>A change that waits for its turn in a commit.</summary>
internal abstract class WriteOperation(string name, long bytes) : IOutcome
{
    /// <summary>As the metrics name it.</summary>
    public string Name { get; } = name;

    /// <summary>Roughly what it adds to the transaction.</summary>
    public long Bytes { get; } = bytes;

    /// <summary>Why it was not done; set before <see cref="Tell"/>.</summary>
    public Exception? Fault { get; set; }

    /// <summary>True once it has been cancelled; then it must not be run, only told.</summary>
    public abstract bool TryCancel();

    public abstract void Tell();
}

internal abstract class WriteOperation<T>(string name, long bytes, CancellationToken cancellation) : WriteOperation(name, bytes)
{
    // Not RunContinuationsAsynchronously: Outcomes runs them, many on one thread.
    private readonly TaskCompletionSource<T> _completion = new();
    private bool _cancelled;

    public Task<T> Task => _completion.Task;

    /// <summary>Set by the group that it was part of.</summary>
    public T Result { get; set; } = default!;

    public override bool TryCancel() => _cancelled = cancellation.IsCancellationRequested;

    public override void Tell()
    {
        if (Fault is not null)
            _completion.TrySetException(Fault);
        else if (_cancelled)
            _completion.TrySetCanceled(cancellation);
        else
            _completion.TrySetResult(Result);
    }
}

/// <summary>Events of one call, and for each the ids that it is to have, which stay the same however often it is tried.</summary>
internal sealed class EnqueueOperation(PreparedEvent[] events, CancellationToken cancellation)
    : WriteOperation<Enqueued[]>(WriteNames.Enqueue, events.Sum(e => e.Bytes), cancellation)
{
    public PreparedEvent[] Events => events;
}

/// <param name="settlement">What to record.</param>
/// <param name="uncertain">It was tried before, and perhaps it was committed then.</param>
/// <param name="cancellation">Before its turn.</param>
internal sealed class SettleOperation(Settlement settlement, bool uncertain, CancellationToken cancellation)
    : WriteOperation<bool>(WriteNames.Settle, 0, cancellation)
{
    public Settlement Settlement => settlement;

    /// <summary>Where the delivery was stored with others; null where it is by itself.</summary>
    public AcceptedRow? Row => settlement.Delivery.StoredIn as AcceptedRow;

    public bool Uncertain => uncertain;
}

internal sealed class SaveStateOperation(string uid, SubscriptionState state, long claim, CancellationToken cancellation)
    : WriteOperation<bool>(WriteNames.SaveState, 0, cancellation)
{
    public string Uid => uid;

    public SubscriptionState State => state;

    public long Claim => claim;
}

/// <summary>Changes nothing, to see whether anything can be changed.</summary>
internal sealed class ProbeOperation() : WriteOperation<bool>(WriteNames.Probe, 0, CancellationToken.None);

/// <param name="Id">The event's; for a duplicate, the first one's.</param>
internal readonly record struct Enqueued(long Id, int Deliveries, bool Duplicate);
