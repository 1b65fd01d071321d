using Microsoft.Extensions.Time.Testing;
using WebhookOperator.Api;
using WebhookOperator.Reconcile;

namespace WebhookOperator.Tests.Reconcile;

public sealed class KeyQueueTests
{
    private static readonly ResourceKey A = new("Kind", "ns", "a");
    private static readonly ResourceKey B = new("Kind", "ns", "b");
    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_key_is_taken_once_however_often_it_was_added()
    {
        using var queue = new KeyQueue(_time);
        queue.Add(A);
        queue.Add(B);
        queue.Add(A);
        Assert.Equal(2, queue.Depth);

        Assert.Equal([A, B], (await queue.TakeAsync(Cancellation)).Order(Comparer<ResourceKey>.Create((x, y) => string.CompareOrdinal(x.Name, y.Name))));
        var next = queue.TakeAsync(Cancellation);
        Assert.False(next.IsCompleted);
        queue.Add(A);
        Assert.Equal([A], await next);
    }

    [Fact]
    public async Task A_time_can_be_replaced_in_both_directions()
    {
        using var queue = new KeyQueue(_time);
        var start = _time.GetUtcNow();
        queue.AddAt(A, start.AddHours(1));
        queue.AddAt(A, start.AddDays(40));
        queue.AddAt(B, start.AddHours(3));
        queue.AddAt(B, start.AddHours(2));

        var next = queue.TakeAsync(Cancellation);
        _time.Advance(TimeSpan.FromHours(1.5));
        Assert.False(next.IsCompleted);
        _time.Advance(TimeSpan.FromHours(0.5));
        Assert.Equal([B], await next);

        next = queue.TakeAsync(Cancellation);
        _time.Advance(TimeSpan.FromDays(39));
        Assert.False(next.IsCompleted);
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Equal([A], await next);
    }

    [Fact]
    public async Task Failures_come_back_after_a_wait_that_doubles()
    {
        using var queue = new KeyQueue(_time);
        foreach (var milliseconds in new[] { 5, 10, 20 })
        {
            queue.AddAfterFailure(A);
            var next = queue.TakeAsync(Cancellation);
            _time.Advance(TimeSpan.FromMilliseconds(milliseconds - 1));
            Assert.False(next.IsCompleted);
            _time.Advance(TimeSpan.FromMilliseconds(1));
            Assert.Equal([A], await next);
        }
        queue.Forgive(A);
        queue.AddAfterFailure(A);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        Assert.Equal([A], await queue.TakeAsync(Cancellation));
    }
}
