using System.Collections.Frozen;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;
using WebhookOperator.Engine.Ingest;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Engine.Store.Sqlite;
using WebhookOperator.Telemetry;
using WebhookOperator.Tests.Engine.Store.Sqlite;

namespace WebhookOperator.Tests.Engine.Ingest;

/// <summary>Calls that end half way: what is pending in the store is known to the lanes all the same.</summary>
public sealed class BrokenOffTests : IAsyncDisposable
{
    private static readonly Subscription Filled = SqliteHost.Subscription;

    private readonly SqliteHost _host = new();
    private readonly List<EnqueueResult> _offered = [];
    private int _reopened;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task A_replay_that_the_store_breaks_off_tells_what_it_did_and_the_same_again_does_the_rest()
    {
        await using (var store = await SqliteHost.OpenAsync(_host.Path))
        {
            await SqliteHost.FillAsync(store, count: 1500, bodyBytes: 10);
            while (await store.EndPendingAsync(Filled.Uid, DeliveryState.Dead, null, new HashSet<DeliveryId>(), SqliteHost.AcceptedTime, Token) > 0) { }
            // The store closes as soon as the first of two chunks is done.
            var broken = await ReplayAsync(store, onReopen: () => store.DisposeAsync().AsTask().Wait(Token));

            Assert.Equal(503, broken.Response.StatusCode);
            Assert.Equal("5", broken.Response.Headers.RetryAfter);
            Assert.Equal(
                "The store can't take any more right now. 1000 deliveries were replayed and are under way; the same call again does the rest.",
                (string?)Body(broken)["detail"]);
            Assert.Equal(1000, _reopened);
        }

        await using var again = await SqliteHost.OpenAsync(_host.Path);
        Assert.Equal(1000, Assert.Single(await again.ReadBacklogsAsync(Token)).Pending);
        var rest = await ReplayAsync(again, onReopen: () => { });
        Assert.Equal((202, 500, 1500), (rest.Response.StatusCode, (int)Body(rest)["deliveries"]!, _reopened));
    }

    [Fact]
    public async Task An_event_whose_publisher_goes_away_is_handed_over()
    {
        await using var store = await SqliteHost.OpenAsync(_host.Path);
        using var gone = new CancellationTokenSource();
        var context = NewContext(new LastWords("{}"u8.ToArray(), gone));
        context.RequestAborted = gone.Token;
        context.Request.ContentLength = 2;
        context.Request.ContentType = "application/json";
        foreach (var (name, value) in new[] { ("specversion", "1.0"), ("id", "1"), ("source", "/test"), ("type", "com.acme.test") })
            context.Request.Headers[$"ce-{name}"] = value;

        await new IngestEndpoint(Api(store, () => { })).HandleAsync(context);

        Assert.True(gone.IsCancellationRequested);
        var delivery = Assert.Single(Assert.Single(_offered).Pending);
        Assert.Equal(delivery.Id, Assert.Single((await store.ReadDueAsync(
            Filled.Uid, DateTimeOffset.MinValue, DateTimeOffset.MaxValue, 10, long.MaxValue, new HashSet<DeliveryId>(), Token)).Deliveries).Id);
    }

    private async Task<HttpContext> ReplayAsync(SqliteStore store, Action onReopen)
    {
        var context = NewContext(new MemoryStream());
        context.Request.ContentLength = 0;
        await new DeliveriesEndpoint(Api(store, onReopen)).ReplayAsync(context);
        return context;
    }

    private static DefaultHttpContext NewContext(Stream body) => new()
    {
        Request = { Method = "POST", Body = body, RouteValues = { ["ns"] = "shop", ["name"] = "filled" } },
        Response = { Body = new MemoryStream() },
    };

    private static JsonNode Body(HttpContext context) =>
        JsonNode.Parse(Encoding.UTF8.GetString(((MemoryStream)context.Response.Body).ToArray()))!;

    private ApiContext Api(SqliteStore store, Action onReopen)
    {
        var routes = new RouteSource();
        routes.Swap(new Routes(new Dictionary<string, RouteTable> { ["shop"] = RouteTable.Build([Filled]) }.ToFrozenDictionary()));
        return new ApiContext(
            routes, store,
            new DeliveryPort(() => 0, stored => _offered.AddRange(stored), (_, count) =>
            {
                _reopened += count;
                onReopen();
            }),
            new SubscriptionDirectory(_ => [], (_, _) => new SubscriptionResource(Filled.Uid, default)),
            (_, _, _) => new ValueTask<Problem?>((Problem?)null), new IngestLimits(1000, 1000, 1000), new Instruments(Metrics.NewCustomRegistry()),
            TimeProvider.System, NullLogger.Instance);
    }

    /// <summary>A body after whose end the caller is gone.</summary>
    private sealed class LastWords(byte[] body, CancellationTokenSource gone) : MemoryStream(body)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var read = Read(buffer.Span);
            if (Position == Length)
                gone.Cancel();
            return new ValueTask<int>(read);
        }
    }
}
