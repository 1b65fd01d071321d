using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Store;

public sealed class DedupeKeyTests
{
    private static readonly string LongId = new('x', 1000);

    [Fact]
    public void Different_events_have_different_keys()
    {
        (string, string, string)[] events =
        [
            ("shop", "/orders", "1"), ("shop", "/orders", "11"), ("shop", "/orders1", "1"), ("shop/", "orders", "1"), ("sho", "p/orders", "1"),
            ("shop", "/orders", new string('x', 40)), ("shop", "/orders", new string('x', 41)), ("shop", "/orders", LongId + "a"),
            ("shop", "/orders", LongId + "b"), ("shop", new string('/', 2000), "1"), ("shop", "/orders", "é"), ("shop", "/orders", "e"),
        ];

        Assert.Distinct(events.Select(e => Convert.ToHexString(DedupeKey.Of(e.Item1, e.Item2, e.Item3))));
        Assert.All(events, e => Assert.InRange(DedupeKey.Of(e.Item1, e.Item2, e.Item3).Length, 13, 53));
        Assert.All(events, e => Assert.Equal(DedupeKey.Of(e.Item1, e.Item2, e.Item3), DedupeKey.Of(e.Item1, e.Item2, e.Item3)));
    }

    [Fact]
    public void The_keys_of_one_producer_are_in_the_order_of_its_ids()
    {
        string[] ids = ["0001", "0002", "0193e4a0-0000-7000-8000-000000000000", "0193e4a1-0000-7000-8000-000000000000"];

        var keys = ids.Select(id => Convert.ToHexString(DedupeKey.Of("shop", "/orders", id))).ToArray();

        Assert.Equal(keys.Order(StringComparer.Ordinal), keys);
    }
}
