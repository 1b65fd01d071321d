using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Prometheus;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Sqlite;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Delivery;

/// <summary>A dispatcher on a real store, with a clock that the test moves and answers that it chooses.</summary>
internal sealed class DispatcherFixture : IAsyncDisposable
{
    public static readonly SendResult Success = new() { StatusCode = 200 };
    public static readonly SendResult Unavailable = new() { StatusCode = 503, Error = ErrorClass.HttpStatus, Message = "503" };
    public static readonly SendResult NotFound = new() { StatusCode = 404, Error = ErrorClass.HttpStatus, Message = "404" };
    public static readonly SendResult Gone = new() { StatusCode = 410, Error = ErrorClass.HttpStatus, Message = "410" };

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly TempFolder _folder = new();
    private readonly ConcurrentQueue<AttemptReport> _reports = new();
    private readonly ConcurrentQueue<PendingDelivery> _sent = new();
    private int _events;

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    /// <summary>How the receivers answer.</summary>
    public Func<Subscription, PendingDelivery, CancellationToken, Task<SendResult>> Receiver { get; set; } =
        static (_, _, _) => Task.FromResult(Success);

    public IReadOnlyCollection<AttemptReport> Reports => _reports;

    /// <summary>Every request, in order.</summary>
    public IReadOnlyCollection<PendingDelivery> Sent => _sent;

    public SqliteStore Store { get; private set; } = null!;

    public Dispatcher Dispatcher { get; private set; } = null!;

    public Instruments Instruments { get; private set; } = null!;

    public static async Task<DispatcherFixture> StartAsync()
    {
        var fixture = new DispatcherFixture();
        await fixture.OpenAsync();
        return fixture;
    }

    public static Subscription Subscription(string name = "orders", DeliveryPolicy? delivery = null) => new()
    {
        Uid = $"uid-{name}",
        Name = new NamespacedName("acme", name),
        Generation = 1,
        Filter = Filter.All,
        Endpoint = new Endpoint { Url = new Uri("https://receiver.example/hooks") },
        Delivery = delivery ?? new DeliveryPolicy { Retry = Retries(1, 1) },
    };

    /// <summary>A schedule of so many seconds, exactly.</summary>
    public static RetryPolicy Retries(params int[] seconds) => new()
    {
        Schedule = [.. seconds.Select(s => TimeSpan.FromSeconds(s))],
        JitterPercent = 0,
    };

    /// <summary>Stops the dispatcher, closes the store, and opens both again, as a new process would.</summary>
    public async Task RestartAsync(params Subscription[] subscriptions)
    {
        await Dispatcher.DisposeAsync();
        await Store.DisposeAsync();
        await OpenAsync();
        foreach (var subscription in subscriptions)
            Dispatcher.Upsert(subscription);
    }

    /// <summary>Stores so many events and hands them over, as ingest does.</summary>
    public async Task<IReadOnlyList<EnqueueResult>> PublishAsync(int count, params Subscription[] matches)
    {
        var stored = await StoreAsync(count, matches);
        Dispatcher.Offer(stored);
        return stored;
    }

    /// <summary>As another process does.</summary>
    public async Task<ImmutableArray<EnqueueResult>> StoreAsync(int count, params Subscription[] matches)
    {
        var events = new NewEvent[count];
        for (var i = 0; i < count; i++)
            events[i] = new NewEvent(
                "acme",
                new Event
                {
                    Id = $"{Interlocked.Increment(ref _events)}",
                    Source = "/test",
                    Type = "test",
                    Encoding = EventEncoding.Binary,
                    Body = "{}"u8.ToArray(),
                    DataRange = ..,
                },
                matches, Time.GetUtcNow());
        return await Store.EnqueueAsync(events, CancellationToken.None);
    }

    /// <summary>Waits for the state of the world, moving the clock meanwhile if asked to.</summary>
    public async Task UntilAsync(Func<bool> condition, TimeSpan? step = null)
    {
        var clock = Stopwatch.StartNew();
        while (!condition())
        {
            if (clock.Elapsed > Deadline)
                throw new TimeoutException($"Not reached after {Deadline.TotalSeconds} s; {_sent.Count} sent, {_reports.Count} settled.");
            if (step is { } length)
                Time.Advance(length);
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System);
        }
    }

    public Task UntilSettledAsync(int reports, TimeSpan? step = null) => UntilAsync(() => _reports.Count >= reports, step);

    public Task<DeliverySnapshot?> SnapshotAsync(Subscription subscription) =>
        Dispatcher.SnapshotAsync(subscription.Uid, CancellationToken.None);

    public async Task<IReadOnlyList<DeliverySummary>> LogAsync(Subscription subscription, DeliveryState? state = null)
    {
        var page = await Store.ListDeliveriesAsync(subscription.Uid, new DeliveryQuery(state, null, 500, null), CancellationToken.None);
        return page.Items;
    }

    public async ValueTask DisposeAsync()
    {
        await Dispatcher.DisposeAsync();
        await Store.DisposeAsync();
        _folder.Dispose();
    }

    private async Task OpenAsync()
    {
        Instruments = new Instruments(Metrics.NewCustomRegistry());
        Store = await SqliteStore.OpenAsync(_folder.File("store.db"), Instruments, Time, NullLogger.Instance, CancellationToken.None);
        Dispatcher = new Dispatcher(new LaneContext(Store, SendAsync, Instruments, Time, () => 0.5, NullLogger.Instance, _reports.Enqueue));
        await Dispatcher.StartAsync(CancellationToken.None);
    }

    private Task<SendResult> SendAsync(Subscription subscription, PendingDelivery delivery, CancellationToken cancellation)
    {
        _sent.Enqueue(delivery);
        return Receiver(subscription, delivery, cancellation);
    }
}
