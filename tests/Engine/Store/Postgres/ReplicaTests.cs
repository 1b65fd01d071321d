using Prometheus;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Postgres;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Engine.Store.Postgres;

/// <summary>What is PostgreSQL's own: several processes, shared commits, days.</summary>
public sealed class ReplicaTests : IAsyncLifetime
{
    private static readonly DateTimeOffset T0 = new(2025, 6, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly IReadOnlySet<DeliveryId> None = new HashSet<DeliveryId>();

    private readonly PostgresHost _host = new();
    private string _good = "";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _good = await _host.ConnectionStringAsync();

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task Of_many_replicas_with_the_same_events_exactly_one_stores_each_and_no_id_is_drawn_twice()
    {
        var stores = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => PostgresHost.OpenAsync(_good)));

        var answers = await Task.WhenAll(Enumerable.Range(0, 60).Select(i => Task.Run(async () =>
        {
            var all = new List<EnqueueResult>();
            for (var n = 0; n < 10; n++)
            {
                // Each in another order, so that groups wait for each other both ways.
                var events = Enumerable.Range(0, 20).Select(e => Accept($"{n}-{((e * 7) + i) % 20}", T0, Subscription($"s{e % 3}")));
                all.AddRange(await stores[i % 3].EnqueueAsync([.. events], Token));
            }
            return all;
        })));

        var results = answers.SelectMany(a => a).ToArray();
        Assert.Equal(200, results.Count(r => !r.Duplicate));
        Assert.Equal(200, results.Select(r => r.Id).Distinct().Count());
        var ids = results.SelectMany(r => r.Pending.Select(p => p.Id.Value).Prepend(r.Id.Value).Where(_ => !r.Duplicate)).ToArray();
        Assert.Equal(400, ids.Distinct().Count());
        Assert.Equal(200, (await stores[0].ReadBacklogsAsync(Token)).Sum(b => b.Pending));
        foreach (var store in stores)
            await store.DisposeAsync();
    }

    [Fact]
    public async Task Concurrent_calls_share_commits_and_each_is_counted()
    {
        var instruments = new Instruments(Metrics.NewCustomRegistry());
        await using (var store = await PostgresHost.OpenAsync(_good, instruments))
        {
            await Task.WhenAll(Enumerable.Range(0, 500).Select(i => store.EnqueueAsync([Accept($"{i}", T0, Subscription("a"))], Token)));
            await store.SaveStateAsync("uid", SubscriptionState.Healthy, 0, Token);
        }

        Assert.InRange(instruments.StoreBatchSize.Sum, 501, 520);
        Assert.InRange(instruments.StoreBatchSize.Count, 2, 250);
        Assert.Equal(1, instruments.StoreCommitDuration.WithLabels("save_state").Count);
    }

    [Fact]
    public async Task Days_past_a_long_retention_are_dropped_whole_unless_something_is_pending()
    {
        var (a, b) = (Subscription("a"), Subscription("b"));
        await using (var store = await PostgresHost.OpenAsync(_good))
        {
            for (var day = 0; day < 3; day++)
            {
                var stored = await store.EnqueueAsync([.. Enumerable.Range(0, 1500).Select(i => Accept($"{day}-{i}", T0.AddDays(day), a))], Token);
                await Task.WhenAll(stored.Select(s => SettleAsync(store, s.Pending[0], T0.AddDays(day))));
                if (day == 1)
                    await store.EnqueueAsync([Accept("waits", T0.AddDays(day), b)], Token);
            }
        }

        await using var later = await PostgresHost.OpenAsync(_good, time: new LaterTime(T0.AddDays(10)));
        var cutoff = T0.AddDays(2);
        while (await later.SweepAsync(cutoff, Token) > 0) { }

        // The first day has gone, of the second only what waits is left, and the third keeps all until all of it is old.
        Assert.Equal(["attempt_20250602", "attempt_20250603"], await PartitionsAsync());
        Assert.Equal(1500, await CountAsync(a));
        Assert.Equal("waits", Assert.Single((await later.ReadDueAsync(b.Uid, DateTimeOffset.MinValue, T0.AddDays(5), 10, long.MaxValue, None, Token)).Deliveries).Event.Event.Id);
        var again = await later.EnqueueAsync([Accept("0-7", T0, a), Accept("1-7", T0.AddDays(1), a), Accept("2-7", T0.AddDays(2), a)], Token);
        Assert.Equal([false, false, true], again.Select(r => r.Duplicate));

        async Task<int> CountAsync(Subscription subscription)
        {
            var count = 0;
            for (DeliveryId? before = null; ;)
            {
                var page = await later.ListDeliveriesAsync(subscription.Uid, new DeliveryQuery(null, null, 500, before), Token);
                count += page.Items.Length;
                if ((before = page.Continue) is null)
                    return count;
            }
        }
    }

    private async Task<string[]> PartitionsAsync()
    {
        await using var connection = await _host.Server.ConnectAsync(_host.Database);
        await using var command = new Npgsql.NpgsqlCommand(
            $"SELECT array_agg(relname::text ORDER BY relname) FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = '{Schema.Name}.attempt'::regclass AND relname < 'attempt_20250610'",
            connection);
        return (string[])(await command.ExecuteScalarAsync(Token))!;
    }

    private static Task<bool> SettleAsync(PostgresStore store, PendingDelivery delivery, DateTimeOffset time) => store.SettleAsync(
        new Settlement { Delivery = delivery, State = DeliveryState.Delivered, Step = 1, Time = time }, Token);

    private static NewEvent Accept(string id, DateTimeOffset time, params Subscription[] matches) => new("shop", new Event
    {
        Id = id, Source = "/shop", Type = "created", Encoding = EventEncoding.Binary, Body = "{}"u8.ToArray(), DataRange = 0..2,
    }, matches, time);

    private static Subscription Subscription(string name) => new()
    {
        Uid = $"uid-{name}",
        Name = new NamespacedName("shop", name),
        Generation = 1,
        Filter = Filter.All,
        Delivery = new DeliveryPolicy(),
    };

    private sealed class LaterTime(DateTimeOffset start) : TimeProvider
    {
        private readonly TimeSpan _shift = start - System.GetUtcNow();

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + _shift;
    }
}
