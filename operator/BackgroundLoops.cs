using System.Collections.Concurrent;

namespace WebhookOperator;

/// <summary>What runs in the background until it is stopped. One that ends by itself makes the process unhealthy.</summary>
internal sealed partial class BackgroundLoops(ILogger logger)
{
    private readonly ConcurrentDictionary<string, string> _ended = new();

    /// <summary>Which have ended by themselves, for people; null while none has.</summary>
    public string? Fault => _ended.IsEmpty
        ? null
        : $"ended by itself: {string.Join(", ", _ended.Order().Select(loop => $"{loop.Key} ({loop.Value})"))}; the log has more, and only a restart mends it";

    /// <summary>A loop has no end: that it returns, or is cancelled by something else than its stop, is as much a fault as an exception.</summary>
    /// <returns>Stops it, and waits for its end.</returns>
    public Func<Task> Start(string name, Func<CancellationToken, Task> run)
    {
        var stop = new CancellationTokenSource();
        var loop = Task.Run(() => RunAsync(name, run, stop.Token), CancellationToken.None);
        return async () =>
        {
            await stop.CancelAsync();
            await loop;
            stop.Dispose();
        };
    }

    private async Task RunAsync(string name, Func<CancellationToken, Task> run, CancellationToken stop)
    {
        Exception? fault = null;
        try
        {
            await run(stop);
        }
        catch (Exception e)
        {
            fault = e;
        }
        if (stop.IsCancellationRequested && fault is null or OperationCanceledException)
            return;
        var how = fault switch
        {
            null => "it returned",
            OperationCanceledException => "it was cancelled",
            _ => fault.GetType().Name,
        };
        _ended[name] = how;
        Ended(fault, name, how);
    }

    [LoggerMessage(LogLevel.Critical, "The loop {Name} has ended by itself ({How}); the process is no longer healthy")]
    private partial void Ended(Exception? exception, string name, string how);
}
