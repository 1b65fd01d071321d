using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Postgres;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Store.Postgres;

/// <summary>Deliveries that are sent as soon as they are stored: one row for many, until somebody wants to see each.</summary>
public sealed class AcceptedTests : IAsyncLifetime
{
    private static readonly IReadOnlySet<DeliveryId> None = new HashSet<DeliveryId>();
    private static readonly DateTimeOffset Start = DateTimeOffset.FromUnixTimeMilliseconds(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds());

    private static readonly Subscription Orders = NewSubscription("orders");

    private readonly PostgresHost _host = new();
    private PostgresStore _store = null!;
    private IShardSession _member = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _store = await PostgresHost.OpenAsync(await _host.ConnectionStringAsync());
        _member = await PostgresHost.ClaimAsync(_store);
    }

    public async ValueTask DisposeAsync()
    {
        await _member.DisposeAsync();
        await _store.DisposeAsync();
        await _host.DisposeAsync();
    }

    [Fact]
    public async Task They_share_rows_of_two_hundred_and_leave_nothing_behind_once_they_have_ended()
    {
        var stored = await EnqueueAsync(_store, Enumerable.Range(0, 450), Orders);
        Assert.Equal((3, 0, 0), await CountAsync());

        foreach (var delivery in stored)
            Assert.True(await SettleAsync(delivery, DeliveryState.Delivered));
        Assert.False(await SettleAsync(stored[7], DeliveryState.Dead));
        Assert.Equal((0, 450), await PendingAndEndedAsync());

        // Rows go with what ends next.
        await SettleAsync(Assert.Single(await EnqueueAsync(_store, [450], Orders)), DeliveryState.Delivered);
        Assert.Equal((1, 0, 451), await CountAsync());
        Assert.Equal([(Orders.Uid, 0)], (await _store.CountPendingAsync([Orders.Uid], 10, Token)).Select(c => (c.Key, c.Value)));
        Assert.Equal((0, 0, 451), await CountAsync());
    }

    [Fact]
    public async Task Only_what_is_sent_at_once_is_stored_like_that()
    {
        var later = NewSubscription("later");
        _store.ClaimOf = uid => uid == Orders.Uid ? _member.Claim : 0;

        await EnqueueAsync(_store, [1, 2], Orders, later);

        Assert.Equal((1, 2, 0), await CountAsync());
        Assert.Equal(2, (await ReadDueAsync(_store, later)).Length);
        Assert.Equal((1, 2, 0), await CountAsync());
    }

    [Fact]
    public async Task What_its_lane_has_in_hand_is_not_spread_by_that_lane_s_reads()
    {
        var mine = await EnqueueAsync(_store, Enumerable.Range(0, 5), Orders);

        Assert.Empty(await ReadDueAsync(_store, Orders, [.. mine.Select(d => d.Id)]));
        Assert.Equal((1, 0, 0), await CountAsync());

        Assert.Equal(mine[4].Id, Assert.Single(await ReadDueAsync(_store, Orders, [.. mine[..4].Select(d => d.Id)])).Id);
        Assert.Equal((0, 5, 0), await CountAsync());
        // Those that were in hand end all the same.
        foreach (var delivery in mine)
            Assert.True(await SettleAsync(delivery, DeliveryState.Delivered));
        Assert.Equal((0, 0, 5), await CountAsync());
    }

    [Fact]
    public async Task What_is_tried_again_waits_by_itself_and_ends_later()
    {
        var stored = await EnqueueAsync(_store, Enumerable.Range(0, 3), Orders);
        Assert.True(await SettleAsync(stored[0], DeliveryState.Delivered));

        Assert.True(await SettleAsync(stored[1], DeliveryState.Pending));
        Assert.Equal((0, 2, 1), await CountAsync());
        Assert.True(await SettleAsync(stored[2], DeliveryState.Delivered));

        var again = Assert.Single(await ReadDueAsync(_store, Orders));
        Assert.Equal((stored[1].Id, 1, 2L), (again.Id, again.Attempts, again.Version));
        Assert.True(await SettleAsync(again, DeliveryState.Delivered));
        Assert.Equal((0, 0, 3), await CountAsync());
    }

    [Fact]
    public async Task A_redelivery_while_others_of_its_row_are_under_way_is_one_of_its_own()
    {
        var stored = await EnqueueAsync(_store, Enumerable.Range(0, 2), Orders);
        Assert.True(await SettleAsync(stored[0], DeliveryState.Delivered));

        Assert.Equal(new Redelivery(Orders.Uid, Reopened: true), await _store.RedeliverAsync("shop", stored[0].Id, Start.AddHours(1), Token));
        Assert.Equal(new Redelivery(Orders.Uid, Reopened: false), await _store.RedeliverAsync("shop", stored[1].Id, Start.AddHours(1), Token));

        Assert.True(await SettleAsync(stored[1], DeliveryState.Delivered));
        Assert.False(await SettleAsync(stored[0], DeliveryState.Delivered));
        Assert.True(await SettleAsync(Assert.Single(await ReadDueAsync(_store, Orders)), DeliveryState.Delivered));
        Assert.Equal((0, 0, 2), await CountAsync());
    }

    [Fact]
    public async Task Each_ends_once_however_often_others_look_meanwhile()
    {
        await using var other = await PostgresHost.OpenAsync(await _host.ConnectionStringAsync());
        using var stop = new CancellationTokenSource();
        var looking = Task.Run(async () =>
        {
            var looks = 0;
            for (; !stop.IsCancellationRequested; looks++)
                await (looks % 3 == 0 ? other.ReadBacklogsAsync(Token) : looks % 3 == 1 ? (Task)other.ReadOldestPendingAsync(Orders.Uid, Token) : _store.ReadBacklogsAsync(Token));
            return looks;
        }, Token);

        var ended = 0;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(worker => Task.Run(async () =>
        {
            for (var round = 0; round < 20; round++)
            {
                var stored = await EnqueueAsync(_store, Enumerable.Range(((worker * 20) + round) * 10, 10), Orders);
                var settled = await Task.WhenAll(stored.Select((d, i) => SettleAsync(d, i == 9 ? DeliveryState.Pending : DeliveryState.Delivered)));
                Interlocked.Add(ref ended, settled.Count(s => s));
            }
        }, Token)));
        await stop.CancelAsync();

        Assert.True(await looking > 10);
        Assert.Equal(3200, ended);
        Assert.Equal((320, 2880), await PendingAndEndedAsync());
    }

    [Fact]
    public async Task When_a_member_s_claim_ends_what_it_had_in_hand_waits_for_everybody_and_what_it_still_stores_too()
    {
        var stored = await EnqueueAsync(_store, Enumerable.Range(0, 3), Orders);
        Assert.True(await SettleAsync(stored[0], DeliveryState.Delivered));

        await ExecuteAsync($"DELETE FROM {Schema.Name}.member");
        Assert.Equal((0, 2, 1), await CountAsync());
        Assert.False(await _store.SettleAsync(Settle(stored[1], DeliveryState.Delivered) with { Claim = _member.Claim }, Token));

        await EnqueueAsync(_store, [3], Orders);
        Assert.Equal((0, 3, 1), await CountAsync());
    }

    [Fact]
    public async Task A_member_that_leaves_leaves_nothing_in_hand()
    {
        await using var member = await _store.JoinAsync(new HashSet<long>(), Token);
        _store.ClaimOf = _ => member.Claim;
        await EnqueueAsync(_store, [1], Orders);

        await member.DisposeAsync();

        Assert.Equal((0, 1, 0), await CountAsync());
    }

    [Fact]
    public async Task What_was_to_be_stored_with_something_that_is_refused_is_stored_by_itself_and_ends_once()
    {
        var writer = await WriterAsync();
        var calls = Enumerable.Range(0, 60).Select(i => EnqueueAsync(_store, [i], Orders)).ToArray();
        // A character that PostgreSQL's text can't hold.
        var refused = Task.Run(() => _store.EnqueueAsync([NewEvent("\0", Start, Orders)], Token), Token);
        var more = Enumerable.Range(60, 60).Select(i => EnqueueAsync(_store, [i], Orders)).ToArray();
        await Assert.ThrowsAnyAsync<Exception>(() => refused);

        foreach (var stored in (await Task.WhenAll(calls)).Concat(await Task.WhenAll(more)))
            Assert.True(await SettleAsync(Assert.Single(stored), DeliveryState.Delivered));

        Assert.Equal((0, 120), await PendingAndEndedAsync());
        Assert.Equal(writer, await WriterAsync());

        async Task<object?> WriterAsync() => await _host.Server.ReadAsync(_host.Database, $"SELECT last_value FROM {Schema.Name}.writer");
    }

    [Fact]
    public async Task It_is_not_spread_where_ends_of_others_can_t_be_seen()
    {
        await EnqueueAsync(_store, [1], Orders);

        var refusal = await Assert.ThrowsAsync<Npgsql.PostgresException>(() => ExecuteAsync(
            $"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT {Schema.Name}.spread_accepted(array_agg(id)) FROM {Schema.Name}.accepted"));

        Assert.Contains("READ COMMITTED", refusal.MessageText, StringComparison.Ordinal);
        Assert.Equal((1, 0, 0), await CountAsync());
    }

    [Fact]
    public async Task A_shard_that_is_released_has_nothing_in_hand()
    {
        await EnqueueAsync(_store, [1], Orders);

        await _member.ReleaseAsync([Shard.Of(Orders.Uid)]);

        Assert.Equal((0, 1, 0), await CountAsync());
    }

    [Fact]
    public async Task What_no_lane_has_asked_for_is_found_by_the_next_poll_after_five_seconds()
    {
        await EnqueueAsync(_store, [1], Orders);
        await using var other = await PostgresHost.OpenAsync(await _host.ConnectionStringAsync());
        int[] shards = [Shard.Of(Orders.Uid)];

        Assert.Empty(await other.FindDueAsync(shards, Start.AddSeconds(3), Token));
        Assert.Equal(Orders.Uid, Assert.Single(await other.FindDueAsync(shards, TimeProvider.System.GetUtcNow().AddSeconds(6), Token)).Uid);
        Assert.Single(await ReadDueAsync(other, Orders));
    }

    [Fact]
    public async Task A_subscription_of_which_only_such_a_delivery_is_left_is_kept()
    {
        await EnqueueAsync(_store, [1], Orders);

        Assert.Equal(0, await _store.SweepAsync(Start.AddDays(-7), Token));

        Assert.Equal(1L, await _host.Server.ReadAsync(_host.Database, $"SELECT count(*) FROM {Schema.Name}.subscription"));
        Assert.Equal((1, 0, 0), await CountAsync());
    }

    [Fact]
    public async Task An_end_and_the_rest_of_its_row_survive_a_server_that_is_killed()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var store = await PostgresHost.OpenAsync(server.ConnectionString("postgres"));
        await using (await PostgresHost.ClaimAsync(store))
        {
            var stored = await EnqueueAsync(store, Enumerable.Range(0, 3), Orders);
            Assert.True(await store.SettleAsync(Settle(stored[1], DeliveryState.Delivered), Token));

            await server.StopAsync("immediate");
            await server.StartAgainAsync();

            Assert.Equal([stored[0].Id, stored[2].Id], (await ReadDueAsync(store, Orders)).Select(d => d.Id));
        }
    }

    private static async Task<PendingDelivery[]> EnqueueAsync(PostgresStore store, IEnumerable<int> ids, params Subscription[] matches)
    {
        var now = TimeProvider.System.GetUtcNow();
        var results = await store.EnqueueAsync([.. ids.Select(id => NewEvent($"{id}", now, matches))], Token);
        Assert.DoesNotContain(results, r => r.Duplicate);
        return [.. results.SelectMany(r => r.Pending)];
    }

    private static NewEvent NewEvent(string id, DateTimeOffset time, params Subscription[] matches) => new("shop", new Event
    {
        Id = id, Source = "/shop", Type = "created", Encoding = EventEncoding.Binary, Body = "{}"u8.ToArray(), DataRange = ..,
    }, matches, time);

    private static async Task<PendingDelivery[]> ReadDueAsync(PostgresStore store, Subscription subscription, params DeliveryId[] held) =>
        [.. (await store.ReadDueAsync(
            subscription.Uid, DateTimeOffset.MinValue, Start.AddHours(1), 1000, long.MaxValue, held.Length == 0 ? None : held.ToHashSet(), Token)).Deliveries];

    private Task<bool> SettleAsync(PendingDelivery delivery, DeliveryState state) => _store.SettleAsync(Settle(delivery, state), Token);

    private static Settlement Settle(PendingDelivery delivery, DeliveryState state) => new()
    {
        Delivery = delivery, State = state, Step = 1, Time = Start, DueTime = Start,
        Attempt = new AttemptRecord { Number = delivery.Attempts + 1, Time = Start, Duration = TimeSpan.FromMilliseconds(1), StatusCode = 200 },
    };

    private async Task<(int Rows, int Pending, int Ended)> CountAsync()
    {
        await using var connection = await _host.Server.ConnectAsync(_host.Database);
        await using var command = new Npgsql.NpgsqlCommand($"""
            SELECT (SELECT count(*) FROM {Schema.Name}.accepted)::int, (SELECT count(*) FROM {Schema.Name}.pending)::int,
              (SELECT count(*) FROM {Schema.Name}.delivery)::int
            """, connection);
        await using var row = await command.ExecuteReaderAsync(Token);
        await row.ReadAsync(Token);
        return (row.GetInt32(0), row.GetInt32(1), row.GetInt32(2));
    }

    /// <summary>As the store tells them; whatever is counted twice would show here.</summary>
    private async Task<(int Pending, int Ended)> PendingAndEndedAsync()
    {
        var backlogs = await _store.ReadBacklogsAsync(Token);
        var (_, _, ended) = await CountAsync();
        return (backlogs.Sum(b => b.Pending), ended);
    }

    private Task ExecuteAsync(string sql) => _host.Server.ExecuteAsync(_host.Database, sql);

    private static Subscription NewSubscription(string name) => new()
    {
        Uid = $"uid-{name}",
        Name = new NamespacedName("shop", name),
        Generation = 1,
        Filter = Filter.All,
        Delivery = new DeliveryPolicy(),
    };
}
