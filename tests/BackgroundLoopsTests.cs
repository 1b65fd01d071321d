using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests;

public sealed class BackgroundLoopsTests : IDisposable
{
    private readonly CapturedLog _log = new();
    private readonly BackgroundLoops _loops;

    public BackgroundLoopsTests() => _loops = new BackgroundLoops(_log.Logger<BackgroundLoops>());

    public void Dispose() => _log.Dispose();

    [Fact]
    public async Task One_that_runs_until_it_is_stopped_is_well()
    {
        var cancelled = _loops.Start("cancelled", stop => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, stop));
        var returning = _loops.Start("returning", async stop =>
        {
            var stopped = new TaskCompletionSource();
            await using var registration = stop.Register(stopped.SetResult);
            await stopped.Task;
        });
        Assert.Null(_loops.Fault);
        await cancelled();
        await returning();
        Assert.Null(_loops.Fault);
        Assert.Empty(_log.Lines);
    }

    [Theory]
    [InlineData("returned", "it returned")]
    [InlineData("cancelled", "it was cancelled")]
    [InlineData("faulted", "IOException")]
    public async Task One_that_ends_by_itself_is_told(string end, string told)
    {
        var well = _loops.Start("well", stop => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, stop));
        var ended = _loops.Start("shards", _ => end switch
        {
            "returned" => Task.CompletedTask,
            "cancelled" => Task.FromCanceled(new CancellationToken(canceled: true)),
            _ => Task.FromException(new IOException("away")),
        });
        await Wait.UntilAsync(() => _loops.Fault is not null, "the end is told");
        Assert.StartsWith($"ended by itself: shards ({told});", _loops.Fault, StringComparison.Ordinal);

        await ended();
        await well();
        Assert.StartsWith($"ended by itself: shards ({told});", _loops.Fault, StringComparison.Ordinal);
        Assert.Contains("The loop shards has ended by itself", Assert.Single(_log.Lines));
    }
}
