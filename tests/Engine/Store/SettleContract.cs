using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Store;

public abstract class SettleContract : StoreContract
{
    private protected SettleContract(StoreHost host) : base(host) { }

    [Fact]
    public async Task Due_deliveries_come_earliest_due_first_then_oldest_first()
    {
        var subscription = NewSubscription();
        var a = await EnqueueAsync(subscription, "a");
        await EnqueueAsync(subscription, "b");
        await EnqueueAsync(subscription, "c", T0.AddSeconds(-30));
        await EnqueueAsync(NewSubscription("other"), "d");
        await SettledAsync(a, Retry(a, T0, T0.AddSeconds(60)));

        var due = await ReadDueAsync(subscription, T0);
        Assert.Equal(["c", "b"], due.Deliveries.Select(d => d.Event.Event.Id));
        Assert.False(due.More);
        Assert.Equal(T0.AddSeconds(60), due.NextDueTime);

        due = await ReadDueAsync(subscription, T0.AddSeconds(60));
        Assert.Equal(["c", "b", "a"], due.Deliveries.Select(d => d.Event.Event.Id));
        Assert.Null(due.NextDueTime);
        Assert.Equal((1, 1, 2L), (due.Deliveries[2].Attempts, due.Deliveries[2].Step, due.Deliveries[2].Version));
        Assert.Equal(T0, due.Deliveries[2].StartedTime);
    }

    [Fact]
    public async Task Due_deliveries_are_limited_by_number_and_by_bytes_and_leave_out_the_held()
    {
        var subscription = NewSubscription();
        var ids = new List<DeliveryId>();
        for (var i = 0; i < 5; i++)
        {
            var results = await Store.EnqueueAsync([Accept(NewEvent($"{i}", body: new byte[100]), T0, subscription)], Token);
            ids.Add(results[0].Pending[0].Id);
        }

        var two = await ReadDueAsync(subscription, T0, limit: 2);
        Assert.Equal(ids[..2], two.Deliveries.Select(d => d.Id));
        Assert.True(two.More);
        var bytes = await ReadDueAsync(subscription, T0, byteLimit: 250, held: ids[0]);
        Assert.Equal(ids[1..3], bytes.Deliveries.Select(d => d.Id));
        Assert.True(bytes.More);
        var always = await ReadDueAsync(subscription, T0, byteLimit: 1);
        Assert.Equal(ids[..1], always.Deliveries.Select(d => d.Id));
        Assert.True(always.More);
        var exactly = await ReadDueAsync(subscription, T0, limit: 5, byteLimit: 500);
        Assert.Equal(5, exactly.Deliveries.Length);
        Assert.False(exactly.More);
        var nothing = await ReadDueAsync(subscription, T0, held: [.. ids]);
        Assert.Empty(nothing.Deliveries);
        Assert.False(nothing.More);
        Assert.Null(nothing.NextDueTime);
        var early = await ReadDueAsync(subscription, T0.AddMilliseconds(-1), held: ids[0]);
        Assert.Empty(early.Deliveries);
        Assert.Equal(T0, early.NextDueTime);
        var since = await Store.ReadDueAsync(subscription.Uid, T0, T0.AddSeconds(1), 2, long.MaxValue, new HashSet<DeliveryId>(), Token);
        Assert.Equal(ids[..2], since.Deliveries.Select(d => d.Id));
        Assert.True(since.More);
        var later = await Store.ReadDueAsync(
            subscription.Uid, T0.AddMilliseconds(1), T0.AddSeconds(1), 2, long.MaxValue, new HashSet<DeliveryId>(), Token);
        Assert.Empty(later.Deliveries);
        Assert.False(later.More);
    }

    [Fact]
    public async Task An_unknown_subscription_has_nothing()
    {
        var unknown = NewSubscription("unknown");
        var other = await EnqueueAsync(NewSubscription(), "other");

        var due = await ReadDueAsync(unknown, T0);

        Assert.Equal((0, false, (DateTimeOffset?)null), (due.Deliveries.Length, due.More, due.NextDueTime));
        Assert.Empty(await ListAllAsync(unknown));
        Assert.Null(await Store.ReadOldestPendingAsync(unknown.Uid, Token));
        Assert.Equal(0, await ReplayAsync(unknown, new ReplayQuery(null, null, [], []), T0));
        Assert.Equal(0, await Store.EndPendingAsync(unknown.Uid, DeliveryState.Cancelled, null, None, T0, Token));
        Assert.Null(await Store.GetDeliveryAsync("shop", new DeliveryId(5), Token));
        Assert.Null(await Store.RedeliverAsync("shop", new DeliveryId(5), T0, Token));
        Assert.False(await Store.SettleAsync(Delivered(other with { Id = new DeliveryId(5) }, T0), Token));
    }

    [Fact]
    public async Task A_settlement_of_an_earlier_version_changes_nothing()
    {
        var subscription = NewSubscription();
        var delivery = await EnqueueAsync(subscription, "a");
        await SettledAsync(delivery, Retry(delivery, T0, T0.AddSeconds(5)));

        Assert.False(await Store.SettleAsync(Dead(delivery, T0), Token));
        var retried = Assert.Single((await ReadDueAsync(subscription, T0.AddSeconds(5))).Deliveries);
        Assert.True(retried.Version > delivery.Version);
        await SettledAsync(retried, Delivered(retried, T0.AddSeconds(5)));
        Assert.False(await Store.SettleAsync(Dead(retried, T0), Token));

        var summary = await SummaryAsync(delivery.Id);
        Assert.Equal((DeliveryState.Delivered, 2, 200, ErrorClass.None),
            (summary.State, summary.Attempts, summary.LastStatusCode, summary.LastError));
        Assert.Equal(T0.AddSeconds(5), summary.EndedTime);
        Assert.Null(summary.DueTime);
    }

    [Fact]
    public async Task One_delivery_tells_every_attempt()
    {
        var subscription = NewSubscription();
        var delivery = await EnqueueAsync(subscription, "a");
        var refused = Retry(delivery, T0, T0.AddSeconds(5));
        refused = refused with
        {
            Attempt = refused.Attempt! with
            {
                StatusCode = null,
                Error = ErrorClass.ConnectionRefused,
                Message = "größer ☃",
                Response = default,
                Duration = TimeSpan.FromMicroseconds(1_234_567),
            },
        };
        await SettledAsync(delivery, refused);
        var second = Assert.Single((await ReadDueAsync(subscription, T0.AddSeconds(5))).Deliveries);
        await SettledAsync(second, Delivered(second, T0.AddSeconds(5)));
        await ReopenAsync();

        var detail = await Store.GetDeliveryAsync("shop", delivery.Id, Token);

        Assert.NotNull(detail);
        Assert.Equal(subscription.Name, detail.Subscription);
        Assert.Equal((delivery.Event.Id, "com.acme.order.created", "/shop", "a", T0),
            (detail.Summary.EventId, detail.Summary.EventType, detail.Summary.EventSource, detail.Summary.CloudEventId, detail.Summary.AcceptedTime));
        Assert.Equal([1, 2], detail.Attempts.Select(a => a.Number));
        Assert.Equal(refused.Attempt, detail.Attempts[0] with { Response = refused.Attempt.Response });
        Assert.True(detail.Attempts[0].Response.IsEmpty);
        Assert.Equal("answer"u8.ToArray(), detail.Attempts[1].Response.ToArray());
        Assert.Null(detail.Attempts[1].Message);
        Assert.Null(await Store.GetDeliveryAsync("elsewhere", delivery.Id, Token));
        Assert.Null(await Store.GetDeliveryAsync("shop", new DeliveryId(delivery.Event.Id.Value), Token));
    }

    [Fact]
    public async Task A_delivery_that_was_too_old_ends_without_an_attempt()
    {
        var delivery = await EnqueueAsync(NewSubscription(), "a");

        Assert.True(await Store.SettleAsync(new Settlement
        {
            Delivery = delivery, State = DeliveryState.Dead, Step = 0, Time = T0.AddDays(4),
        }, Token));

        var detail = await Store.GetDeliveryAsync("shop", delivery.Id, Token);
        Assert.Empty(detail!.Attempts);
        Assert.Equal((DeliveryState.Dead, 0, (int?)null, ErrorClass.Expired),
            (detail.Summary.State, detail.Summary.Attempts, detail.Summary.LastStatusCode, detail.Summary.LastError));
        Assert.Equal(T0.AddDays(4), detail.Summary.EndedTime);
    }

    [Fact]
    public async Task Backlogs_tell_what_is_pending_and_what_was_saved()
    {
        var (busy, idle, sick) = (NewSubscription("busy"), NewSubscription("idle"), NewSubscription("sick"));
        var first = await EnqueueAsync(busy, "a");
        await EnqueueAsync(busy, "b", T0.AddSeconds(10));
        await SettledAsync(first, Retry(first, T0, T0.AddSeconds(60)));
        var done = await EnqueueAsync(idle, "c", T0.AddSeconds(20));
        await SettledAsync(done, Delivered(done, T0.AddSeconds(20)));
        var state = new SubscriptionState
        {
            FailingSince = T0.AddSeconds(1), Disabled = new DisabledState("Gone", "answered 410, größer", 7, T0.AddSeconds(2)),
            HeldUntil = T0.AddSeconds(3),
        };
        await Store.SaveStateAsync(sick.Uid, state, 0, Token);
        await ReopenAsync();

        var backlogs = (await Store.ReadBacklogsAsync(Token)).ToDictionary(b => b.SubscriptionUid);

        Assert.Equal(2, backlogs.Count);
        Assert.Equal(new Backlog(busy.Uid, busy.Name, 2, T0, T0.AddSeconds(10), SubscriptionState.Healthy), backlogs[busy.Uid]);
        Assert.Equal(state, backlogs[sick.Uid].State);
        Assert.Equal((0, null, null), (backlogs[sick.Uid].Pending, backlogs[sick.Uid].OldestPendingTime, backlogs[sick.Uid].NextDueTime));
        Assert.Equal(T0, await Store.ReadOldestPendingAsync(busy.Uid, Token));
        Assert.Null(await Store.ReadOldestPendingAsync(idle.Uid, Token));
    }

    [Fact]
    public async Task A_state_can_be_saved_before_the_first_delivery_and_taken_back()
    {
        var subscription = NewSubscription();
        await Store.SaveStateAsync(subscription.Uid, new SubscriptionState { FailingSince = T0 }, 0, Token);
        var delivery = await EnqueueAsync(subscription, "a");

        var backlog = Assert.Single(await Store.ReadBacklogsAsync(Token));
        Assert.Equal(subscription.Name, backlog.Name);
        Assert.Equal(T0, backlog.State.FailingSince);

        await Store.SaveStateAsync(subscription.Uid, SubscriptionState.Healthy, 0, Token);
        Assert.Equal(SubscriptionState.Healthy, Assert.Single(await Store.ReadBacklogsAsync(Token)).State);
        await SettledAsync(delivery, Delivered(delivery, T0));
        Assert.Empty(await Store.ReadBacklogsAsync(Token));
    }

    [Fact]
    public async Task That_something_is_still_held_is_kept()
    {
        var held = new SubscriptionState { HeldUntil = SubscriptionState.StillHeld };
        await Store.SaveStateAsync(NewSubscription().Uid, held, 0, Token);
        await ReopenAsync();

        Assert.Equal(held, Assert.Single(await Store.ReadBacklogsAsync(Token)).State);
    }

    [Fact]
    public async Task The_log_comes_in_pages_newest_first()
    {
        var subscription = NewSubscription();
        var all = new List<DeliveryId>();
        for (var i = 0; i < 25; i++)
        {
            var delivery = await EnqueueAsync(subscription, $"{i}", T0.AddSeconds(i));
            all.Add(delivery.Id);
            if (i % 5 != 0)
                await SettledAsync(delivery, i % 5 == 1 ? Dead(delivery, T0) : Delivered(delivery, T0));
        }
        await EnqueueAsync(NewSubscription("other"), "other");
        all.Reverse();

        var first = await Store.ListDeliveriesAsync(subscription.Uid, new DeliveryQuery(null, null, 10, null), Token);
        Assert.Equal(all[..10], first.Items.Select(d => d.Id));
        await EnqueueAsync(subscription, "later", T0.AddMinutes(1));
        var second = await Store.ListDeliveriesAsync(subscription.Uid, new DeliveryQuery(null, null, 15, first.Continue), Token);
        Assert.Equal(all[10..], second.Items.Select(d => d.Id));
        Assert.Null(second.Continue);

        foreach (var limit in (int[])[1, 3, 500])
        {
            Assert.Equal(6, (await ListAllAsync(subscription, DeliveryState.Pending, limit: limit)).Length);
            Assert.Equal(5, (await ListAllAsync(subscription, DeliveryState.Dead, limit: limit)).Length);
            Assert.Equal(15, (await ListAllAsync(subscription, DeliveryState.Delivered, limit: limit)).Length);
            Assert.Empty(await ListAllAsync(subscription, DeliveryState.Cancelled, limit: limit));
        }
        Assert.Equal(["later", "24", "23"], (await ListAllAsync(subscription, since: T0.AddSeconds(23))).Select(d => d.CloudEventId));
        Assert.Equal(["later", "24"], (await ListAllAsync(subscription, since: T0.AddSeconds(23).AddTicks(1))).Select(d => d.CloudEventId));
        Assert.Equal(["23"], (await ListAllAsync(subscription, DeliveryState.Delivered, T0.AddSeconds(22.5)))
            .Where(d => d.CloudEventId != "24").Select(d => d.CloudEventId));
    }

    [Fact]
    public async Task The_log_finds_the_few_of_a_state_among_the_many_of_another()
    {
        var subscription = NewSubscription();
        var delivered = await EnqueueAsync(subscription, "delivered");
        await SettledAsync(delivered, Delivered(delivered, T0));
        await FillAsync(subscription, 10_500);

        Assert.Equal(delivered.Id, Assert.Single(await ListAllAsync(subscription, DeliveryState.Delivered)).Id);
    }
}
