using CsCheck;
using Microsoft.Extensions.Time.Testing;
using Prometheus;
using WebhookOperator.Kube;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kube;

public sealed class WorkQueueTests
{
    private const string A = "a";
    private const string B = "b";

    private readonly FakeTimeProvider _time = new();
    private readonly Instruments _instruments = new(Metrics.NewCustomRegistry());

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_key_is_taken_once_however_often_it_was_added_and_the_oldest_first()
    {
        using var queue = NewQueue();
        queue.Add(A);
        queue.Add(B);
        queue.Add(A);
        Assert.Equal(2, queue.Depth);
        Assert.Equal(2, _instruments.WorkQueueDepth.WithLabels("test").Value);

        Assert.Equal([A, B], await TakeAllAsync(queue));
        var next = queue.TakeAllAsync(Cancellation);
        Assert.False(next.IsCompleted);
        queue.Done(A);
        queue.Add(A);
        Assert.Equal([A], await next);
    }

    [Fact]
    public async Task A_key_that_is_taken_is_given_to_no_other_until_it_is_done()
    {
        using var queue = NewQueue();
        queue.Add(A);
        Assert.Equal(A, await queue.TakeAsync(Cancellation));
        queue.Add(A);
        queue.AddAt(A, _time.GetUtcNow());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0, queue.Depth);
        queue.Add(B);
        Assert.Equal(B, await queue.TakeAsync(Cancellation));

        queue.Done(B);
        Assert.Equal(0, queue.Depth);
        queue.Done(A);
        Assert.Equal(A, await queue.TakeAsync(Cancellation));
        queue.Done(A);
        Assert.Equal(0, queue.Depth);
    }

    [Fact]
    public async Task A_taker_that_gives_up_takes_nothing_with_it()
    {
        using var queue = NewQueue();
        using var givingUp = new CancellationTokenSource();
        var first = queue.TakeAsync(givingUp.Token);
        var second = queue.TakeAsync(Cancellation);
        await givingUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        queue.Add(A);
        Assert.Equal(A, await second);
    }

    [Fact]
    public async Task A_time_can_be_replaced_in_both_directions()
    {
        using var queue = NewQueue();
        var start = _time.GetUtcNow();
        queue.AddAt(A, start.AddHours(1));
        queue.AddAt(A, start.AddDays(40));
        queue.AddAt(B, start.AddHours(3));
        queue.AddAt(B, start.AddHours(2));

        var next = queue.TakeAllAsync(Cancellation);
        _time.Advance(TimeSpan.FromHours(1.5));
        Assert.False(next.IsCompleted);
        _time.Advance(TimeSpan.FromHours(0.5));
        Assert.Equal([B], await next);

        next = queue.TakeAllAsync(Cancellation);
        _time.Advance(TimeSpan.FromDays(39));
        Assert.False(next.IsCompleted);
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Equal([A], await next);
    }

    [Fact]
    public async Task Failures_come_back_after_a_wait_that_doubles_up_to_1000_seconds()
    {
        using var queue = NewQueue();
        foreach (var milliseconds in Enumerable.Range(0, 20).Select(n => Math.Min(5 << n, 1_000_000)))
        {
            queue.AddAfterFailure(A);
            var next = queue.TakeAllAsync(Cancellation);
            _time.Advance(TimeSpan.FromMilliseconds(milliseconds - 1));
            Assert.False(next.IsCompleted);
            _time.Advance(TimeSpan.FromMilliseconds(1));
            Assert.Equal([A], await next);
            queue.Done(A);
        }
        queue.Forgive(A);
        queue.AddAfterFailure(A);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        Assert.Equal([A], await queue.TakeAllAsync(Cancellation));
    }

    /// <summary>Against a model that knows of each key only whether it wants a look and whether it is being looked at.</summary>
    [Fact]
    public void Whatever_happens_in_whatever_order_no_key_is_lost_or_given_out_twice() =>
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 4]).Array[1, 200].Sample(steps =>
        {
            var time = new FakeTimeProvider();
            using var queue = new WorkQueue<int>("test", time, new Instruments(Metrics.NewCustomRegistry()));
            var wanted = new HashSet<int>();
            var later = new Dictionary<int, DateTimeOffset>();
            var taken = new HashSet<int>();
            foreach (var (step, key) in steps)
            {
                switch (step)
                {
                    case 0:
                        queue.Add(key);
                        wanted.Add(key);
                        break;
                    case 1:
                        later[key] = time.GetUtcNow().AddSeconds(key);
                        queue.AddAt(key, later[key]);
                        break;
                    case 2:
                        time.Advance(TimeSpan.FromSeconds(1));
                        break;
                    case 3 when queue.Depth > 0:
                        var next = queue.TakeAsync(CancellationToken.None);
                        Assert.True(next.IsCompletedSuccessfully);
                        Assert.True(taken.Add(next.Result), "given out twice");
                        Assert.True(wanted.Remove(next.Result), "nobody wanted it");
                        later.Remove(next.Result);
                        break;
                    case 4:
                        queue.Done(key);
                        taken.Remove(key);
                        break;
                    default:
                        queue.Forgive(key);
                        break;
                }
                // A time that has come fires with the clock, or at once for one that is not in the future.
                time.Advance(TimeSpan.Zero);
                foreach (var (due, _) in later.Where(entry => entry.Value <= time.GetUtcNow()).ToArray())
                {
                    later.Remove(due);
                    wanted.Add(due);
                }
                Assert.Equal(wanted.Except(taken).Count(), queue.Depth);
            }
            // In the end all that is wanted comes out.
            time.Advance(TimeSpan.FromMinutes(1));
            foreach (var key in taken)
                queue.Done(key);
            Assert.Equal(wanted.Union(later.Keys).Count(), queue.Depth);
        });

    [Fact]
    public async Task Many_takers_and_adders_end_with_every_last_change_seen()
    {
        const int Keys = 50;
        const int Changes = 20_000;
        using var queue = NewQueue();
        var world = new int[Keys];
        var seen = new int[Keys];
        var busy = new int[Keys];
        using var stop = new CancellationTokenSource();
        var takers = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (true)
            {
                var key = await queue.TakeAsync(stop.Token);
                var number = int.Parse(key, System.Globalization.CultureInfo.InvariantCulture);
                Assert.Equal(1, Interlocked.Increment(ref busy[number]));
                Volatile.Write(ref seen[number], Volatile.Read(ref world[number]));
                Interlocked.Decrement(ref busy[number]);
                queue.Done(key);
            }
        })).ToArray();
        await Task.WhenAll(Enumerable.Range(0, 2).Select(adder => Task.Run(() =>
        {
            for (var i = 0; i < Changes; i++)
            {
                var number = (i * 7 + adder) % Keys;
                Interlocked.Increment(ref world[number]);
                queue.Add($"{number}");
            }
        })));
        await Wait.UntilAsync(() => world.SequenceEqual(seen), "every last change is seen");
        await stop.CancelAsync();
        foreach (var taker in takers)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => taker);
    }

    private WorkQueue<string> NewQueue() => new("test", _time, _instruments);

    private static async Task<IReadOnlyCollection<string>> TakeAllAsync(WorkQueue<string> queue) => await queue.TakeAllAsync(Cancellation);
}
