using System.Collections.Concurrent;
using Microsoft.Extensions.Time.Testing;
using Prometheus;
using WebhookOperator.Kube;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kube;

public sealed class ControllerTests : IAsyncDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly Instruments _instruments = new(Metrics.NewCustomRegistry());
    private readonly CapturedLog _log = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly WorkQueue<string> _queue;
    private readonly ConcurrentQueue<string> _looks = new();
    private Task _run = Task.CompletedTask;

    public ControllerTests() => _queue = new WorkQueue<string>("test", _time, _instruments);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        _queue.Dispose();
        _stop.Dispose();
    }

    [Fact]
    public async Task Every_key_is_looked_at_at_the_start_and_again_every_10_hours()
    {
        Run((_, _) => Task.FromResult(ReconcileResult.Done), all: ["a", "b"]);
        await Wait.UntilAsync(() => _looks.Count == 2, "all are looked at");
        _time.Advance(TimeSpan.FromHours(8.9));
        Assert.Equal(2, _looks.Count);
        _time.Advance(TimeSpan.FromHours(2.2));
        await Wait.UntilAsync(() => _looks.Count == 4, "all are looked at again");
    }

    [Fact]
    public async Task A_key_comes_back_at_the_time_that_was_asked_for()
    {
        Run((_, _) => Task.FromResult(ReconcileResult.AgainAt(_time.GetUtcNow().AddMinutes(5))));
        _queue.Add("a");
        await UntilCountedAsync("requeue_after", 1);
        _time.Advance(TimeSpan.FromMinutes(5));
        await UntilCountedAsync("requeue_after", 2);
    }

    [Fact]
    public async Task A_fault_comes_back_after_a_wait_that_doubles_and_is_forgiven_by_a_success()
    {
        var fails = true;
        Run((_, _) => fails ? throw new InvalidOperationException("broken") : Task.FromResult(ReconcileResult.Done));
        _queue.Add("a");
        await UntilCountedAsync("error", 1);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await UntilCountedAsync("error", 2);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        Assert.Equal(2, _looks.Count);
        fails = false;
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await UntilCountedAsync("success", 1);
        fails = true;
        _queue.Add("a");
        await UntilCountedAsync("error", 3);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await UntilCountedAsync("error", 4);
        Assert.Contains(_log.Lines, line => line.Contains("test a could not be reconciled", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_retry_comes_back_and_what_is_terminal_does_not()
    {
        Run((key, _) => Task.FromResult(key == "retry" ? ReconcileResult.Retry("not yet") : ReconcileResult.Terminal("never")));
        _queue.Add("retry");
        _queue.Add("terminal");
        await UntilCountedAsync("error", 1);
        await UntilCountedAsync("terminal", 1);
        _time.Advance(TimeSpan.FromMinutes(1));
        await UntilCountedAsync("error", 2);
        Assert.Equal(1, Count("terminal"));
        Assert.Equal(3, _looks.Count);
    }

    [Fact]
    public async Task Several_keys_are_looked_at_at_once_and_one_key_never_twice()
    {
        var (hold, most, now) = (new TaskCompletionSource(), 0, 0);
        Run(async (_, _) =>
        {
            lock (_looks)
                most = Math.Max(most, ++now);
            await hold.Task;
            lock (_looks)
                now--;
            return ReconcileResult.Done;
        });
        foreach (var key in new[] { "a", "b", "c", "d", "e" })
            _queue.Add(key);
        await Wait.UntilAsync(() =>
        {
            lock (_looks)
                return now == 3;
        }, "all workers are busy");
        _queue.Add("a");
        hold.SetResult();
        await UntilCountedAsync("success", 6);
        Assert.Equal(3, most);
        Assert.Equal(2, _looks.Count(key => key == "a"));
        Assert.Equal(0, _instruments.WorkQueueDepth.WithLabels("test").Value);
    }

    private void Run(Func<string, CancellationToken, Task<ReconcileResult>> reconcile, string[]? all = null)
    {
        var controller = new Controller<string>("test", _queue, (key, token) =>
        {
            _looks.Enqueue(key);
            return reconcile(key, token);
        }, () => all ?? [], workers: 3, _time, () => 0.5, _instruments, _log.Logger<ControllerTests>());
        _run = Task.Run(() => controller.RunAsync(_stop.Token));
    }

    private double Count(string result) => _instruments.Reconciles.WithLabels("test", result).Value;

    private Task UntilCountedAsync(string result, int count) =>
        Wait.UntilAsync(() => Task.FromResult(Count(result) == count), () => $"{result} is {count}; it is {Count(result)}; log:\n{_log}");
}
