using System.Collections.Concurrent;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Telemetry;
using static WebhookOperator.Tests.Engine.Delivery.DispatcherFixture;

namespace WebhookOperator.Tests.Engine.Delivery;

public sealed class DispatcherTests
{
    [Fact]
    public async Task What_is_published_is_delivered_once_and_recorded()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders);

        var stored = await fixture.PublishAsync(50, orders);
        await fixture.UntilSettledAsync(50);

        Assert.Equal(
            stored.Select(s => s.Id).Order(),
            fixture.Sent.Select(d => d.Event.Id).Order());
        Assert.All(await fixture.LogAsync(orders), d => Assert.Equal((DeliveryState.Delivered, 1), (d.State, d.Attempts)));
        Assert.Equal(0, fixture.Dispatcher.Pending);
    }

    [Fact]
    public async Task A_backlog_far_larger_than_the_window_is_delivered_whole_and_once()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders with { Suspended = true });
        await fixture.PublishAsync(3000, orders);

        fixture.Dispatcher.Upsert(orders);
        await fixture.UntilSettledAsync(3000);

        Assert.Equal(3000, fixture.Sent.Select(d => d.Id).Distinct().Count());
        Assert.Equal(3000, fixture.Sent.Count);
        Assert.Equal(0, (await fixture.SnapshotAsync(orders))!.Pending);
    }

    [Fact]
    public async Task A_count_of_the_store_that_sees_what_is_about_to_be_offered_counts_nothing_twice()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders);

        Assert.Equal([orders.Uid], fixture.Dispatcher.Counted(new Dictionary<string, int> { [orders.Uid] = 5 }));
        await fixture.PublishAsync(5, orders);
        await fixture.UntilSettledAsync(5);

        await fixture.UntilAsync(() => fixture.Dispatcher.Pending == 0);
        Assert.Empty(fixture.Dispatcher.Counted(new Dictionary<string, int> { [orders.Uid] = 0 }));
    }

    [Fact]
    public async Task What_two_counts_of_the_store_say_alike_is_believed()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders);

        foreach (var (count, pending, doubtful) in new[] { (3, 0, true), (2, 0, true), (2, 2, false), (2, 2, false), (0, 2, true), (0, 0, false) })
        {
            Assert.Equal(doubtful, fixture.Dispatcher.Counted(new Dictionary<string, int> { [orders.Uid] = count }).Count > 0);
            Assert.Equal(pending, fixture.Dispatcher.Pending);
        }
    }

    [Fact]
    public async Task What_was_stored_by_another_process_without_a_word_is_delivered_and_leaves_nothing_pending()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders);

        await fixture.StoreAsync(2, orders);
        fixture.Dispatcher.Polled([new DueSubscription(orders.Uid, orders.Name)], _ => true);
        await fixture.UntilSettledAsync(2);

        Assert.Equal(0, (await fixture.SnapshotAsync(orders))!.Pending);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_is_published_while_a_backlog_is_taken_up_is_sent_after_it(bool restart)
    {
        await using var fixture = await StartAsync();
        var orders = Subscription(delivery: new DeliveryPolicy { Concurrency = 1 });
        fixture.Dispatcher.Upsert(orders with { Suspended = true });
        await fixture.PublishAsync(600, orders);

        if (restart)
            await fixture.RestartAsync(orders);
        else
            fixture.Dispatcher.Upsert(orders);
        for (var i = 0; i < 30; i++)
            await fixture.PublishAsync(10, orders);
        await fixture.UntilSettledAsync(900);

        var sent = fixture.Sent.Select(d => d.Id.Value).ToArray();
        Assert.Equal(900, sent.Length);
        Assert.Equal(sent.Order(), sent);
    }

    [Fact]
    public async Task The_oldest_pending_delivery_is_told_whether_it_is_under_way_or_waits_in_the_store()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription(delivery: new DeliveryPolicy { Retry = Retries(60) });
        fixture.Dispatcher.Upsert(orders);
        var answers = new ConcurrentDictionary<DeliveryId, TaskCompletionSource<SendResult>>();
        fixture.Receiver = (_, delivery, _) =>
            answers.GetOrAdd(delivery.Id, _ => new TaskCompletionSource<SendResult>(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        var times = new List<DateTimeOffset>();
        var ids = new List<DeliveryId>();
        for (var i = 1; i <= 3; i++)
        {
            times.Add(fixture.Time.GetUtcNow());
            ids.Add((await fixture.PublishAsync(1, orders))[0].Pending[0].Id);
            await fixture.UntilAsync(() => answers.Count == i);
            fixture.Time.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.Equal((3, times[0]), await PendingAsync());

        answers[ids[0]].SetResult(Success);
        await fixture.UntilSettledAsync(1);
        Assert.Equal((2, times[1]), await PendingAsync());

        answers[ids[1]].SetResult(Unavailable);
        await fixture.UntilSettledAsync(2);
        answers[ids[2]].SetResult(Success);
        await fixture.UntilSettledAsync(3);
        Assert.Equal((1, times[1]), await PendingAsync());

        async Task<(long, DateTimeOffset?)> PendingAsync()
        {
            var snapshot = (await fixture.SnapshotAsync(orders))!;
            return (snapshot.Pending, snapshot.OldestPendingTime);
        }
    }

    [Fact]
    public async Task A_failure_is_retried_as_scheduled_and_then_dead_and_can_be_redelivered()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription(delivery: new DeliveryPolicy { Retry = Retries(10, 20) });
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = (_, _, _) => Task.FromResult(NotFound);
        var start = fixture.Time.GetUtcNow();

        var id = (await fixture.PublishAsync(1, orders))[0].Pending[0].Id;
        await fixture.UntilSettledAsync(1);
        Assert.Equal(start.AddSeconds(10), fixture.Reports.Last().DueTime);
        fixture.Time.Advance(TimeSpan.FromSeconds(9));
        Assert.Single(fixture.Sent);
        await fixture.UntilSettledAsync(3, step: TimeSpan.FromSeconds(1));

        Assert.Equal(DeliveryState.Dead, fixture.Reports.Last().State);
        var detail = await fixture.Store.GetDeliveryAsync("acme", id, CancellationToken.None);
        Assert.Equal([1, 2, 3], detail!.Attempts.Select(a => a.Number));
        Assert.All(detail.Attempts, a => Assert.Equal(404, a.StatusCode));

        fixture.Receiver = (_, _, _) => Task.FromResult(Success);
        var redelivery = await fixture.Store.RedeliverAsync("acme", id, fixture.Time.GetUtcNow(), CancellationToken.None);
        Assert.Equal(new Redelivery(orders.Uid, true), redelivery);
        fixture.Dispatcher.Reopen(orders.Uid, 1);
        await fixture.UntilSettledAsync(4);
        Assert.Equal(DeliveryState.Delivered, fixture.Reports.Last().State);
        Assert.Equal(0, fixture.Dispatcher.Pending);
    }

    [Fact]
    public async Task Retries_survive_a_restart_and_keep_their_place_in_the_schedule()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription(delivery: new DeliveryPolicy { Retry = Retries(10, 20) });
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = (_, _, _) => Task.FromResult(NotFound);
        await fixture.PublishAsync(1, orders);
        await fixture.UntilSettledAsync(1);

        await fixture.RestartAsync(orders);
        fixture.Time.Advance(TimeSpan.FromSeconds(11));
        await fixture.UntilSettledAsync(2);

        Assert.Equal((1, 1), (fixture.Sent.Last().Attempts, fixture.Sent.Last().Step));
        Assert.Equal(TimeSpan.FromSeconds(20), fixture.Reports.Last().DueTime - fixture.Reports.Last().Attempt!.Time);
    }

    [Fact]
    public async Task Deliveries_held_by_an_open_circuit_cost_no_attempt()
    {
        await using var fixture = await StartAsync();
        var policy = new DeliveryPolicy
        {
            Retry = Retries(3600),
            Concurrency = 1,
            CircuitBreaker = new CircuitBreakerPolicy { MinimumThroughput = 2, BreakDuration = TimeSpan.FromSeconds(60) },
        };
        var orders = Subscription(delivery: policy);
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = (_, _, _) => Task.FromResult(Unavailable);

        await fixture.PublishAsync(20, orders);
        await fixture.UntilSettledAsync(2);
        Assert.Equal(CircuitPosition.Open, (await fixture.SnapshotAsync(orders))!.Circuit.Position);
        Assert.Equal(18, (await fixture.LogAsync(orders)).Count(d => d.Attempts == 0));

        fixture.Receiver = (_, _, _) => Task.FromResult(Success);
        fixture.Time.Advance(TimeSpan.FromSeconds(61));
        await fixture.UntilSettledAsync(20);
        Assert.Equal(CircuitPosition.Closed, (await fixture.SnapshotAsync(orders))!.Circuit.Position);
        Assert.Equal(18, (await fixture.LogAsync(orders, DeliveryState.Delivered)).Count(d => d.Attempts == 1));
    }

    [Fact]
    public async Task A_probe_goes_alone()
    {
        await using var fixture = await StartAsync();
        var policy = new DeliveryPolicy
        {
            Retry = Retries(3600),
            Concurrency = 8,
            CircuitBreaker = new CircuitBreakerPolicy { MinimumThroughput = 8, BreakDuration = TimeSpan.FromSeconds(60) },
        };
        var orders = Subscription(delivery: policy);
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = (_, _, _) => Task.FromResult(Unavailable);
        await fixture.PublishAsync(8, orders);
        await fixture.UntilSettledAsync(8);

        var probe = new TaskCompletionSource<SendResult>();
        fixture.Receiver = (_, _, _) => probe.Task;
        await fixture.PublishAsync(10, orders);
        fixture.Time.Advance(TimeSpan.FromSeconds(61));
        await fixture.UntilAsync(() => fixture.Sent.Count == 9);
        await fixture.PublishAsync(10, orders);
        Assert.Equal(9, fixture.Sent.Count);

        fixture.Receiver = (_, _, _) => Task.FromResult(Success);
        probe.SetResult(Success);
        await fixture.UntilSettledAsync(28);
    }

    [Fact]
    public async Task Gone_disables_at_once_holds_the_rest_and_a_new_generation_delivers_it()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription(delivery: new DeliveryPolicy { Concurrency = 1, Retry = Retries(1) });
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = (_, _, _) => Task.FromResult(Gone);
        await fixture.PublishAsync(5, orders);
        await fixture.UntilSettledAsync(1);

        var disabled = (await fixture.SnapshotAsync(orders))!.Disabled;
        Assert.Equal(("Gone", 1), (disabled!.Reason, disabled.Generation));
        await fixture.PublishAsync(2, orders);

        fixture.Receiver = (_, _, _) => Task.FromResult(Success);
        await fixture.UntilAsync(() => SavedState(fixture, orders).Disabled is not null);
        await fixture.RestartAsync(orders);
        fixture.Time.Advance(TimeSpan.FromHours(1));
        Assert.NotNull((await fixture.SnapshotAsync(orders))!.Disabled);
        Assert.Single(fixture.Sent);

        fixture.Dispatcher.Upsert(orders with { Generation = 2 });
        await fixture.UntilSettledAsync(8);
        Assert.Null((await fixture.SnapshotAsync(orders))!.Disabled);
        Assert.Equal(7, (await fixture.LogAsync(orders, DeliveryState.Delivered)).Count);
    }

    [Fact]
    public async Task Failing_without_one_success_for_too_long_disables()
    {
        await using var fixture = await StartAsync();
        var policy = new DeliveryPolicy { Retry = Retries([.. Enumerable.Repeat(600, 20)]), DisableAfter = TimeSpan.FromHours(1) };
        var orders = Subscription(delivery: policy);
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = (_, _, _) => Task.FromResult(NotFound);
        await fixture.PublishAsync(1, orders);

        // How many attempts fit into that hour depends on how far the clock runs on during each of them.
        await fixture.UntilAsync(() => SavedState(fixture, orders).Disabled is not null, TimeSpan.FromMinutes(1));

        Assert.True(fixture.Sent.Count > 1);
        var snapshot = (await fixture.SnapshotAsync(orders))!;
        Assert.Equal("FailingTooLong", snapshot.Disabled!.Reason);
        Assert.Equal(1, snapshot.Pending);
    }

    [Fact]
    public async Task A_hanging_receiver_holds_up_no_other()
    {
        await using var fixture = await StartAsync();
        var (stuck, healthy) = (Subscription("stuck"), Subscription("healthy"));
        fixture.Dispatcher.Upsert(stuck);
        fixture.Dispatcher.Upsert(healthy);
        fixture.Receiver = async (subscription, _, cancellation) =>
        {
            if (subscription.Uid == stuck.Uid)
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellation);
            return Success;
        };

        await fixture.PublishAsync(500, stuck, healthy);
        await fixture.UntilSettledAsync(500);

        Assert.All(fixture.Reports, r => Assert.Equal(healthy.Uid, r.Subscription.Uid));
        await fixture.UntilAsync(() => fixture.Sent.Count(d => d.SubscriptionUid == stuck.Uid) == 16);
    }

    [Fact]
    public async Task A_rate_limit_paces_without_loss()
    {
        await using var fixture = await StartAsync();
        var policy = new DeliveryPolicy { RateLimit = new RateLimitPolicy(10, TimeSpan.FromSeconds(1), 5) };
        var orders = Subscription(delivery: policy);
        fixture.Dispatcher.Upsert(orders);

        await fixture.PublishAsync(30, orders);
        await fixture.UntilSettledAsync(5);
        Assert.Equal(5, fixture.Sent.Count);
        for (var expected = 6; expected <= 30; expected++)
        {
            fixture.Time.Advance(TimeSpan.FromMilliseconds(101));
            await fixture.UntilSettledAsync(expected);
            Assert.Equal(expected, fixture.Sent.Count);
        }
    }

    [Fact]
    public async Task A_delivery_older_than_maxAge_dies_without_a_request()
    {
        await using var fixture = await StartAsync();
        var policy = new DeliveryPolicy
        {
            Retry = Retries(1) with { MaxAge = TimeSpan.FromHours(1) }, RateLimit = new RateLimitPolicy(1, TimeSpan.FromHours(2), 1),
        };
        var orders = Subscription(delivery: policy);
        fixture.Dispatcher.Upsert(orders);
        await fixture.PublishAsync(3, orders);
        await fixture.UntilSettledAsync(1);

        await fixture.UntilSettledAsync(2, TimeSpan.FromMinutes(10));

        Assert.Single(fixture.Sent);
        Assert.Contains(await fixture.LogAsync(orders), d => (d.State, d.Attempts) == (DeliveryState.Dead, 0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_held_for_longer_than_maxAge_is_sent_on_resume_also_after_a_restart_and_ages_from_then(bool restart)
    {
        await using var fixture = await StartAsync();
        var policy = new DeliveryPolicy { Retry = Retries(1800, 1800, 1800) with { MaxAge = TimeSpan.FromHours(1) } };
        var orders = Subscription(delivery: policy);
        var suspended = orders with { Suspended = true };
        fixture.Receiver = (_, _, _) => Task.FromResult(Unavailable);
        fixture.Dispatcher.Upsert(suspended);
        await fixture.PublishAsync(1, orders);
        fixture.Time.Advance(TimeSpan.FromHours(100));
        await fixture.Dispatcher.ExpireAsync(TimeSpan.FromHours(168), CancellationToken.None);
        if (restart)
            await fixture.RestartAsync(suspended);

        fixture.Dispatcher.Upsert(orders);
        await fixture.UntilSettledAsync(1);
        await fixture.Dispatcher.ExpireAsync(TimeSpan.FromHours(168), CancellationToken.None);
        Assert.Equal(DeliveryState.Pending, Assert.Single(await fixture.LogAsync(orders)).State);
        if (restart)
            await fixture.RestartAsync(orders);
        fixture.Time.Advance(TimeSpan.FromMinutes(31));
        await fixture.UntilSettledAsync(2);

        // A third attempt, by the schedule, would be more than an hour after the release.
        var delivery = Assert.Single(await fixture.LogAsync(orders));
        Assert.Equal((DeliveryState.Dead, 2), (delivery.State, delivery.Attempts));
    }

    [Fact]
    public async Task Upkeep_ends_what_grew_too_old_behind_an_open_circuit_but_keeps_what_is_suspended()
    {
        await using var fixture = await StartAsync();
        var policy = new DeliveryPolicy
        {
            Concurrency = 1,
            Retry = Retries(7200) with { MaxAge = TimeSpan.FromHours(1) },
            CircuitBreaker = new CircuitBreakerPolicy
            {
                MinimumThroughput = 2, BreakDuration = TimeSpan.FromHours(3), MaxBreakDuration = TimeSpan.FromHours(3),
            },
        };
        var (open, suspended) = (Subscription("open", policy), Subscription("suspended", policy) with { Suspended = true });
        fixture.Dispatcher.Upsert(open);
        fixture.Dispatcher.Upsert(suspended);
        fixture.Receiver = (_, _, _) => Task.FromResult(Unavailable);
        await fixture.PublishAsync(10, open, suspended);
        await fixture.UntilSettledAsync(2);
        // What waits in memory goes back to the store before this returns.
        fixture.Dispatcher.Upsert(open);

        fixture.Time.Advance(TimeSpan.FromHours(2));
        await fixture.Dispatcher.ExpireAsync(TimeSpan.FromHours(168), CancellationToken.None);

        Assert.Equal(0, (await fixture.SnapshotAsync(open))!.Pending);
        Assert.Equal(10, (await fixture.SnapshotAsync(suspended))!.Pending);
        Assert.Equal(10, (await fixture.LogAsync(open, DeliveryState.Dead)).Count);
    }

    [Fact]
    public async Task Deleting_a_subscription_cancels_what_is_pending_and_removes_its_series()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = async (_, _, cancellation) =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellation);
            return Success;
        };
        await fixture.PublishAsync(40, orders);
        await fixture.UntilAsync(() => fixture.Sent.Count == 16);
        Assert.Contains("subscription=\"orders\"", await ScrapeAsync(fixture));

        fixture.Dispatcher.Remove(orders.Uid);
        await fixture.UntilAsync(() => fixture.Dispatcher.Pending == 0);

        Assert.Equal(40, (await fixture.LogAsync(orders, DeliveryState.Cancelled)).Count);
        Assert.DoesNotContain("subscription=\"orders\"", await ScrapeAsync(fixture));
    }

    [Fact]
    public async Task What_a_subscription_left_that_was_deleted_meanwhile_is_cancelled_at_the_next_start()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders with { Suspended = true });
        await fixture.PublishAsync(3, orders);

        await fixture.RestartAsync();
        await fixture.Dispatcher.CancelOrphansAsync(_ => true, CancellationToken.None);

        Assert.Equal(3, (await fixture.LogAsync(orders, DeliveryState.Cancelled)).Count);
    }

    [Fact]
    public async Task Stopping_lets_attempts_finish_and_breaks_off_those_that_outlast_the_grace()
    {
        await using var fixture = await StartAsync();
        var (quick, stuck) = (Subscription("quick"), Subscription("stuck"));
        fixture.Dispatcher.Upsert(quick);
        fixture.Dispatcher.Upsert(stuck);
        var release = new TaskCompletionSource();
        fixture.Receiver = async (subscription, _, cancellation) =>
        {
            if (subscription.Uid == stuck.Uid)
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellation);
            await release.Task;
            return Success;
        };
        await fixture.PublishAsync(1, quick, stuck);
        await fixture.UntilAsync(() => fixture.Sent.Count == 2);

        var stopping = fixture.Dispatcher.StopAsync(TimeSpan.FromSeconds(10));
        release.SetResult();
        await fixture.UntilSettledAsync(1);
        Assert.False(stopping.IsCompleted);
        fixture.Time.Advance(TimeSpan.FromSeconds(10));
        await stopping;

        Assert.Equal(DeliveryState.Delivered, (await fixture.LogAsync(quick))[0].State);
        Assert.Equal((DeliveryState.Pending, 0), ((await fixture.LogAsync(stuck))[0].State, (await fixture.LogAsync(stuck))[0].Attempts));
    }

    [Fact]
    public async Task A_fault_of_the_operator_takes_its_place_in_the_schedule()
    {
        await using var fixture = await StartAsync();
        var orders = Subscription();
        fixture.Dispatcher.Upsert(orders);
        fixture.Receiver = (_, _, _) => throw new InvalidOperationException("a bug");
        await fixture.PublishAsync(1, orders);

        await fixture.UntilSettledAsync(3, step: TimeSpan.FromSeconds(1));

        Assert.Equal(DeliveryState.Dead, fixture.Reports.Last().State);
        Assert.Equal(ErrorClass.Internal, fixture.Reports.Last().Attempt!.Error);
    }

    private static SubscriptionState SavedState(DispatcherFixture fixture, Subscription subscription) =>
        fixture.Store.ReadBacklogsAsync(CancellationToken.None).GetAwaiter().GetResult()
            .Single(b => b.SubscriptionUid == subscription.Uid).State;

    private static async Task<string> ScrapeAsync(DispatcherFixture fixture)
    {
        using var text = new MemoryStream();
        await Exposition.WriteAsync(fixture.Instruments, text, Prometheus.ExpositionFormat.PrometheusText, CancellationToken.None);
        return System.Text.Encoding.UTF8.GetString(text.ToArray());
    }
}
