using System.Threading.Channels;

namespace WebhookOperator.Local;

/// <summary>Hints that something below a folder changed. It may miss some and invent others.</summary>
internal sealed class FolderWatch : IDisposable
{
    /// <summary>Between a hint and a look: changes come in bursts.</summary>
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(30);

    private readonly FileSystemWatcher? _watcher;
    private readonly Channel<bool> _hints =
        Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public FolderWatch(string folder)
    {
        try
        {
            _watcher = new FileSystemWatcher(folder)
            {
                IncludeSubdirectories = true,
                NotifyFilter = NotifyFilters.FileName | NotifyFilters.DirectoryName | NotifyFilters.LastWrite | NotifyFilters.Size,
            };
            _watcher.Changed += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.Created += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.Deleted += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.Renamed += (_, _) => _hints.Writer.TryWrite(true);
            _watcher.EnableRaisingEvents = true;
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            // The system's limit of watches, or no such folder yet.
            Fault = e.Message;
        }
    }

    /// <summary>Why no hints come; null if they do.</summary>
    public string? Fault { get; }

    /// <summary>Returns after a hint, or when the time is over.</summary>
    public async Task WaitAsync(TimeSpan longest, TimeProvider time, CancellationToken cancellation)
    {
        using var timeout = new CancellationTokenSource(longest, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellation);
        try
        {
            await _hints.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return;
        }
        await Task.Delay(Gather, time, cancellation);
        _hints.Reader.TryRead(out _);
    }

    public void Dispose() => _watcher?.Dispose();
}
