using System.Collections.Immutable;
using System.Text;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Store;

public abstract class EnqueueContract : StoreContract
{
    private protected EnqueueContract(StoreHost host) : base(host) { }

    [Fact]
    public async Task What_is_read_after_reopening_is_what_was_accepted()
    {
        var subscription = NewSubscription();
        var body = Encoding.UTF8.GetBytes("""{"id":"ä-☃-🎉","data":{"größe":"ü"}}""");
        var @event = new Event
        {
            Id = "ä-☃-🎉",
            Source = "/лавка/\"quoted\"\\",
            Type = "com.acme.größe",
            Subject = "",
            Time = "2025-06-01T12:00:00.123456789+02:00",
            DataContentType = "application/json; charset=utf-8",
            DataSchema = "https://acme.example/schema#größe",
            Extensions = [new("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), new("a", "\u0001\t€"), new("b", "")],
            Encoding = EventEncoding.Structured,
            Body = body,
            DataRange = 25..^1,
            DataIsBase64 = true,
        };

        var result = Assert.Single(await Store.EnqueueAsync([Accept(@event, T0, subscription)], Token));
        await ReopenAsync();
        var due = await ReadDueAsync(subscription, T0);

        var stored = Assert.Single(due.Deliveries);
        Assert.Equal(result.Pending[0] with { Event = stored.Event, StoredIn = null }, stored);
        Assert.Equal(T0, stored.DueTime);
        Assert.Equal(new StoredEvent(result.Id, "shop", T0, stored.Event.Event), stored.Event);
        Assert.Equal(body, stored.Event.Event.Body.ToArray());
        Assert.Equal(@event.Extensions.AsEnumerable(), stored.Event.Event.Extensions);
        Assert.Equal(25..(body.Length - 1), stored.Event.Event.DataRange);
        var same = stored.Event.Event with
        {
            Body = @event.Body,
            Extensions = @event.Extensions,
            DataRange = @event.DataRange,
        };
        Assert.Equal(@event, same);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1 << 20)]
    public async Task Bodies_of_any_size_come_back(int size)
    {
        var subscription = NewSubscription();
        var body = new byte[size];
        for (var i = 0; i < size; i++)
            body[i] = (byte)(i * 31 >> 3);

        await Store.EnqueueAsync([Accept(NewEvent("sized", body: body), T0, subscription)], Token);
        var due = await ReadDueAsync(subscription, T0);

        Assert.Equal(body, Assert.Single(due.Deliveries).Event.Event.Body.ToArray());
        Assert.Null(due.Deliveries[0].Event.Event.Subject);
        Assert.Empty(due.Deliveries[0].Event.Event.Extensions);
    }

    [Fact]
    public async Task Each_event_is_answered_in_order_and_its_deliveries_follow_the_matches()
    {
        var (first, second) = (NewSubscription("first"), NewSubscription("second"));

        var results = await Store.EnqueueAsync(
            [Accept(NewEvent("a"), T0, first, second), Accept(NewEvent("b"), T0), Accept(NewEvent("c"), T0, second)], Token);

        Assert.Equal([2, 0, 1], results.Select(r => r.Deliveries));
        Assert.Equal([first.Uid, second.Uid], results[0].Pending.Select(p => p.SubscriptionUid));
        Assert.Equal(["body of a", "body of a"], results[0].Pending.Select(p => Encoding.UTF8.GetString(p.Event.Event.Body.Span)));
        Assert.All(results, result => Assert.False(result.Duplicate));
        var ids = results.SelectMany(r => r.Pending.Select(p => p.Id.Value).Prepend(r.Id.Value)).ToArray();
        Assert.Equal(ids.Order(), ids);
        Assert.Equal(ids.Distinct(), ids);
    }

    [Fact]
    public async Task Nothing_is_no_work() => Assert.Empty(await Store.EnqueueAsync([], Token));

    [Fact]
    public async Task A_duplicate_is_answered_with_the_first_also_in_one_call_and_after_reopening()
    {
        var (first, second) = (NewSubscription("first"), NewSubscription("second"));
        var results = await Store.EnqueueAsync(
            [Accept(NewEvent("a"), T0, first), Accept(NewEvent("a"), T0, first, second)], Token);
        await ReopenAsync();
        var later = await Store.EnqueueAsync(
            [Accept(NewEvent("a", "other.type"), T0.AddDays(1), second), Accept(NewEvent("b"), T0.AddDays(1), second)], Token);

        Assert.False(results[0].Duplicate);
        foreach (var duplicate in (EnqueueResult[])[results[1], later[0]])
        {
            Assert.True(duplicate.Duplicate);
            Assert.Equal(results[0].Id, duplicate.Id);
            Assert.Equal(1, duplicate.Deliveries);
            Assert.Empty(duplicate.Pending);
        }
        Assert.False(later[1].Duplicate);
        Assert.Single((await ReadDueAsync(first, T0.AddDays(2))).Deliveries);
        Assert.Equal(later[1].Pending[0].Id, Assert.Single((await ReadDueAsync(second, T0.AddDays(2))).Deliveries).Id);
    }

    [Fact]
    public async Task Only_namespace_source_and_id_together_make_a_duplicate()
    {
        var subscription = NewSubscription();
        var @event = NewEvent("ab");

        var results = await Store.EnqueueAsync(
        [
            Accept(@event, T0, subscription),
            new NewEvent("shop2", @event, [], T0),
            Accept(@event with { Source = "/shopa", Id = "b" }, T0, subscription),
            Accept(@event with { Source = "/shop2" }, T0, subscription),
            Accept(@event with { Id = "abc" }, T0, subscription),
        ], Token);

        Assert.All(results, result => Assert.False(result.Duplicate));
    }

    [Fact]
    public async Task Of_many_callers_with_one_event_exactly_one_stores_it()
    {
        var subscription = NewSubscription();

        var answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(_ =>
            Task.Run(() => Store.EnqueueAsync([Accept(NewEvent("same"), T0, subscription)], Token))));

        Assert.Single(answers, answer => !answer[0].Duplicate);
        Assert.Single(answers.Select(answer => answer[0].Id).Distinct());
        Assert.Single((await ReadDueAsync(subscription, T0)).Deliveries);
    }

    [Fact]
    public async Task One_event_can_have_ten_thousand_deliveries()
    {
        var subscriptions = Enumerable.Range(0, 10_000).Select(i => NewSubscription($"many-{i}")).ToArray();

        var result = Assert.Single(await Store.EnqueueAsync([Accept(NewEvent("wide"), T0, subscriptions)], Token));
        var next = await EnqueueAsync(subscriptions[0], "next");

        Assert.Equal(10_000, result.Pending.Select(p => p.Id).Distinct().Count());
        Assert.True(next.Event.Id.Value > result.Pending[^1].Id.Value);
        var backlogs = await Store.ReadBacklogsAsync(Token);
        Assert.Equal(10_000, backlogs.Length);
        Assert.Equal(10_001, backlogs.Sum(b => b.Pending));
    }

    [Fact]
    public async Task Ids_keep_their_order_where_the_clock_goes_back()
    {
        var subscription = NewSubscription();
        var first = await EnqueueAsync(subscription, "a", T0);
        var second = await EnqueueAsync(subscription, "b", T0.AddHours(-1));
        await ReopenAsync();
        var third = await EnqueueAsync(subscription, "c", T0.AddHours(-2));

        Assert.True(first.Id.CompareTo(second.Event.Id.Value is var v ? new DeliveryId(v) : default) < 0);
        Assert.True(second.Id.CompareTo(third.Id) < 0);
        Assert.Equal(["c", "b", "a"], (await ListAllAsync(subscription)).Select(d => d.CloudEventId));
        Assert.Equal(3, (await ReadDueAsync(subscription, T0)).Deliveries.Length);
    }

    [Fact]
    public async Task A_cancelled_call_stores_all_of_it_or_nothing()
    {
        var subscription = NewSubscription();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => Store.EnqueueAsync([Accept(NewEvent("never"), T0, subscription)], Cancelled));

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => Task.Run(async () =>
        {
            using var source = new CancellationTokenSource();
            var call = Store.EnqueueAsync(
                [Accept(NewEvent($"{i}-a"), T0, subscription), Accept(NewEvent($"{i}-b"), T0, subscription)], source.Token);
            await source.CancelAsync();
            try
            {
                await call;
                return (Index: i, Stored: true);
            }
            catch (OperationCanceledException)
            {
                return (Index: i, Stored: false);
            }
        })));

        var found = (await ReadDueAsync(subscription, T0)).Deliveries.Select(d => d.Event.Event.Id).ToHashSet();
        Assert.DoesNotContain("never", found);
        foreach (var (index, stored) in outcomes)
        {
            Assert.Equal(found.Contains($"{index}-a"), found.Contains($"{index}-b"));
            if (stored)
                Assert.Contains($"{index}-a", found);
        }
    }

    [Fact]
    public async Task Calls_that_fail_by_their_own_fault_take_nothing_with_them()
    {
        var subscription = NewSubscription();
        var victim = await EnqueueAsync(subscription, "victim");
        await SettledAsync(victim, Retry(victim, T0, T0));
        victim = Assert.Single((await ReadDueAsync(subscription, T0)).Deliveries);
        var sameNumber = Delivered(victim, T0);
        sameNumber = sameNumber with { Attempt = sameNumber.Attempt! with { Number = 1 } };

        var calls = Enumerable.Range(0, 200).Select(i => Task.Run(async () =>
        {
            if (i % 10 != 0)
                return (await Store.EnqueueAsync([Accept(NewEvent($"good-{i}"), T0, subscription)], Token)).Length;
            await Assert.ThrowsAnyAsync<Exception>(() => Store.SettleAsync(sameNumber, Token));
            return 0;
        }));

        Assert.Equal(180, (await Task.WhenAll(calls)).Sum());
        Assert.Equal(181, (await ReadDueAsync(subscription, T0)).Deliveries.Length);
        Assert.Equal(DeliveryState.Pending, (await SummaryAsync(victim.Id)).State);
        Assert.True(await Store.SettleAsync(Delivered(victim, T0), Token));
    }

    [Fact]
    public async Task A_closed_store_is_unavailable()
    {
        await Store.DisposeAsync();

        await Assert.ThrowsAsync<StoreUnavailableException>(() => EnqueueAsync(NewSubscription(), "late"));
        await Assert.ThrowsAsync<StoreUnavailableException>(() => ReadDueAsync(NewSubscription(), T0));
        await ReopenAsync();
        Assert.Empty((await ReadDueAsync(NewSubscription(), T0)).Deliveries);
    }

    [Fact]
    public async Task Under_concurrent_use_everything_is_counted_exactly_once()
    {
        var subscriptions = Enumerable.Range(0, 7).Select(i => NewSubscription($"s{i}")).ToImmutableArray();

        var settled = await Task.WhenAll(Enumerable.Range(0, 32).Select(worker => Task.Run(async () =>
        {
            var count = 0;
            for (var i = 0; i < 40; i++)
            {
                var results = await Store.EnqueueAsync(
                    [Accept(NewEvent($"{worker}-{i}"), T0, subscriptions[i % 7], subscriptions[(i + 1) % 7])], Token);
                var (done, kept) = (results[0].Pending[0], results[0].Pending[1]);
                if (await Store.SettleAsync(Delivered(done, T0), Token))
                    count++;
                if (await Store.SettleAsync(Delivered(done, T0), Token))
                    count++;
                Assert.True(await Store.SettleAsync(Retry(kept, T0, T0.AddMinutes(1)), Token));
            }
            return count;
        })));

        Assert.All(settled, count => Assert.Equal(40, count));
        Assert.Equal(32 * 40, (await Store.ReadBacklogsAsync(Token)).Sum(b => b.Pending));
        var log = new List<DeliverySummary>();
        foreach (var subscription in subscriptions)
            log.AddRange(await ListAllAsync(subscription));
        Assert.Equal(32 * 40 * 2, log.Select(d => d.Id).Distinct().Count());
        Assert.Equal(32 * 40, log.Count(d => d.State == DeliveryState.Delivered));
        Assert.All(log, d => Assert.Equal(1, d.Attempts));
    }
}
