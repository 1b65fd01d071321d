namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>A change that waits for its turn in a commit. Run by the writer's thread, at times more than once.</summary>
internal abstract class WriteOperation(string name, long bytes) : IOutcome
{
    /// <summary>As the metrics name it.</summary>
    public string Name { get; } = name;

    /// <summary>Roughly what it adds to the transaction.</summary>
    public long Bytes { get; } = bytes;

    /// <summary>Why it was not done; set before <see cref="Tell"/>, by the writer.</summary>
    public Exception? Fault { get; set; }

    /// <summary>Then it must not be run any more.</summary>
    public abstract bool IsCancelled { get; }

    public abstract void Run(StoreWriter writer);

    public abstract void Tell();
}

internal sealed class WriteOperation<T>(string name, long bytes, Func<StoreWriter, T> work, CancellationToken cancellation)
    : WriteOperation(name, bytes)
{
    // Not RunContinuationsAsynchronously: Outcomes runs them, many on one thread.
    private readonly TaskCompletionSource<T> _completion = new();
    private bool _ran;
    private T _result = default!;

    public Task<T> Task => _completion.Task;

    public override bool IsCancelled => cancellation.IsCancellationRequested;

    public override void Run(StoreWriter writer)
    {
        _ran = true;
        _result = work(writer);
    }

    public override void Tell()
    {
        if (Fault is not null)
            _completion.TrySetException(Fault);
        else if (_ran)
            _completion.TrySetResult(_result);
        else
            _completion.TrySetCanceled(cancellation);
    }
}
