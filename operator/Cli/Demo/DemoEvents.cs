using System.Collections.Immutable;
using System.Text;
using System.Text.Json.Nodes;

namespace WebhookOperator.Cli.Demo;

/// <param name="Event">What is published.</param>
/// <param name="Deliveries">How many of the samples' subscriptions want it.</param>
internal sealed record DemoEvent(OutgoingEvent Event, int Deliveries);

/// <summary>An afternoon in a web shop, for the subscriptions of config/samples.</summary>
internal static class DemoEvents
{
    public const string Namespace = "acme";

    private static readonly (string Customer, string City, string Sku, int Quantity, decimal Amount)[] Orders =
    [
        ("Ines Duarte", "Porto", "SKU-4410", 1, 59.90m), ("Jonas Weber", "Köln", "SKU-1207", 3, 44.70m),
        ("Akiko Mori", "Nagoya", "SKU-8801", 1, 1249.00m), ("Sean O'Brien", "Galway", "SKU-2093", 2, 38.00m),
        ("Łucja Nowak", "Gdańsk", "SKU-4410", 4, 239.60m), ("Amara Okafor", "Lagos", "SKU-5532", 1, 17.25m),
    ];

    /// <param name="run">Sets the ids of one run apart from those of another on the same store.</param>
    /// <param name="time">When they happened.</param>
    public static ImmutableArray<DemoEvent> Create(string run, DateTimeOffset time)
    {
        var events = ImmutableArray.CreateBuilder<DemoEvent>();
        for (var i = 0; i < Orders.Length; i++)
        {
            var (customer, city, sku, quantity, amount) = Orders[i];
            var order = 1001 + i;
            Add("com.acme.order.created", "/shop/eu", $"orders/{order}", 2, new JsonObject
            {
                ["order"] = order, ["customer"] = customer, ["city"] = city, ["amount"] = amount, ["currency"] = "EUR",
                ["lines"] = new JsonArray(new JsonObject { ["sku"] = sku, ["quantity"] = quantity }),
            });
            Add("com.acme.invoice.created", "/billing", $"invoices/{order}", 1, new JsonObject
            {
                ["invoice"] = $"2026-{order}", ["order"] = order, ["amount"] = amount, ["currency"] = "EUR", ["dueInDays"] = 14,
            });
        }
        Add("com.acme.order.shipped", "/shop/eu", "orders/1001", 2, new JsonObject
        {
            ["order"] = 1001, ["carrier"] = "DHL", ["tracking"] = "00340434161094015902",
        });
        Add("com.acme.invoice.paid", "/billing", "invoices/1001", 1, new JsonObject
        {
            ["invoice"] = "2026-1001", ["order"] = 1001, ["method"] = "sepa",
        });
        // The subscription "orders" filters out what testers publish, "legacy" doesn't.
        Add("com.acme.order.created", "/shop/eu", "orders/9999", 1, new JsonObject
        {
            ["order"] = 9999, ["customer"] = "QA", ["amount"] = 0.01m, ["currency"] = "EUR", ["test"] = true,
        });
        Add("com.acme.order.cancelled", "/shop/eu", "orders/1004", 2, new JsonObject
        {
            ["order"] = 1004, ["reason"] = "customer", ["refund"] = 38.00m,
        });
        Add("com.acme.invoice.paid", "/billing", "invoices/1003", 1, new JsonObject
        {
            ["invoice"] = "2026-1003", ["order"] = 1003, ["method"] = "card",
        });
        Add("com.acme.order.shipped", "/shop/eu", "orders/1003", 2, new JsonObject
        {
            ["order"] = 1003, ["carrier"] = "Yamato", ["tracking"] = "4412-0098-7731",
        });
        Add("com.acme.invoice.voided", "/billing", "invoices/1004", 1, new JsonObject
        {
            ["invoice"] = "2026-1004", ["order"] = 1004, ["reason"] = "order cancelled",
        });
        Add("com.acme.order.returned", "/shop/eu", "orders/1002", 2, new JsonObject
        {
            ["order"] = 1002, ["lines"] = new JsonArray(new JsonObject { ["sku"] = "SKU-1207", ["quantity"] = 1 }),
        });
        return events.ToImmutable();

        void Add(string type, string source, string subject, int deliveries, JsonObject data) => events.Add(new DemoEvent(
            new OutgoingEvent($"{run}-{events.Count + 1:00}", source, type, subject, time, "application/json",
                Encoding.UTF8.GetBytes(data.ToJsonString())),
            deliveries));
    }
}
