using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Npgsql;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>
/// Takes what is queued and commits it in groups, so that many share the price of one round trip and one fsync. Under
/// load several groups are on their way at once, each on a session of its own: otherwise the time of one commit would
/// bound what is committed. What brings no bodies along (settling, above all) goes before new events.
/// </summary>
internal sealed class GroupCommitter : IAsyncDisposable
{
    private const int MaxFlights = 4;

    /// <summary>Another group sets out beside those under way once so many operations wait for each.</summary>
    private const int QueuedPerFlight = 128;

    /// <summary>
    /// From a group of so many on, calls come so fast that a larger next one is worth a moment: a commit costs much, a row little,
    /// and what is answered and sent together costs less as well.
    /// </summary>
    private const int ManyOperations = 16;

    private const int MaxOperations = 1024;
    private const long MaxBytes = 1 << 20;
    private const int MaxTries = 4;

    /// <summary>Of events that wait. Beyond it the server does not keep up, and publishers had better hear so than wait.</summary>
    private const long MaxQueuedBytes = 64L << 20;

    /// <summary>At most. The moment ends as soon as as many wait as the group before had.</summary>
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(6);
    private static readonly TimeSpan FaultProbe = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan IdleProbe = TimeSpan.FromSeconds(5);

    private readonly StoreParts _parts;
    private readonly Instruments _instruments;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SessionPool _sessions;
    private readonly ConcurrentQueue<WriteOperation> _changes = new();
    private readonly ConcurrentQueue<WriteOperation> _events = new();
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _landed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConditionalWeakTable<Settlement, object> _uncertain = [];
    private readonly ITimer _probe;
    private int _queued;
    private long _queuedBytes;
    private int _flights;

    /// <summary>Ends the wait of the one flight that waits for more; null where none does.</summary>
    private TaskCompletionSource? _gathering;

    /// <summary>What that one waits for.</summary>
    private int _enough;
    private long _lastCommit;
    private bool _closed;
    private string? _fault;

    public GroupCommitter(StoreParts parts, Instruments instruments, TimeProvider time, ILogger logger)
    {
        _parts = parts;
        _instruments = instruments;
        _time = time;
        _logger = logger;
        foreach (var operation in WriteNames.All)
        {
            instruments.StoreCommitDuration.WithLabels(operation);
            instruments.StoreErrors.WithLabels(operation);
        }
        _sessions = new SessionPool(parts.Server, MaxFlights);
        _lastCommit = time.GetTimestamp();
        _probe = time.CreateTimer(_ => Probe(), null, IdleProbe, IdleProbe);
    }

    /// <summary>Why the last commit failed; null once one has succeeded since.</summary>
    public string? Fault => Volatile.Read(ref _fault);

    /// <summary>Whether this very settlement was tried before and failed: a connection that broke does not tell what was committed.</summary>
    public bool HasFailed(Settlement settlement) => _uncertain.TryGetValue(settlement, out _);

    /// <summary>Queues a change; the task ends when it is committed. Cancelled before its turn, it is not run at all.</summary>
    public Task<T> RunAsync<T>(WriteOperation<T> operation)
    {
        if (operation.TryCancel())
            operation.Tell();
        else
            Queue(operation);
        return operation.Task;
    }

    /// <summary>Commits what is queued, then closes. What is called later fails.</summary>
    public async ValueTask DisposeAsync()
    {
        await _probe.DisposeAsync();
        lock (_gate)
        {
            _closed = true;
            _gathering?.TrySetResult();
            if (_flights == 0)
                _landed.TrySetResult();
        }
        await _landed.Task;
        await _sessions.DisposeAsync();
    }

    private void Queue(WriteOperation operation)
    {
        string message;
        lock (_gate)
        {
            if (operation.Bytes > 0 && _queuedBytes > MaxQueuedBytes)
            {
                message = $"PostgreSQL at {_parts.Server.Name} does not keep up: {MaxQueuedBytes >> 20} MiB of events wait to be stored; "
                    + "see what it is busy with, or publish more slowly.";
            }
            else if (!_closed)
            {
                (operation.Bytes > 0 ? _events : _changes).Enqueue(operation);
                _queued++;
                _queuedBytes += operation.Bytes;
                if (_queued >= _enough)
                    _gathering?.TrySetResult();
                if (_flights < Math.Min(MaxFlights, 1 + (_queued / QueuedPerFlight)))
                {
                    _flights++;
                    _ = Task.Run(FlyAsync);
                }
                return;
            }
            else
            {
                message = $"The store {_parts.Server.Name} is closed.";
            }
        }
        operation.Fault = new StoreUnavailableException(message);
        operation.Tell();
    }

    /// <summary>Commits group after group until nothing is queued.</summary>
    private async Task FlyAsync()
    {
        var cancelled = new List<WriteOperation>();
        while (true)
        {
            WriteGroup group;
            bool landed;
            lock (_gate)
            {
                group = Take(cancelled);
                landed = group.Count == 0 && _queued == 0;
                if (landed && --_flights == 0 && _closed)
                    _landed.TrySetResult();
            }
            Outcomes.Send(cancelled);
            cancelled.Clear();
            if (landed)
                return;
            if (group.Count == 0)
                continue;
            await CommitAsync(group);
            if (group.Count >= ManyOperations && !await GatherAsync(group.Count))
                return;
        }
    }

    /// <summary>Waits a moment, unless so many are queued already.</summary>
    /// <returns>False where another flight waits already, which will take what comes: then this one has landed.</returns>
    private async Task<bool> GatherAsync(int enough)
    {
        TaskCompletionSource gathering;
        lock (_gate)
        {
            if (_queued >= enough || _closed)
                return true;
            if (_gathering is not null)
            {
                _flights--;
                return false;
            }
            _gathering = gathering = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _enough = enough;
        }
        await gathering.Task.WaitAsync(Gathering, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_gate)
            _gathering = null;
        return true;
    }

    private WriteGroup Take(List<WriteOperation> cancelled)
    {
        var group = new WriteGroup();
        while (group.Count < MaxOperations && _changes.TryPeek(out var change))
        {
            if (change.TryCancel())
                cancelled.Add(change);
            else if (!group.TryAdd(change))
                break;
            Dequeue(_changes);
        }
        for (var bytes = 0L; group.Count < MaxOperations && _events.TryPeek(out var next) && (bytes == 0 || bytes + next.Bytes <= MaxBytes);)
        {
            Dequeue(_events);
            if (next.TryCancel())
            {
                cancelled.Add(next);
                continue;
            }
            bytes += next.Bytes;
            group.TryAdd(next);
        }
        return group;
    }

    private WriteOperation? Dequeue(ConcurrentQueue<WriteOperation> queue)
    {
        if (!queue.TryDequeue(out var operation))
            return null;
        _queued--;
        _queuedBytes -= operation.Bytes;
        return operation;
    }

    private async Task CommitAsync(WriteGroup group)
    {
        var started = _time.GetTimestamp();
        try
        {
            await CommitWholeAsync(group);
        }
        catch (Exception e) when (ServerFault.IsOwn(e) && group.Count > 1)
        {
            // One of them is wrong, and must not take the others with it. Each is stored by itself then.
            foreach (var operation in group.Operations)
            {
                if (operation is EnqueueOperation enqueue)
                    foreach (var @event in enqueue.Events)
                        @event.LeaveRows();
                var alone = new WriteGroup();
                alone.TryAdd(operation);
                await CommitAsync(alone);
            }
            return;
        }
        catch (Exception e) when (ServerFault.IsOwn(e))
        {
            group.Operations[0].Fault = e;
            Outcomes.Send(group.Operations);
            return;
        }
        catch (Exception e)
        {
            Failed(group, e);
            return;
        }
        Volatile.Write(ref _lastCommit, _time.GetTimestamp());
        _instruments.StoreCommitDuration.WithLabels(group.Operations[0].Name).Observe(_time.GetElapsedTime(started).TotalSeconds);
        _instruments.StoreBatchSize.Observe(group.Count);
        if (Interlocked.Exchange(ref _fault, null) is not null)
            _logger.StoreRecovered(_parts.Server.Name);
        Outcomes.Send(group.Operations);
    }

    /// <summary>Tries again where what was in the way is known and is gone after that.</summary>
    private async Task CommitWholeAsync(WriteGroup group)
    {
        for (var left = MaxTries - 1; ; left--)
        {
            try
            {
                await _sessions.RunAsync(
                    async (session, cancellation) =>
                    {
                        await group.RunAsync(session, _parts, cancellation);
                        return true;
                    },
                    CancellationToken.None);
                return;
            }
            catch (PostgresException e) when (left > 0 && e is { SqlState: PostgresErrorCodes.CheckViolation, ConstraintName: null })
            {
                // No partition for a row: another replica has dropped it.
                _parts.Partitions.Forget();
            }
            catch (PostgresException e) when (left > 0 && e is { SqlState: PostgresErrorCodes.NotNullViolation, ColumnName: "subscription" or "subscriptions" })
            {
                _parts.Keys.Forget();
            }
            catch (PostgresException e) when (left > 0 && e.SqlState == PostgresErrorCodes.UniqueViolation && IsIdClash(e))
            {
                await DrawAgainAsync(group);
            }
        }
    }

    /// <summary>Two processes draw the same ids only if a thousand others have started between them.</summary>
    private static bool IsIdClash(PostgresException e) =>
        e.ConstraintName is { } name && (name.StartsWith("event_", StringComparison.Ordinal) || name is "pending_pkey" or "accepted_pkey");

    private async Task DrawAgainAsync(WriteGroup group)
    {
        _parts.Ids.ChangeWriter(await _sessions.RunAsync(IdSource.DrawWriterAsync, CancellationToken.None));
        foreach (var enqueue in group.Operations.OfType<EnqueueOperation>())
            foreach (var @event in enqueue.Events)
                @event.Forget();
    }

    private void Failed(WriteGroup group, Exception e)
    {
        var unavailable = ServerFault.Unavailable(_parts.Server, e);
        if (Interlocked.Exchange(ref _fault, unavailable.Message) != unavailable.Message)
            _logger.StoreFailed(_parts.Server.Name, unavailable.Message, e);
        var failed = new List<WriteOperation>(group.Operations);
        lock (_gate)
        {
            // Their publishers would only wait for the same, each group as long as this one.
            while (ServerFault.IsAway(unavailable) && Dequeue(_events) is { } waiting)
                failed.Add(waiting);
            if (!_closed)
                _probe.Change(FaultProbe, IdleProbe);
        }
        foreach (var operation in failed)
        {
            _instruments.StoreErrors.WithLabels(operation.Name).Inc();
            if (operation is SettleOperation settle)
                _uncertain.AddOrUpdate(settle.Settlement, this);
            operation.Fault = unavailable;
        }
        Outcomes.Send(failed);
    }

    /// <summary>Finds out that writing works again, or no longer does, also while nobody calls: callers stay away from a store that is not ready.</summary>
    private void Probe()
    {
        if (Fault is null && _time.GetElapsedTime(Volatile.Read(ref _lastCommit)) < IdleProbe)
            return;
        var probe = new ProbeOperation();
        // Observed, so that its failure does not reach the finalizer as an unhandled one.
        _ = probe.Task.ContinueWith(
            static task => _ = task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        Queue(probe);
    }
}
