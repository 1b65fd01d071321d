using System.Collections.Immutable;
using System.Text;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Store;

/// <summary>What every store must do, whatever it is built on: the tests that derive from this run against each.</summary>
public abstract class StoreContract : IAsyncLifetime
{
    private protected static readonly DateTimeOffset T0 = new(2025, 6, 1, 12, 0, 0, TimeSpan.Zero);
    private protected static readonly IReadOnlySet<DeliveryId> None = new HashSet<DeliveryId>();

    private readonly StoreHost _host;
    private IDeliveryStore? _store;

    private protected StoreContract(StoreHost host) => _host = host;

    private protected IDeliveryStore Store => _store!;

    private protected static CancellationToken Cancelled => new(canceled: true);

    private protected static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _store = await _host.OpenAsync();

    public async ValueTask DisposeAsync()
    {
        if (_store is not null)
            await _store.DisposeAsync();
        await _host.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private protected async Task ReopenAsync()
    {
        await Store.DisposeAsync();
        _store = await _host.OpenAsync();
    }

    private protected static Subscription NewSubscription(string name = "orders") => new()
    {
        Uid = $"uid-{name}",
        Name = new NamespacedName("shop", name),
        Generation = 1,
        Filter = Filter.All,
        Delivery = new DeliveryPolicy(),
    };

    private protected static Event NewEvent(string id, string type = "com.acme.order.created", byte[]? body = null) => new()
    {
        Id = id,
        Source = "/shop",
        Type = type,
        Encoding = EventEncoding.Binary,
        Body = body ?? Encoding.UTF8.GetBytes($"body of {id}"),
        DataRange = 0..(body?.Length ?? Encoding.UTF8.GetByteCount($"body of {id}")),
    };

    private protected static NewEvent Accept(Event @event, DateTimeOffset time, params Subscription[] matches) =>
        new("shop", @event, matches, time);

    private protected async Task<PendingDelivery> EnqueueAsync(Subscription subscription, string id, DateTimeOffset? time = null,
        string type = "com.acme.order.created")
    {
        var results = await Store.EnqueueAsync([Accept(NewEvent(id, type), time ?? T0, subscription)], Token);
        return Assert.Single(Assert.Single(results).Pending);
    }

    private protected async Task FillAsync(Subscription subscription, int count, DateTimeOffset? time = null)
    {
        foreach (var chunk in Enumerable.Range(0, count).Chunk(500))
            await Store.EnqueueAsync([.. chunk.Select(i => Accept(NewEvent($"fill-{i}"), time ?? T0, subscription))], Token);
    }

    private protected Task<DueDeliveries> ReadDueAsync(Subscription subscription, DateTimeOffset now, int limit = 1000,
        long byteLimit = long.MaxValue, params DeliveryId[] held) =>
        Store.ReadDueAsync(subscription.Uid, DateTimeOffset.MinValue, now, limit, byteLimit, held.ToHashSet(), Token);

    /// <summary>How many were replayed.</summary>
    private protected async Task<int> ReplayAsync(Subscription subscription, ReplayQuery query, DateTimeOffset now)
    {
        var count = 0;
        await Store.ReplayAsync(subscription.Uid, query, now, chunk => count += chunk, Token);
        return count;
    }

    private protected static Settlement Delivered(PendingDelivery delivery, DateTimeOffset time) =>
        Settle(delivery, DeliveryState.Delivered, time, 200, ErrorClass.None);

    private protected static Settlement Dead(PendingDelivery delivery, DateTimeOffset time) =>
        Settle(delivery, DeliveryState.Dead, time, 500, ErrorClass.HttpStatus);

    private protected static Settlement Retry(PendingDelivery delivery, DateTimeOffset time, DateTimeOffset due) =>
        Settle(delivery, DeliveryState.Pending, time, 503, ErrorClass.HttpStatus) with { DueTime = due };

    private protected async Task<PendingDelivery> SettledAsync(PendingDelivery delivery, Settlement settlement)
    {
        Assert.True(await Store.SettleAsync(settlement, Token));
        return delivery;
    }

    private protected async Task<DeliverySummary> SummaryAsync(DeliveryId id)
    {
        var detail = await Store.GetDeliveryAsync("shop", id, Token);
        Assert.NotNull(detail);
        return detail.Summary;
    }

    private protected async Task<ImmutableArray<DeliverySummary>> ListAllAsync(Subscription subscription, DeliveryState? state = null,
        DateTimeOffset? since = null, int limit = 500)
    {
        var all = ImmutableArray.CreateBuilder<DeliverySummary>();
        DeliveryId? before = null;
        do
        {
            var page = await Store.ListDeliveriesAsync(subscription.Uid, new DeliveryQuery(state, since, limit, before), Token);
            Assert.True(page.Items.Length <= limit);
            all.AddRange(page.Items);
            before = page.Continue;
        }
        while (before is not null);
        return all.DrainToImmutable();
    }

    private static Settlement Settle(PendingDelivery delivery, DeliveryState state, DateTimeOffset time, int status, ErrorClass error) => new()
    {
        Delivery = delivery,
        State = state,
        Step = delivery.Step + 1,
        Time = time,
        Attempt = new AttemptRecord
        {
            Number = delivery.Attempts + 1,
            Time = time,
            Duration = TimeSpan.FromMilliseconds(12),
            StatusCode = status,
            Error = error,
            Message = error == ErrorClass.None ? null : $"the receiver answered {status}",
            Response = "answer"u8.ToArray(),
        },
    };
}
