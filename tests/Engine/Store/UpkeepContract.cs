using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Store;

public abstract class UpkeepContract : StoreContract
{
    private protected UpkeepContract(StoreHost host) : base(host) { }

    [Fact]
    public async Task A_finished_delivery_that_is_redelivered_starts_its_schedule_again()
    {
        var subscription = NewSubscription();
        var delivery = await EnqueueAsync(subscription, "a");
        await SettledAsync(delivery, Retry(delivery, T0, T0));
        delivery = Assert.Single((await ReadDueAsync(subscription, T0)).Deliveries);
        await SettledAsync(delivery, Dead(delivery, T0));
        var now = T0.AddDays(2);

        Assert.Null(await Store.RedeliverAsync("elsewhere", delivery.Id, now, Token));
        Assert.Equal(new Redelivery(subscription.Uid, Reopened: true), await Store.RedeliverAsync("shop", delivery.Id, now, Token));

        var again = Assert.Single((await ReadDueAsync(subscription, now)).Deliveries);
        Assert.Equal((2, 0, now, now), (again.Attempts, again.Step, again.StartedTime, again.DueTime));
        Assert.True(again.Version > delivery.Version + 1);
        Assert.Equal(T0, again.Event.AcceptedTime);
        await SettledAsync(again, Delivered(again, now));
        var detail = await Store.GetDeliveryAsync("shop", delivery.Id, Token);
        Assert.Equal([1, 2, 3], detail!.Attempts.Select(a => a.Number));
        Assert.Equal(3, detail.Summary.Attempts);
    }

    [Fact]
    public async Task A_delivered_one_that_is_redelivered_keeps_the_attempt_that_delivered_it()
    {
        var subscription = NewSubscription();
        var delivery = await EnqueueAsync(subscription, "a");
        await SettledAsync(delivery, Retry(delivery, T0, T0));
        delivery = Assert.Single((await ReadDueAsync(subscription, T0)).Deliveries);
        await SettledAsync(delivery, Delivered(delivery, T0));
        var once = (await Store.GetDeliveryAsync("shop", delivery.Id, Token))!.Attempts;

        for (var round = 3; round <= 4; round++)
        {
            await Store.RedeliverAsync("shop", delivery.Id, T0, Token);
            delivery = Assert.Single((await ReadDueAsync(subscription, T0)).Deliveries);
            Assert.Equal(round - 1, delivery.Attempts);
            await SettledAsync(delivery, Delivered(delivery, T0));
        }

        var detail = (await Store.GetDeliveryAsync("shop", delivery.Id, Token))!;
        Assert.Equal([1, 2, 3, 4], detail.Attempts.Select(a => a.Number));
        for (var i = 0; i < once.Length; i++)
        {
            Assert.Equal(once[i] with { Response = default }, detail.Attempts[i] with { Response = default });
            Assert.Equal(once[i].Response.ToArray(), detail.Attempts[i].Response.ToArray());
        }
    }

    [Fact]
    public async Task A_pending_delivery_that_is_redelivered_only_becomes_due()
    {
        var subscription = NewSubscription();
        var delivery = await EnqueueAsync(subscription, "a");
        await SettledAsync(delivery, Retry(delivery, T0, T0.AddHours(1)));

        Assert.Equal(new Redelivery(subscription.Uid, Reopened: false), await Store.RedeliverAsync("shop", delivery.Id, T0.AddMinutes(1), Token));

        var due = Assert.Single((await ReadDueAsync(subscription, T0.AddMinutes(1))).Deliveries);
        Assert.Equal((1, 1, T0, T0.AddMinutes(1)), (due.Attempts, due.Step, due.StartedTime, due.DueTime));

        // Due already, and so perhaps under way: its attempt must still count.
        Assert.Equal(new Redelivery(subscription.Uid, Reopened: false), await Store.RedeliverAsync("shop", delivery.Id, T0.AddMinutes(2), Token));
        await SettledAsync(due, Delivered(due, T0.AddMinutes(2)));
    }

    [Fact]
    public async Task A_replay_selects_by_time_type_and_state()
    {
        var subscription = NewSubscription();
        for (var i = 0; i < 6; i++)
        {
            var delivery = await EnqueueAsync(subscription, $"{i}", T0.AddMinutes(i), i % 2 == 0 ? "com.acme.order.created" : "com.acme.paid");
            await SettledAsync(delivery, i < 3 ? Dead(delivery, T0) : Delivered(delivery, T0));
        }
        await EnqueueAsync(subscription, "pending", T0.AddMinutes(3));
        var other = await EnqueueAsync(NewSubscription("other"), "other", T0.AddMinutes(4));
        await SettledAsync(other, Delivered(other, T0));

        Assert.Empty(await ReplayedAsync(new ReplayQuery(T0.AddMinutes(6), null, [], [])));
        Assert.Empty(await ReplayedAsync(new ReplayQuery(null, T0, [], [])));
        Assert.Empty(await ReplayedAsync(new ReplayQuery(null, null, ["com.acme", "*.created"], [])));
        Assert.Equal(["1", "2"], await ReplayedAsync(new ReplayQuery(T0.AddMinutes(1), T0.AddMinutes(4), [], [DeliveryState.Dead])));
        Assert.Equal(["4"], await ReplayedAsync(new ReplayQuery(null, null, ["com.acme.order.*"], [DeliveryState.Delivered])));
        Assert.Equal(["1", "3", "5"], await ReplayedAsync(new ReplayQuery(null, null, ["x", "com.acme.paid"], [DeliveryState.Dead, DeliveryState.Delivered])));
        Assert.Equal(["0", "1", "2", "3", "4", "5"], await ReplayedAsync(new ReplayQuery(null, null, ["*"], default)));
        Assert.Equal(["0", "1", "2", "3", "4", "5"], await ReplayedAsync(new ReplayQuery(null, null, default, [])));

        async Task<string[]> ReplayedAsync(ReplayQuery query)
        {
            var now = T0.AddHours(1);
            var count = await ReplayAsync(subscription, query, now);
            var replayed = (await ReadDueAsync(subscription, now)).Deliveries.Where(d => d.DueTime == now).ToArray();
            Assert.Equal(count, replayed.Length);
            foreach (var delivery in replayed)
            {
                Assert.Equal((0, now), (delivery.Step, delivery.StartedTime));
                var wasDead = delivery.Event.Event.Id is "0" or "1" or "2";
                await SettledAsync(delivery, wasDead ? Dead(delivery, now) : Delivered(delivery, now));
            }
            return [.. replayed.Select(d => d.Event.Event.Id).Order(StringComparer.Ordinal)];
        }
    }

    [Fact]
    public async Task A_replay_of_thousands_makes_each_due_once()
    {
        var subscription = NewSubscription();
        await FillAsync(subscription, 2500);
        await EndAllAsync(subscription, DeliveryState.Dead);

        Assert.Equal(2500, await ReplayAsync(subscription, new ReplayQuery(null, null, [], [DeliveryState.Dead]), T0));
        Assert.Equal(2500, Assert.Single(await Store.ReadBacklogsAsync(Token)).Pending);
        Assert.Equal(0, await ReplayAsync(subscription, new ReplayQuery(null, null, [], [DeliveryState.Dead]), T0));
    }

    [Fact]
    public async Task A_replay_that_ends_midway_has_told_what_it_did_and_the_same_again_does_the_rest()
    {
        var subscription = NewSubscription();
        var query = new ReplayQuery(null, null, [], []);
        await FillAsync(subscription, 2500);
        await EndAllAsync(subscription, DeliveryState.Dead);

        using var stop = new CancellationTokenSource();
        var told = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Store.ReplayAsync(
            subscription.Uid, query, T0,
            count =>
            {
                told += count;
                stop.Cancel();
            },
            stop.Token));
        Assert.InRange(told, 1, 1000);
        Assert.Equal(told, Assert.Single(await Store.ReadBacklogsAsync(Token)).Pending);

        Assert.Equal(2500 - told, await ReplayAsync(subscription, query, T0));
        Assert.Equal(2500, Assert.Single(await Store.ReadBacklogsAsync(Token)).Pending);
    }

    [Fact]
    public async Task Pending_deliveries_end_but_for_those_held()
    {
        var (subscription, other) = (NewSubscription(), NewSubscription("other"));
        var held = await EnqueueAsync(subscription, "held");
        var ended = await EnqueueAsync(subscription, "ended");
        var done = await EnqueueAsync(subscription, "done");
        await SettledAsync(done, Delivered(done, T0));
        await EnqueueAsync(other, "other");
        var now = T0.AddMinutes(1);

        Assert.Equal(1, await Store.EndPendingAsync(
            subscription.Uid, DeliveryState.Cancelled, null, new HashSet<DeliveryId> { held.Id }, now, Token));
        Assert.Equal(0, await Store.EndPendingAsync(
            subscription.Uid, DeliveryState.Cancelled, null, new HashSet<DeliveryId> { held.Id }, now, Token));

        Assert.Equal((DeliveryState.Cancelled, now), await StateAsync(ended.Id));
        Assert.Equal((DeliveryState.Pending, null), await StateAsync(held.Id));
        Assert.Equal((DeliveryState.Delivered, T0), await StateAsync(done.Id));
        Assert.False(await Store.SettleAsync(Delivered(ended, now), Token));
        await SettledAsync(held, Delivered(held, now));
        Assert.Single((await ReadDueAsync(other, T0)).Deliveries);

        async Task<(DeliveryState, DateTimeOffset?)> StateAsync(DeliveryId id)
        {
            var summary = await SummaryAsync(id);
            return (summary.State, summary.EndedTime);
        }
    }

    [Fact]
    public async Task Deliveries_die_by_when_their_schedule_began()
    {
        var subscription = NewSubscription();
        var old = await EnqueueAsync(subscription, "old");
        var redelivered = await EnqueueAsync(subscription, "redelivered");
        await SettledAsync(redelivered, Delivered(redelivered, T0));
        var young = await EnqueueAsync(subscription, "young", T0.AddHours(1));
        await Store.RedeliverAsync("shop", redelivered.Id, T0.AddHours(1), Token);

        Assert.Equal(0, await EndAsync(T0));
        Assert.Equal(1, await EndAsync(T0.AddHours(1)));
        Assert.Equal(0, await EndAsync(T0.AddHours(1)));

        Assert.Equal((DeliveryState.Dead, ErrorClass.Expired), ((await SummaryAsync(old.Id)).State, (await SummaryAsync(old.Id)).LastError));
        Assert.Equal([young.Id, redelivered.Id],
            (await ReadDueAsync(subscription, T0.AddHours(2))).Deliveries.Select(d => d.Id).OrderDescending());

        Task<int> EndAsync(DateTimeOffset startedBefore) => Store.EndPendingAsync(
            subscription.Uid, DeliveryState.Dead, startedBefore, None, T0.AddHours(2), Token);
    }

    [Fact]
    public async Task Thousands_end_in_chunks()
    {
        var subscription = NewSubscription();
        await FillAsync(subscription, 2500);

        Assert.Equal(2500, await EndAllAsync(subscription, DeliveryState.Cancelled));
        Assert.Empty(await Store.ReadBacklogsAsync(Token));
        Assert.Equal(2500, (await ListAllAsync(subscription, DeliveryState.Cancelled)).Length);
    }

    [Fact]
    public async Task A_sweep_deletes_what_is_old_and_keeps_what_is_pending()
    {
        var (subscription, other) = (NewSubscription(), NewSubscription("other"));
        var results = await Store.EnqueueAsync(
        [
            Accept(NewEvent("half"), T0, subscription, other),
            Accept(NewEvent("none"), T0),
            Accept(NewEvent("done"), T0, subscription, other),
            Accept(NewEvent("young"), T0.AddMinutes(1), subscription),
        ], Token);
        foreach (var delivery in results[2].Pending.Append(results[0].Pending[0]).Append(results[3].Pending[0]))
            await SettledAsync(delivery, Delivered(delivery, T0));

        // Two events, and two deliveries with an attempt each.
        Assert.Equal(6, await SweepAllAsync(T0.AddMinutes(1)));

        Assert.Equal(["young", "half"], (await ListAllAsync(subscription)).Select(d => d.CloudEventId));
        Assert.Null(await Store.GetDeliveryAsync("shop", results[2].Pending[0].Id, Token));
        var pending = Assert.Single((await ReadDueAsync(other, T0)).Deliveries);
        Assert.Equal("body of half", System.Text.Encoding.UTF8.GetString(pending.Event.Event.Body.Span));
        Assert.False(Assert.Single(await Store.EnqueueAsync([Accept(NewEvent("done"), T0.AddHours(1), subscription)], Token)).Duplicate);
        Assert.True(Assert.Single(await Store.EnqueueAsync([Accept(NewEvent("half"), T0.AddHours(1), subscription)], Token)).Duplicate);

        await SettledAsync(pending, Delivered(pending, T0));
        Assert.Equal(5, await SweepAllAsync(T0.AddMinutes(1)));
        Assert.Empty(await ListAllAsync(other));
    }

    [Fact]
    public async Task A_sweep_goes_in_small_chunks_also_through_one_event_with_many_deliveries()
    {
        var subscriptions = Enumerable.Range(0, 2500).Select(i => NewSubscription($"{i}")).ToArray();
        await EnqueueAsync(subscriptions[0], "still pending");
        await FillAsync(subscriptions[1], 2500, T0);
        var wide = Assert.Single(await Store.EnqueueAsync([Accept(NewEvent("wide"), T0, subscriptions)], Token));
        await Task.WhenAll(wide.Pending.Select(d => Store.SettleAsync(Delivered(d, T0), Token)));
        await EndAllAsync(subscriptions[1], DeliveryState.Cancelled);
        var cutoff = T0.AddDays(1);

        var (total, largest) = (0, 0);
        for (var count = await Store.SweepAsync(cutoff, Token); count > 0; count = await Store.SweepAsync(cutoff, Token))
            (total, largest) = (total + count, Math.Max(largest, count));

        Assert.InRange(largest, 1, 4000);
        Assert.Equal(2500 + 2500 + 1 + 2500 + 2500, total);
        Assert.Empty(await ListAllAsync(subscriptions[2]));
        Assert.Equal("still pending", Assert.Single((await ReadDueAsync(subscriptions[0], T0)).Deliveries).Event.Event.Id);
        var again = await EnqueueAsync(subscriptions[2], "after");
        Assert.Equal(again.Id, Assert.Single((await ReadDueAsync(subscriptions[2], T0)).Deliveries).Id);
    }

    [Fact]
    public async Task A_sweep_keeps_what_was_saved_of_a_subscription()
    {
        var subscription = NewSubscription();
        var delivery = await EnqueueAsync(subscription, "a");
        await SettledAsync(delivery, Dead(delivery, T0));
        await Store.SaveStateAsync(subscription.Uid, new SubscriptionState { FailingSince = T0 }, 0, Token);

        Assert.Equal(3, await SweepAllAsync(T0.AddDays(1)));

        Assert.Equal(T0, Assert.Single(await Store.ReadBacklogsAsync(Token)).State.FailingSince);
    }

    private async Task<int> EndAllAsync(Subscription subscription, DeliveryState state)
    {
        var total = 0;
        for (var count = -1; count != 0; total += count)
            count = await Store.EndPendingAsync(subscription.Uid, state, null, None, T0, Token);
        return total;
    }

    private async Task<int> SweepAllAsync(DateTimeOffset cutoff)
    {
        var total = 0;
        for (var count = -1; count != 0; total += count)
            count = await Store.SweepAsync(cutoff, Token);
        return total;
    }
}
