using Microsoft.Extensions.Time.Testing;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing;
using WebhookOperator.Tests.Testing.FakeApi;

namespace WebhookOperator.Tests.Kube;

/// <summary>Whatever an API server or the way to it does, the cache comes right by itself.</summary>
public sealed class ListWatchFaultTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_state_that_is_compacted_is_listed_again(bool goneInStream)
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        server.GoneInStream = goneInStream;
        await using var follower = await Follower.StartAsync(server);
        for (var i = 0; i < 20; i++)
            follower.Create($"w{i}");
        await follower.UntilRightAsync();

        // Away meanwhile: a client that is cut off alone may be back before the state is compacted.
        await server.GoAwayAsync();
        follower.Delete("w3");
        follower.Resize("w4", 4);
        follower.Create("late");
        server.Store.Compact();
        await server.ComeAsync();
        await follower.UntilRightAsync();
        await Wait.UntilAsync(() => follower.Changes.Any(name => name.Name == "w3"), "what is gone is told");
        Assert.True(server.Requests.Count(request => request.Verb == "list") >= 2);
    }

    [Fact]
    public async Task A_watch_that_is_told_that_it_is_too_old_lists_again()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        await using var follower = await Follower.StartAsync(server);
        follower.Create("w");
        await follower.UntilRightAsync();
        var watch = await follower.WatchAsync();
        watch.SendGone();
        await follower.WatchAsync(otherThan: watch);
        Assert.True(server.Requests.Count(request => request.Verb == "list") >= 2);
        follower.Resize("w", 1);
        await follower.UntilRightAsync();
    }

    [Fact]
    public async Task A_watch_that_falls_silent_is_given_up()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var time = new FakeTimeProvider();
        await using var follower = await Follower.StartAsync(server, time);
        var silent = await follower.WatchAsync();
        silent.FallSilent();
        follower.Create("unheard");
        Assert.Equal(0, follower.Cache.Count);
        // Moved on again and again, since the client may be about to start its clock.
        await MoveUntilAsync(time, TimeSpan.FromSeconds(10),
            () => follower.Log.Lines.Any(line => line.Contains("told nothing for 150 s", StringComparison.Ordinal)), "the silence is noticed");
        await MoveUntilAsync(time, TimeSpan.FromMilliseconds(50), () => follower.Cache.Count == 1, "the watch is opened anew");
        // From where it was: nothing had been lost.
        Assert.Equal(1, server.Requests.Count(request => request.Verb == "list"));
    }

    [Fact]
    public async Task A_frame_that_is_cut_in_the_middle_is_read_again_whole()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        server.BookmarkInterval = TimeSpan.FromHours(1);
        await using var follower = await Follower.StartAsync(server);
        follower.Create("first");
        await follower.UntilRightAsync();
        (await follower.WatchAsync()).CutMidFrame();
        follower.Create("cut", 42, text: new string('x', 100_000));
        await follower.UntilRightAsync();
        Assert.Equal(1, server.Requests.Count(request => request.Verb == "list"));
    }

    [Fact]
    public async Task What_is_deleted_and_made_anew_while_nobody_looks_is_the_new_one()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        await using var follower = await Follower.StartAsync(server);
        follower.Create("w", 1);
        follower.Create("gone", 1);
        await follower.UntilRightAsync();
        Assert.True(follower.Cache.TryGet("acme", "w", out var before));

        await server.GoAwayAsync();
        follower.Delete("w");
        follower.Create("w", 1);
        follower.Delete("gone");
        await server.ComeAsync();
        await follower.UntilRightAsync();
        Assert.True(follower.Cache.TryGet("acme", "w", out var after));
        Assert.NotEqual(before.Metadata.Uid, after.Metadata.Uid);
    }

    [Fact]
    public async Task Pages_that_expire_are_read_again_as_a_whole()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        for (var i = 0; i < 30; i++)
            server.Store.Create(Follower.Collection, "acme", Follower.NewWidget($"w{i}"));
        server.Refuse = request =>
        {
            if (request.IsNextPage)
            {
                // Between two pages the world goes on, and the state that they show is forgotten.
                if (server.Store.List(Follower.Collection, null).Items.Count == 30)
                    server.Store.Delete(Follower.Collection, "acme", "w1");
                server.ExpirePages();
            }
            return Task.FromResult<FakeRefusal?>(null);
        };
        await using var follower = await Follower.StartAsync(server, null, true, new ListWatchOptions<Widget> { PageSize = 10 });
        await follower.UntilRightAsync();
        Assert.Equal(29, follower.Cache.Count);
    }

    [Fact]
    public async Task While_a_list_is_slow_the_cache_answers_with_what_it_has()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var time = new FakeTimeProvider();
        await using var follower = await Follower.StartAsync(server, time);
        follower.Create("w", 1);
        await follower.UntilRightAsync();
        var (listing, answer) = (new TaskCompletionSource(), new TaskCompletionSource());
        server.Refuse = async request =>
        {
            if (request.Verb == "list")
            {
                listing.TrySetResult();
                await answer.Task;
            }
            return null;
        };
        var watch = await follower.WatchAsync();
        watch.SendGone();
        // The pause before the list is by the clock of the client.
        await MoveUntilAsync(time, TimeSpan.FromMilliseconds(50), () => listing.Task.IsCompleted, "the list is asked for");
        follower.Resize("w", 2);
        time.Advance(TimeSpan.FromSeconds(30));
        Assert.True(follower.Cache.Synced);
        Assert.Equal(1, follower.Cache.Items.Single().Spec!.Size);
        answer.SetResult();
        await follower.UntilRightAsync();
        Assert.Equal(2, server.Requests.Count(request => request.Verb == "list"));
    }

    [Fact]
    public async Task An_API_server_that_is_busy_is_left_alone_for_as_long_as_it_asks()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        var busy = true;
        server.Refuse = _ => Task.FromResult(busy ? new FakeRefusal(429, "TooManyRequests", "too many requests", RetryAfter: 60) : null);
        var time = new FakeTimeProvider();
        await using var follower = await Follower.StartAsync(server, time, waitForSync: false);
        await Wait.UntilAsync(() => follower.Fault!.Contains("429", StringComparison.Ordinal), "the fault is told");
        for (var i = 0; i < 58; i++)
            time.Advance(TimeSpan.FromSeconds(1));
        Assert.Single(server.Requests);
        busy = false;
        await MoveUntilAsync(time, TimeSpan.FromSeconds(1), () => server.Requests.Count > 1, "it is asked again");
        await follower.UntilRightAsync();
    }

    /// <summary>A restore of etcd takes the world back to before what has been seen.</summary>
    [Fact]
    public async Task Watches_that_tell_nothing_again_and_again_end_in_a_list()
    {
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        server.BookmarkInterval = TimeSpan.FromHours(1);
        await using var follower = await Follower.StartAsync(server);
        FakeWatch? before = null;
        for (var i = 0; i < 5; i++)
        {
            before = await follower.WatchAsync(before);
            before.End();
        }
        await Wait.UntilAsync(() => server.Requests.Count(request => request.Verb == "list") == 2, "the list is read again");
        follower.Create("w");
        await follower.UntilRightAsync();
    }

    [Fact]
    public async Task After_100_cuts_under_constant_change_no_object_is_wrong()
    {
        const int Cuts = 100;
        await using var server = await FakeApiServer.StartAsync(Widget.Resource);
        server.BookmarkInterval = TimeSpan.FromMilliseconds(20);
        var random = new Random(7);
        server.Refuse = request => Task.FromResult(request.Verb == "list" && Chance(2)
            ? new FakeRefusal(500, "InternalError", "etcdserver: request timed out")
            : null);
        await using var follower = await Follower.StartAsync(server, null, true, new ListWatchOptions<Widget> { PageSize = 20 });
        using var stop = new CancellationTokenSource();
        var changing = Task.Run(async () =>
        {
            for (var i = 0; !stop.IsCancellationRequested; i++)
            {
                Change(i);
                if (i % 20 == 0)
                    await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System);
            }
        });
        for (var cut = 0; cut < Cuts; cut++)
        {
            var watch = await follower.WatchAsync();
            var seen = follower.Changes.Count;
            await Wait.UntilAsync(() => follower.Changes.Count > seen || !server.Watches.Contains(watch), "the watch tells something");
            switch (cut % 5)
            {
                case 0:
                    watch.CutMidFrame();
                    break;
                case 1:
                    watch.End();
                    break;
                case 2:
                    server.Store.Compact();
                    watch.Cut();
                    break;
                case 3:
                    watch.SendGone();
                    server.ExpirePages();
                    break;
                default:
                    watch.Cut();
                    break;
            }
            await Wait.UntilAsync(() => !server.Watches.Contains(watch), "the watch has ended");
        }
        await stop.CancelAsync();
        await changing;
        server.Refuse = _ => Task.FromResult<FakeRefusal?>(null);
        await follower.UntilRightAsync();
        Assert.True(follower.Cache.Count > 0);

        void Change(int i)
        {
            var name = $"w{i % 97}";
            var exists = server.Store.List(Follower.Collection, null).Items.Any(item => (string?)item["metadata"]!["name"] == name);
            if (!exists)
                follower.Create(name, i);
            else if (i % 7 == 0)
                follower.Delete(name);
            else
                follower.Resize(name, i);
        }

        bool Chance(int percent)
        {
            lock (random)
                return random.Next(100) < percent;
        }
    }

    /// <summary>Lets the clock of the client go on, step by step, until it is so.</summary>
    private static Task MoveUntilAsync(FakeTimeProvider time, TimeSpan step, Func<bool> condition, string what) => Wait.UntilAsync(() =>
    {
        if (!condition())
            time.Advance(step);
        return condition();
    }, what);
}
