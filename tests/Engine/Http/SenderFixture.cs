using System.Net;
using Microsoft.Extensions.Time.Testing;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>A sender that may go to loopback, and a delivery to send.</summary>
internal sealed class SenderFixture : IDisposable
{
    public static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    public static readonly EventId EventId = new(1234567890123456789);

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly CancellationTokenSource _deadline = new(Deadline);

    /// <param name="allowed">Loopback if left out.</param>
    public SenderFixture(params string[] allowed) => Sender = new Sender(
        new AddressGuard([.. (allowed is [] ? ["127.0.0.0/8", "::1/128"] : allowed).Select(IPNetwork.Parse)]), Time);

    public FakeTimeProvider Time { get; } = new(Now);

    public Sender Sender { get; }

    /// <summary>A small JSON event that came in binary mode.</summary>
    public static Event Event { get; } = new()
    {
        Id = "42",
        Source = "/orders",
        Type = "com.acme.order.created",
        DataContentType = "application/json",
        Encoding = EventEncoding.Binary,
        Body = """{ "amount": 12.50 }"""u8.ToArray(),
        DataRange = ..,
    };

    public Task<SendResult> SendAsync(Uri url, Event? e = null) => SendAsync(new Endpoint { Url = url }, e);

    /// <summary>Without a token, it ends after a deadline of 60 s, which is a failure of the test.</summary>
    public Task<SendResult> SendAsync(Endpoint endpoint, Event? e = null, CancellationToken? cancellation = null) =>
        Sender.SendAsync(Subscription(endpoint), Delivery(new StoredEvent(EventId, "acme", Now, e ?? Event)), cancellation ?? _deadline.Token);

    /// <summary>As the reconciler would: what requests to the endpoint share is there until <see cref="Sender.Forget"/>.</summary>
    public Endpoint Keep(Endpoint endpoint, string uid = "uid")
    {
        Sender.Keep(Subscription(endpoint) with { Uid = uid });
        return endpoint;
    }

    public static Subscription Subscription(Endpoint endpoint) => new()
    {
        Uid = "uid",
        Name = new NamespacedName("acme", "orders"),
        Generation = 1,
        Filter = Filter.All,
        Endpoint = endpoint,
        Delivery = new DeliveryPolicy(),
    };

    public static PendingDelivery Delivery(StoredEvent stored) => new()
    {
        Id = new DeliveryId(1),
        SubscriptionUid = "uid",
        Event = stored,
        Attempts = 0,
        Step = 0,
        StartedTime = Now,
        DueTime = Now,
        Version = 1,
    };

    public void Dispose()
    {
        Sender.Dispose();
        _deadline.Dispose();
    }
}
