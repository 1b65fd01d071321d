using SQLitePCL;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>
/// Keeps the write-ahead log short without stalling commits. Most of it is copied from another thread while
/// commits go on; but under load that never catches up with the last commit, and the log can only start
/// over when all of it is copied, so the few pages that are left are copied between two commits.
/// </summary>
internal sealed partial class Checkpointer(string path, ILogger logger) : IDisposable
{
    /// <summary>What the log is cut to when it starts over after it had grown longer.</summary>
    public const long KeptWalBytes = 64 << 20;

    /// <summary>16 MiB.</summary>
    private const int ThresholdPages = 4096;

    /// <summary>256 MiB: from here on, the log matters more than the next commit's delay.</summary>
    private const int PressingPages = 16 * ThresholdPages;

    private const int FewPages = 1024;
    private const int Rounds = 5;
    private const int WaitMilliseconds = 100;
    private const int PressingWaitMilliseconds = 5000;

    private readonly Connection _connection = Connection.Open(path, cacheKiB: 1024, StoreWriter.BusyMilliseconds);
    private Task<int>? _copying;
    private int _pages;
    private int _next = ThresholdPages;

    /// <summary>Called by the thread that commits, between two transactions.</summary>
    public void Committed(StoreWriter writer)
    {
        _pages += writer.TakePagesWritten();
        if (_copying is null)
        {
            if (_pages >= _next)
                _copying = Task.Factory.StartNew(Copy, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            return;
        }
        if (!_copying.IsCompleted)
            return;
        var remaining = _copying.Result;
        _copying = null;
        if (remaining <= FewPages || _pages >= PressingPages)
            StartOver(writer);
        // Not at every commit, where a long read or a fault stands in the way.
        _next = _pages + ThresholdPages;
    }

    public void Dispose()
    {
        _copying?.Wait();
        _connection.Dispose();
    }

    private int Copy()
    {
        try
        {
            var remaining = int.MaxValue;
            for (var round = 0; round < Rounds && remaining > FewPages; round++)
                _connection.Checkpoint(raw.SQLITE_CHECKPOINT_PASSIVE, out remaining);
            return remaining;
        }
        catch (Exception e)
        {
            LogFailed(path, StorageFault.Describe(path, e), e);
            return int.MaxValue;
        }
    }

    private void StartOver(StoreWriter writer)
    {
        try
        {
            // Waits for reads that still need the log; later ones no longer do.
            var wait = _pages >= PressingPages ? PressingWaitMilliseconds : WaitMilliseconds;
            if (writer.RestartWal(wait))
                _pages = 0;
        }
        catch (Exception e)
        {
            LogFailed(path, StorageFault.Describe(path, e), e);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "The write-ahead log of the store {Path} can't be copied into it, and so grows: {Reason}")]
    private partial void LogFailed(string path, string reason, Exception exception);
}
