using System.Collections.Concurrent;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// Owns the connection that writes. One thread takes what is queued, runs it in one transaction, and tells the
/// callers after the commit, so that many share the price of one fsync. What brings no bodies along (settling,
/// above all) goes before new events and is never more than one group of them away from its commit: however
/// fast events come in, deliveries go on.
/// </summary>
internal sealed partial class GroupCommitter : IDisposable
{
    private const int MaxOperations = 1024;

    /// <summary>Of bodies in one group: some milliseconds of work, against which one fsync is cheap.</summary>
    private const long MaxBytes = 512 << 10;

    private static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(1);

    private readonly string _path;
    private readonly Instruments _instruments;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Checkpointer _checkpointer;
    private readonly ConcurrentQueue<WriteOperation> _changes = new();
    private readonly ConcurrentQueue<WriteOperation> _events = new();
    private readonly object _sleep = new();
    private readonly Thread _thread;
    private readonly ITimer _probe;
    private StoreWriter? _writer;
    private volatile bool _closed;

    /// <summary>1 while the thread waits, or is about to: only then does a call have to wake it.</summary>
    private int _waiting;
    private string? _fault;

    public GroupCommitter(string path, Instruments instruments, TimeProvider time, ILogger logger)
    {
        _path = path;
        _instruments = instruments;
        _time = time;
        _logger = logger;
        foreach (var operation in WriteNames.All)
        {
            instruments.StoreCommitDuration.WithLabels(operation);
            instruments.StoreErrors.WithLabels(operation);
        }
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
        Queue(operation);
        return operation.Task;
    }

    /// <summary>Commits what is queued, then closes. What is called later fails.</summary>
    public void Dispose()
    {
        _probe.Dispose();
        _closed = true;
        Wake();
        _thread.Join();
        FailQueued();
        _checkpointer.Dispose();
        _writer?.Dispose();
    }

    private void Queue(WriteOperation operation)
    {
        (operation.Bytes > 0 ? _events : _changes).Enqueue(operation);
        Wake();
        if (_closed)
            FailQueued();
    }

    private void Wake()
    {
        if (Interlocked.Exchange(ref _waiting, 0) == 0)
            return;
        lock (_sleep)
            Monitor.Pulse(_sleep);
    }

    private void Loop()
    {
        var (group, cancelled) = (new List<WriteOperation>(MaxOperations), new List<WriteOperation>());
        while (true)
        {
            Take(group, cancelled);
            if (group.Count > 0)
                Commit(group);
            else if (_closed)
                return;
            else if (cancelled.Count == 0)
                WaitForMore();
            Outcomes.Send(cancelled);
            group.Clear();
            cancelled.Clear();
        }
    }

    private void WaitForMore()
    {
        lock (_sleep)
        {
            Interlocked.Exchange(ref _waiting, 1);
            if (_changes.IsEmpty && _events.IsEmpty && !_closed)
                Monitor.Wait(_sleep);
            Volatile.Write(ref _waiting, 0);
        }
    }

    private void Take(List<WriteOperation> group, List<WriteOperation> cancelled)
    {
        while (group.Count < MaxOperations && _changes.TryDequeue(out var change))
            (change.IsCancelled ? cancelled : group).Add(change);
        for (var bytes = 0L; group.Count < MaxOperations && _events.TryPeek(out var next) && (bytes == 0 || bytes + next.Bytes <= MaxBytes);)
        {
            _events.TryDequeue(out _);
            if (next.IsCancelled)
            {
                cancelled.Add(next);
                continue;
            }
            bytes += next.Bytes;
            group.Add(next);
        }
    }

    /// <summary>Fails what came too late for the thread.</summary>
    private void FailQueued()
    {
        var late = new List<WriteOperation>();
        while (_changes.TryDequeue(out var operation) || _events.TryDequeue(out operation))
        {
            operation.Fault = new StoreUnavailableException($"The store {_path} is closed.");
            late.Add(operation);
        }
        Outcomes.Send(late);
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
        Outcomes.Send(group);
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
        {
            _instruments.StoreErrors.WithLabels(operation.Name).Inc();
            operation.Fault = unavailable;
        }
        Outcomes.Send(group);
        _probe.Change(ProbeInterval, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Finds out that writing works again also while nobody calls, since callers stay away from a store that is not ready.</summary>
    private void Probe()
    {
        var probe = new WriteOperation<bool>(WriteNames.Probe, 0, static writer => writer.Probe(), CancellationToken.None);
        // Observed, so that its failure does not reach the finalizer as an unhandled one.
        _ = probe.Task.ContinueWith(
            static task => _ = task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        Queue(probe);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Store {Path} refuses all changes: {Reason}")]
    private partial void LogFailed(string path, string reason, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Store {Path} accepts changes again")]
    private partial void LogRecovered(string path);
}
