using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Telemetry;

public sealed class SubscriptionSeriesTests
{
    [Fact]
    public async Task A_subscription_tells_why_its_deliveries_are_held_and_stops_telling()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(410));
        await using var local = await LocalOperator.StartAsync(
            LocalOperator.Subscription("gone", receiver.Url)
            + LocalOperator.Subscription("suspended", receiver.Url, "  suspend: true")
            + LocalOperator.Subscription("waiting", receiver.Url, "  signing: { secretRef: { name: missing } }"));
        await local.PublishAsync("{}", "1");

        await UntilHeldAsync(local, "gone Disabled", "suspended Suspended", "waiting NotReady");

        receiver.Answer = Answers.Status(200);
        await local.ApplyAsync("resources.yaml",
            LocalOperator.Subscription("gone", receiver.Url, "  description: Another try") + LocalOperator.Subscription("suspended", receiver.Url));
        await UntilHeldAsync(local);
    }

    private static Task UntilHeldAsync(LocalOperator local, params string[] wanted) => LocalOperator.UntilAsync(async () =>
    {
        var held = MetricFamily.Parse(await local.ScrapeAsync()).Single(family => family.Name == "webhook_subscription_held");
        return held.Samples.All(sample => sample.Value == 1)
            && held.Samples.Select(sample => $"{sample["subscription"]} {sample["reason"]}").Order().SequenceEqual(wanted);
    });
}
