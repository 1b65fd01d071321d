namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>A change that waits for its turn in a commit. Run by the writer's thread, at times more than once.</summary>
internal abstract class WriteOperation(string name, long bytes)
{
    /// <summary>As the metrics name it.</summary>
    public string Name { get; } = name;

    /// <summary>Roughly what it adds to the transaction.</summary>
    public long Bytes { get; } = bytes;

    /// <summary>What it threw, where that was its own fault and not the storage's; set by the writer.</summary>
    public Exception? Fault { get; set; }

    /// <summary>True once it has been cancelled; then it must not be run.</summary>
    public abstract bool TryCancel();

    public abstract void Run(StoreWriter writer);

    public abstract void Complete();

    public abstract void Fail(Exception exception);
}

internal sealed class WriteOperation<T>(string name, long bytes, Func<StoreWriter, T> work, CancellationToken cancellation)
    : WriteOperation(name, bytes)
{
    private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private T _result = default!;

    public Task<T> Task => _completion.Task;

    public override bool TryCancel() =>
        cancellation.IsCancellationRequested && _completion.TrySetCanceled(cancellation);

    public override void Run(StoreWriter writer) => _result = work(writer);

    public override void Complete() => _completion.TrySetResult(_result);

    public override void Fail(Exception exception) => _completion.TrySetException(exception);
}
