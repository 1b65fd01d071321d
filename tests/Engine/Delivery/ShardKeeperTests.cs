using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Postgres;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Testing;
using static WebhookOperator.Tests.Engine.Delivery.DispatcherFixture;

namespace WebhookOperator.Tests.Engine.Delivery;

/// <summary>Several dispatchers on one PostgreSQL database, each with sessions of its own, as processes have.</summary>
public sealed class ShardKeeperTests : IAsyncLifetime
{
    private readonly ConcurrentQueue<(string Replica, Subscription Subscription, DeliveryId Id, TimeSpan Time)> _sent = new();
    private readonly List<Replica> _replicas = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private PostgresServer _server = null!;
    private string _database = "";

    public async ValueTask InitializeAsync()
    {
        _server = await SharedPostgres.GetAsync();
        _database = await _server.CreateDatabaseAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var replica in _replicas)
            await replica.DisposeAsync();
        await _server.DropDatabaseAsync(_database);
    }

    [Fact]
    public async Task Shards_are_shared_equally_whoever_comes_and_goes()
    {
        var a = await StartAsync("a");
        await UntilOwnedAsync(256);

        var b = await StartAsync("b");
        var c = await StartAsync("c");
        await UntilSharedAsync();

        // One leaves in order.
        await StopAsync(b);
        await UntilAsync(() => _replicas.All(r => r.Dispatcher.Shards.Count == 128));

        // One loses its session, as if it were dead for the server; its shards are delivered again, and it comes back.
        await _server.ExecuteAsync(_database, $"""
            SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = {AdvisoryLocks.Member}
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1
            """);
        await UntilAsync(() => a.Log.Warnings.Concat(c.Log.Warnings).Any(w => w.StartsWith("Membership lost", StringComparison.Ordinal)));
        await UntilAsync(() => _replicas.All(r => r.Dispatcher.Shards.Count == 128));
        await UntilOwnedAsync(256);
    }

    [Fact]
    public async Task An_event_that_one_accepts_is_sent_once_by_the_one_that_owns_its_subscription()
    {
        var subscriptions = Enumerable.Range(0, 40).Select(i => Subscription($"s{i}")).ToArray();
        for (var i = 0; i < 3; i++)
            (await StartAsync($"{i}", subscriptions)).Receiver = static (_, _, _) => Task.FromResult(Success);
        await UntilSharedAsync();

        var stored = new List<EnqueueResult>();
        for (var i = 0; i < 30; i++)
            stored.AddRange(await _replicas[i % 3].PublishAsync($"{i}", subscriptions));
        await UntilAsync(() => _sent.Count >= 1200);
        await UntilNothingIsPendingAsync();

        Assert.Equal(
            stored.SelectMany(s => s.Pending.Select(p => p.Id)).Order(), _sent.Select(s => s.Id).Order());
        Assert.All(_sent.GroupBy(s => s.Subscription.Uid), g => Assert.Single(g.Select(s => s.Replica).Distinct()));
        Assert.Equal(3, _sent.Select(s => s.Replica).Distinct().Count());
    }

    [Fact]
    public async Task An_offer_that_comes_after_the_delivery_has_been_through_other_hands_sends_nothing()
    {
        var orders = Subscription();
        var a = await StartAsync("a", orders);
        await UntilOwnedAsync(256);

        // Stored by b and sent by a, before b gets to hand it over; which it then does as the new owner.
        await using var storeOfB = await OpenAsync();
        var late = await storeOfB.EnqueueAsync([Event("1", orders)], CancellationToken.None);
        await UntilAsync(() => _sent.Count == 1);
        await StopAsync(a);
        var b = await StartAsync("b", orders);
        await UntilOwnedAsync(256);
        b.Dispatcher.Offer(late);
        await b.PublishAsync("2", orders);
        await UntilAsync(() => _sent.Any(s => s.Replica == "b" && s.Id != late[0].Pending[0].Id));

        Assert.Equal(2, _sent.Count);
    }

    [Fact]
    public async Task What_a_leaving_replica_has_let_go_of_goes_on_elsewhere_while_one_of_its_requests_hangs()
    {
        var orders = Subscription();
        var a = await StartAsync("a", orders);
        await UntilOwnedAsync(256);
        var answer = new TaskCompletionSource<SendResult>();
        a.Receiver = (_, _, _) => answer.Task;
        await a.PublishAsync("1", orders);
        await UntilAsync(() => _sent.Count == 1);

        var b = await StartAsync("b", orders);
        await UntilAsync(() => b.Dispatcher.Shards.Count >= 127);
        var leaving = StopAsync(a);
        await UntilAsync(() => b.Dispatcher.Shards.Count == 255);
        Assert.False(leaving.IsCompleted);

        answer.SetResult(Success);
        await leaving;
        await UntilOwnedAsync(256);
        Assert.Single(_sent);
    }

    [Fact]
    public async Task Letting_go_of_a_shard_while_another_reaches_for_it_ends_no_membership()
    {
        await using var store = await OpenAsync();
        await using var one = await store.JoinAsync(new HashSet<long>(), CancellationToken.None);
        await using var other = await store.JoinAsync(new HashSet<long>(), CancellationToken.None);
        var shards = Enumerable.Range(0, 8).ToArray();
        Assert.Equal(shards, await one.TakeAsync(shards, 8));

        var (giver, taker) = (one, other);
        for (var round = 0; round < 200; round++)
        {
            var taking = TakeAllAsync(taker);
            await giver.ReleaseAsync(shards);
            await taking;
            Assert.Equal(2, (await giver.BeatAsync(0)).Members);
            (giver, taker) = (taker, giver);
        }

        async Task TakeAllAsync(IShardSession session)
        {
            for (var taken = 0; taken < shards.Length;)
                taken += (await session.TakeAsync(shards, shards.Length - taken)).Length;
        }
    }

    [Fact]
    public async Task What_hints_do_not_tell_is_found_by_polling()
    {
        var orders = Subscription();
        await StartAsync("owner", orders);
        await UntilOwnedAsync(256);

        await using var stranger = await PostgresStore.OpenAsync(
            _server.ConnectionString(_database), new Instruments(Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance, CancellationToken.None);
        await stranger.EnqueueAsync([Event("unannounced", orders)], CancellationToken.None);

        await UntilAsync(() => _sent.Count == 1);
        await UntilNothingIsPendingAsync();
    }

    [Fact]
    public async Task An_open_circuit_and_the_counters_are_handed_over_and_nothing_is_sent_meanwhile()
    {
        var policy = new DeliveryPolicy
        {
            // One after the other: none is under way any more when the circuit opens.
            Concurrency = 1,
            Retry = Retries(1, 1, 1, 1),
            CircuitBreaker = new CircuitBreakerPolicy { MinimumThroughput = 2, BreakDuration = TimeSpan.FromMinutes(5) },
        };
        var orders = Subscription(delivery: policy);
        var a = await StartAsync("a", orders);
        a.Receiver = static (_, _, _) => Task.FromResult(Unavailable);
        await UntilOwnedAsync(256);
        for (var i = 0; i < 4; i++)
            await a.PublishAsync($"{i}", orders);
        await UntilAsync(async () => (await a.SnapshotAsync(orders))!.Circuit.Position == CircuitPosition.Open);
        await UntilAsync(async () => (await a.SnapshotAsync(orders))!.FailedAttempts >= 2);
        var before = (await a.SnapshotAsync(orders))!;
        var sent = _sent.Count;

        await StopAsync(a);
        var b = await StartAsync("b", orders);
        await UntilOwnedAsync(256);

        var after = (await b.SnapshotAsync(orders))!;
        Assert.Equal(CircuitPosition.Open, after.Circuit.Position);
        Assert.Equal(before.Circuit.NextProbeTime!.Value, after.Circuit.NextProbeTime!.Value, TimeSpan.FromMilliseconds(1));
        Assert.Equal((before.FailedAttempts, 4L), (after.FailedAttempts, after.Pending));
        Assert.Equal(before.FailingSince!.Value, after.FailingSince!.Value, TimeSpan.FromMilliseconds(1));
        await b.PublishAsync("5", orders);
        Assert.Equal(sent, _sent.Count);
    }

    [Fact]
    public async Task Who_takes_over_from_the_dead_ends_what_they_had_under_way()
    {
        var store = await OpenAsync();
        await using var _ = store;
        var orders = Subscription();
        var dead = await store.JoinAsync(new HashSet<long>(), CancellationToken.None);
        var shard = Shard.Of(orders.Uid);
        Assert.Equal([shard], await dead.TakeAsync([shard], 1));
        var delivery = (await store.EnqueueAsync([Event("1", orders)], CancellationToken.None))[0].Pending[0];
        await _server.ExecuteAsync(_database, $"SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND classid = {AdvisoryLocks.Member} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
        await Assert.ThrowsAsync<StoreUnavailableException>(() => dead.BeatAsync(0));

        await using var heir = await store.JoinAsync(new HashSet<long>(), CancellationToken.None);
        Assert.Equal(new Membership(1, 0), await heir.BeatAsync(0));
        Assert.Equal([shard], await heir.TakeAsync([shard], 1));

        var settlement = new Settlement { Delivery = delivery, State = DeliveryState.Delivered, Step = 1, Time = TimeProvider.System.GetUtcNow() };
        Assert.False(await store.SettleAsync(settlement with { Claim = dead.Claim }, CancellationToken.None));
        var failing = new SubscriptionState { FailingSince = TimeProvider.System.GetUtcNow() };
        await store.SaveStateAsync(orders.Uid, failing, heir.Claim, CancellationToken.None);
        await store.SaveStateAsync(orders.Uid, SubscriptionState.Healthy, dead.Claim, CancellationToken.None);
        Assert.NotNull(Assert.Single(await store.ReadBacklogsAsync(CancellationToken.None)).State.FailingSince);
        Assert.True(await store.SettleAsync(settlement with { Claim = heir.Claim }, CancellationToken.None));
        await dead.DisposeAsync();
    }

    [Fact]
    public async Task What_is_due_for_a_subscription_that_nobody_knows_any_more_is_left_alone_at_first()
    {
        var gone = Subscription("gone");
        var a = await StartAsync("a");
        await UntilOwnedAsync(256);

        await a.Store.EnqueueAsync([Event("1", gone)], CancellationToken.None);
        a.Dispatcher.Polled(await a.Store.FindDueAsync(a.Dispatcher.Shards, TimeProvider.System.GetUtcNow().AddSeconds(1), CancellationToken.None), _ => true);

        // Another replica may have learnt of it already.
        a.Dispatcher.Upsert(gone);
        await UntilAsync(() => _sent.Count == 1);
    }

    [Fact]
    public async Task What_is_sent_at_once_is_stored_in_one_row_and_what_has_to_wait_in_rows_of_its_own()
    {
        var (orders, held) = (Subscription("orders"), Subscription("held") with { Suspended = true });
        var answer = new TaskCompletionSource<SendResult>();
        var a = await StartAsync("a", orders, held);
        a.Receiver = (_, _, _) => answer.Task;
        await UntilOwnedAsync(256);

        await a.PublishAsync("1", orders, held);
        await UntilAsync(() => _sent.Count == 1);
        Assert.Equal((1L, 1L), await CountAsync());

        // What fails is tried again later, and so is, as far as its lane can tell, what comes next.
        answer.SetResult(new SendResult { StatusCode = 500, Error = ErrorClass.HttpStatus, Message = "no" });
        await UntilAsync(async () => (await a.SnapshotAsync(orders))!.FailingSince is not null);
        Assert.Equal((0L, 2L), await CountAsync());
        await a.PublishAsync("2", orders);
        Assert.Equal((0L, 3L), await CountAsync());

        async Task<(long Rows, long Pending)> CountAsync() => (
            (long)(await _server.ReadAsync(_database, $"SELECT count(*) FROM {Schema.Name}.accepted"))!,
            (long)(await _server.ReadAsync(_database, $"SELECT count(*) FROM {Schema.Name}.pending"))!);
    }

    private async Task<Replica> StartAsync(string name, params Subscription[] subscriptions)
    {
        var replica = new Replica(name, await OpenAsync(), (subscription, delivery) => _sent.Enqueue((name, subscription, delivery.Id, _clock.Elapsed)));
        await replica.Dispatcher.StartAsync(CancellationToken.None);
        foreach (var subscription in subscriptions)
            replica.Dispatcher.Upsert(subscription);
        replica.Start();
        _replicas.Add(replica);
        return replica;
    }

    private async Task StopAsync(Replica replica)
    {
        _replicas.Remove(replica);
        await replica.DisposeAsync();
    }

    private Task<PostgresStore> OpenAsync() => PostgresStore.OpenAsync(
        _server.ConnectionString(_database), new Instruments(Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance, CancellationToken.None);

    /// <summary>All shards, by three that have equally many.</summary>
    private async Task UntilSharedAsync()
    {
        await UntilAsync(() => _replicas.All(r => r.Dispatcher.Shards.Count is >= 84 and <= 86));
        await UntilOwnedAsync(256);
    }

    private Task UntilNothingIsPendingAsync() =>
        UntilAsync(async () => (await _replicas[0].Store.ReadBacklogsAsync(CancellationToken.None)).Sum(b => b.Pending) == 0);

    private Task UntilOwnedAsync(int shards) => UntilAsync(() => _replicas.SelectMany(r => r.Dispatcher.Shards).Distinct().Count() == shards);

    private static Task UntilAsync(Func<bool> condition) => UntilAsync(() => Task.FromResult(condition()));

    private static Task UntilAsync(Func<Task<bool>> condition) => LocalOperator.UntilAsync(condition);

    private static NewEvent Event(string id, params Subscription[] matches) => new("acme", new Event
    {
        Id = id, Source = "/test", Type = "test", Encoding = EventEncoding.Binary, Body = "{}"u8.ToArray(), DataRange = ..,
    }, matches, TimeProvider.System.GetUtcNow());

    private sealed class Replica : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly ShardKeeper _keeper;
        private readonly Lock _gate = new();
        private readonly Random _random = new(7);
        private Task _run = Task.CompletedTask;

        public Replica(string name, PostgresStore store, Action<Subscription, PendingDelivery> sent)
        {
            Store = store;
            var instruments = new Instruments(Metrics.NewCustomRegistry());
            Dispatcher = new Dispatcher(
                new LaneContext(
                    store,
                    (subscription, delivery, cancellation) =>
                    {
                        sent(subscription, delivery);
                        return Receiver(subscription, delivery, cancellation);
                    },
                    instruments, TimeProvider.System, NextDouble, Log.Logger<Dispatcher>(), null),
                store);
            _keeper = new ShardKeeper(store, Dispatcher, _ => true, TimeSpan.FromSeconds(10), instruments, TimeProvider.System, NextDouble, Log.Logger<ShardKeeper>());
        }

        public CapturedLog Log { get; } = new();

        public PostgresStore Store { get; }

        public Dispatcher Dispatcher { get; }

        public Func<Subscription, PendingDelivery, CancellationToken, Task<SendResult>> Receiver { get; set; } = static (_, _, _) => Task.FromResult(Success);

        public void Start() => _run = Task.Run(() => _keeper.RunAsync(_stop.Token));

        public async Task<IReadOnlyList<EnqueueResult>> PublishAsync(string id, params Subscription[] matches)
        {
            var stored = await Store.EnqueueAsync([Event(id, matches)], CancellationToken.None);
            Dispatcher.Offer(stored);
            return stored;
        }

        public Task<DeliverySnapshot?> SnapshotAsync(Subscription subscription) => Dispatcher.SnapshotAsync(subscription.Uid, CancellationToken.None);

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await Dispatcher.DisposeAsync();
            await Store.DisposeAsync();
            _stop.Dispose();
        }

        private double NextDouble()
        {
            lock (_gate)
                return _random.NextDouble();
        }
    }
}
