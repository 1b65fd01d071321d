using System.Threading.Channels;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// Owns the connection that writes. One thread takes all that is queued, runs it in one transaction, and
/// tells the callers after the commit, so that many share the price of one fsync.
/// </summary>
internal sealed partial class GroupCommitter : IDisposable
{
    private const int MaxOperations = 1024;
    private const long MaxBytes = 8 << 20;
    private static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(1);

    private readonly string _path;
    private readonly Instruments _instruments;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Checkpointer _checkpointer;
    private readonly Channel<WriteOperation> _queue =
        Channel.CreateUnbounded<WriteOperation>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Thread _thread;
    private readonly ITimer _probe;
    private StoreWriter? _writer;
    private WriteOperation? _carried;
    private string? _fault;

    public GroupCommitter(string path, Instruments instruments, TimeProvider time, ILogger logger)
    {
        _path = path;
        _instruments = instruments;
        _time = time;
        _logger = logger;
        foreach (var operation in WriteNames.All)
            instruments.StoreCommitDuration.WithLabels(operation);
        _writer = StoreWriter.Open(path);
        _checkpointer = new Checkpointer(path, logger);
        _probe = time.CreateTimer(_ => Probe(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _thread = new Thread(Loop) { Name = "store-writer", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Why the last commit failed; null once one has succeeded since.</summary>
    public string? Fault => Volatile.Read(ref _fault);

    /// <summary>
    /// Queues a change; the task ends when it is committed. Cancelled before its turn, it is not run at all.
    /// </summary>
    public Task<T> RunAsync<T>(string name, long bytes, Func<StoreWriter, T> work, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested)
            return Task.FromCanceled<T>(cancellation);
        var operation = new WriteOperation<T>(name, bytes, work, cancellation);
        if (!_queue.Writer.TryWrite(operation))
            return Task.FromException<T>(new StoreUnavailableException($"The store {_path} is closed."));
        return operation.Task;
    }

    /// <summary>Commits what is queued, then closes. What is called later fails.</summary>
    public void Dispose()
    {
        _probe.Dispose();
        _queue.Writer.TryComplete();
        _thread.Join();
        _checkpointer.Dispose();
        _writer?.Dispose();
    }

    private void Loop()
    {
        var group = new List<WriteOperation>(MaxOperations);
        while (_carried is not null || _queue.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            Take(group);
            if (group.Count > 0)
                Commit(group);
            group.Clear();
        }
    }

    private void Take(List<WriteOperation> group)
    {
        var bytes = 0L;
        while (group.Count < MaxOperations && (_carried is not null || _queue.Reader.TryRead(out _carried)))
        {
            var next = _carried!;
            if (group.Count > 0 && bytes + next.Bytes > MaxBytes)
                return;
            _carried = null;
            if (next.TryCancel())
                continue;
            bytes += next.Bytes;
            group.Add(next);
        }
    }

    private void Commit(List<WriteOperation> group)
    {
        var started = _time.GetTimestamp();
        try
        {
            _writer ??= StoreWriter.Open(_path);
            if (!TryRunAll(group, isolated: false))
                TryRunAll(group, isolated: true);
        }
        catch (Exception e)
        {
            Failed(group, e);
            return;
        }

        _instruments.StoreCommitDuration.WithLabels(group[0].Name).Observe(_time.GetElapsedTime(started).TotalSeconds);
        _instruments.StoreBatchSize.Observe(group.Count);
        if (Interlocked.Exchange(ref _fault, null) is not null)
            LogRecovered(_path);
        foreach (var operation in group)
        {
            if (operation.Fault is { } fault)
                operation.Fail(fault);
            else
                operation.Complete();
        }
        _checkpointer.Committed(_writer);
    }

    /// <summary>
    /// Runs and commits the group. A savepoint around each operation costs as much as a small operation, so
    /// they are only set once an operation has failed.
    /// </summary>
    /// <returns>False if an operation failed without <paramref name="isolated"/>; nothing is changed then.</returns>
    private bool TryRunAll(List<WriteOperation> group, bool isolated)
    {
        var writer = _writer!;
        writer.Begin();
        foreach (var operation in group)
        {
            if (isolated)
                writer.SetSavepoint();
            try
            {
                operation.Run(writer);
            }
            catch (Exception e) when (!StorageFault.Is(e))
            {
                if (!isolated)
                {
                    writer.Rollback();
                    return false;
                }
                operation.Fault = e;
                writer.RollbackToSavepoint();
            }
            if (isolated)
                writer.ReleaseSavepoint();
        }
        writer.Commit();
        return true;
    }

    private void Failed(List<WriteOperation> group, Exception e)
    {
        var unavailable = StorageFault.Unavailable(_path, e);
        if (Interlocked.Exchange(ref _fault, unavailable.Message) != unavailable.Message)
            LogFailed(_path, unavailable.Message, e);
        // A new connection trusts nothing that the failed one has in memory.
        _writer?.Dispose();
        _writer = null;
        foreach (var operation in group)
            operation.Fail(unavailable);
        _probe.Change(ProbeInterval, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Finds out that writing works again also while nobody calls, since callers stay away from a store that is not ready.</summary>
    private void Probe()
    {
        var probe = new WriteOperation<bool>(WriteNames.Probe, 0, static writer => writer.Probe(), CancellationToken.None);
        // Observed, so that its failure does not reach the finalizer as an unhandled one.
        _ = probe.Task.ContinueWith(
            static task => _ = task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        _queue.Writer.TryWrite(probe);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Store {Path} refuses all changes: {Reason}")]
    private partial void LogFailed(string path, string reason, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Store {Path} accepts changes again")]
    private partial void LogRecovered(string path);
}

/// <summary>The values of the label <c>operation</c>.</summary>
internal static class WriteNames
{
    public const string Enqueue = "enqueue";
    public const string Settle = "settle";
    public const string SaveState = "save_state";
    public const string Redeliver = "redeliver";
    public const string Replay = "replay";
    public const string EndPending = "end_pending";
    public const string Sweep = "sweep";
    public const string Probe = "probe";

    public static readonly string[] All = [Enqueue, Settle, SaveState, Redeliver, Replay, EndPending, Sweep, Probe];
}
