using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.EndToEnd;

/// <summary>From the publisher's request to the receiver's, through every part, with real receivers.</summary>
public sealed class DeliveryTests
{
    private const string Signed = "  signing: { secretRef: { name: keys } }\n";

    private const string GeneratedKey = """
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSecret
        metadata: { name: keys, namespace: acme }
        spec:
          algorithm: HmacSha256
          source: { generate: {} }
        ---

        """;

    [Fact]
    public async Task An_event_is_delivered_signed_with_a_generated_key_and_the_log_tells_it()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(200, "thanks"));
        await using var local = await LocalOperator.StartAsync(
            GeneratedKey + LocalOperator.Subscription("orders", receiver.Url, Signed + "  payload: { format: Data }"));

        var published = await local.PublishAsync("""{"order":1}""", "1", "com.acme.order.created");
        var request = (await receiver.WaitForAsync(1))[0];

        Assert.Equal("""{"order":1}"""u8, request.Body);
        Assert.Equal((string)published.Json["id"]!, request.Header("webhook-id"));
        Assert.True(SignatureVerifier.TryCreate([SecretOf(local)], out var verifier, out _));
        Assert.Equal(SignatureVerdict.Valid, verifier.Verify(
            request.Header("webhook-id"), request.Header("webhook-timestamp"), request.Header("webhook-signature"),
            request.Body, TimeProvider.System.GetUtcNow()));

        await LocalOperator.UntilAsync(async () => (string?)(await ItemsAsync(local))[0]!["state"] == "Delivered");
        var id = (string)(await ItemsAsync(local))[0]!["id"]!;
        var detail = (await local.GetAsync($"/v1/namespaces/acme/deliveries/{id}")).Json;
        var attempt = Assert.Single(detail["attempts"]!.AsArray());
        Assert.Equal((200, "thanks"), ((int)attempt!["statusCode"]!, (string)attempt["response"]!));
    }

    [Fact]
    public async Task A_failing_receiver_is_retried_and_a_dead_delivery_can_be_redelivered_and_replayed()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(500, "broken"));
        await using var local = await LocalOperator.StartAsync(LocalOperator.Subscription(
            "orders", receiver.Url, "  delivery: { retry: { schedule: [1s], jitterPercent: 0 } }"));
        await local.PublishAsync("{}", "1");
        await receiver.WaitForAsync(2);
        await LocalOperator.UntilAsync(async () => (string?)(await ItemsAsync(local))[0]!["state"] == "Dead");
        var id = (string)(await ItemsAsync(local))[0]!["id"]!;

        receiver.Answer = Answers.Status(204);
        var redelivered = await local.PostAsync($"/v1/namespaces/acme/deliveries/{id}/redeliver", "");
        Assert.Equal((202, 1), (redelivered.Status, (int)redelivered.Json["deliveries"]!));
        await receiver.WaitForAsync(3);
        await LocalOperator.UntilAsync(async () => (string?)(await ItemsAsync(local))[0]!["state"] == "Delivered");

        var replayed = await local.PostAsync(
            "/v1/namespaces/acme/subscriptions/orders/replay", """{"since":"1h","types":["com.acme.*"],"states":["Delivered"]}""");
        Assert.Equal((202, 1), (replayed.Status, (int)replayed.Json["deliveries"]!));
        var requests = await receiver.WaitForAsync(4);
        Assert.Single(requests.Select(r => r.Header("webhook-id")).Distinct());
    }

    [Fact]
    public Task What_was_for_a_subscription_that_is_gone_is_not_redelivered() => RefusesToRedeliverAsync(settings => settings);

    [Fact]
    public async Task Nor_is_it_on_PostgreSQL()
    {
        var server = await SharedPostgres.GetAsync();
        var database = await server.CreateDatabaseAsync();
        await RefusesToRedeliverAsync(settings => settings with { Postgres = new ConnectionText(server.ConnectionString(database)) });
        await server.DropDatabaseAsync(database);
    }

    [Fact]
    public async Task Gone_disables_and_a_changed_manifest_enables_again()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(410));
        await using var local = await LocalOperator.StartAsync(LocalOperator.Subscription("orders", receiver.Url));
        await local.PublishAsync("{}", "1");
        await LocalOperator.UntilAsync(async () => await ConditionAsync(local, "Disabled") == "True");
        Assert.Equal("True", await ConditionAsync(local, "Ready"));
        await local.PublishAsync("{}", "2");

        receiver.Answer = Answers.Status(200);
        await local.ApplyAsync("resources.yaml", LocalOperator.Subscription("orders", receiver.Url, "  description: mended"));
        await receiver.WaitForAsync(3);
        await LocalOperator.UntilAsync(async () => await ConditionAsync(local, "Disabled") == "False");
    }

    [Fact]
    public async Task A_broken_manifest_leaves_the_last_good_one_in_force_and_a_deleted_one_ends_it()
    {
        await using var receiver = await Receiver.StartAsync();
        await using var local = await LocalOperator.StartAsync(LocalOperator.Subscription("orders", receiver.Url));
        await local.ApplyAsync("other.yaml", LocalOperator.Subscription("other", receiver.Url, "  suspend: maybe"));
        await local.ApplyAsync("resources.yaml", "apiVersion: [");
        await local.PublishAsync("{}", "1");
        await receiver.WaitForAsync(1);

        await local.ApplyAsync("resources.yaml", "");
        await LocalOperator.UntilAsync(async () => (await local.GetAsync("/v1/namespaces/acme/subscriptions/orders")).Status == 404);
        await LocalOperator.UntilAsync(async () => !(await local.ScrapeAsync()).Contains("subscription=\"orders\"", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Events_for_a_subscription_whose_Secret_is_missing_wait_for_it()
    {
        await using var receiver = await Receiver.StartAsync();
        await using var local = await LocalOperator.StartAsync(LocalOperator.Subscription("orders", receiver.Url, Signed));
        Assert.Equal(1, (int)(await local.PublishAsync("{}", "1")).Json["deliveries"]!);
        await LocalOperator.UntilAsync(async () => await ConditionAsync(local, "Ready") == "False");
        Assert.Empty(receiver.Requests);

        await local.ApplyAsync("keys.yaml", GeneratedKey);
        var request = (await receiver.WaitForAsync(1))[0];
        Assert.NotNull(request.Header("webhook-signature"));
    }

    [Fact]
    public async Task Metrics_count_what_happened()
    {
        await using var receiver = await Receiver.StartAsync();
        await using var local = await LocalOperator.StartAsync(LocalOperator.Subscription("orders", receiver.Url));
        for (var i = 0; i < 5; i++)
            await local.PublishAsync("{}", $"{i}");
        await local.PublishAsync("{}", "0");
        await LocalOperator.UntilAsync(() => Task.FromResult(local.Reports.Count(r => r.State == DeliveryState.Delivered) == 5));

        var scraped = await local.ScrapeAsync();
        foreach (var line in new[]
        {
            """webhook_events_received_total{namespace="acme",result="accepted"} 5""",
            """webhook_events_received_total{namespace="acme",result="duplicate"} 1""",
            """webhook_events_received_total{namespace="acme",result="malformed"} 0""",
            """webhook_deliveries_total{namespace="acme",subscription="orders",outcome="delivered"} 5""",
            """webhook_deliveries_total{namespace="acme",subscription="orders",outcome="dead"} 0""",
            """webhook_delivery_attempts_total{namespace="acme",subscription="orders",code_class="2xx"} 5""",
            """webhook_deliveries_pending{namespace="acme",subscription="orders"} 0""",
            """webhook_circuit_state{namespace="acme",subscription="orders",state="Closed"} 1""",
            "webhook_delivery_latency_seconds_count 5",
        })
            Assert.Contains(line + "\n", scraped);
    }

    [Fact]
    public async Task Probes_tell_that_all_is_well()
    {
        await using var local = await LocalOperator.StartAsync(LocalOperator.Subscription("orders", new Uri("http://127.0.0.1:9/")));
        foreach (var probe in new[] { "/healthz", "/readyz" })
            Assert.Equal(200, (await local.SendAsync(new HttpRequestMessage(HttpMethod.Get, new Uri(local.Metrics, probe)))).Status);
    }

    private static async Task RefusesToRedeliverAsync(Func<Settings, Settings> store)
    {
        await using var receiver = await Receiver.StartAsync();
        var orders = LocalOperator.Subscription("orders", receiver.Url);
        await using var local = await LocalOperator.StartAsync(orders, store);
        await local.ApplyAsync("other.yaml", LocalOperator.Subscription("other", receiver.Url, "  suspend: true"));
        await LocalOperator.UntilAsync(async () => (await local.GetAsync("/v1/namespaces/acme/subscriptions/other")).Status == 200);
        await local.PublishAsync("{}", "1");
        await receiver.WaitForAsync(1);
        await LocalOperator.UntilAsync(async () => (string?)(await ItemsAsync(local))[0]!["state"] == "Delivered");
        var path = $"/v1/namespaces/acme/deliveries/{(string)(await ItemsAsync(local))[0]!["id"]!}";
        Assert.Equal(202, (await local.PostAsync($"{path}/redeliver", "")).Status);
        await receiver.WaitForAsync(2);
        await LocalOperator.UntilAsync(async () => (string?)(await ItemsAsync(local))[0]!["state"] == "Delivered");

        await local.ApplyAsync("resources.yaml", "");
        await LocalOperator.UntilAsync(async () => (await local.GetAsync("/v1/namespaces/acme/subscriptions/orders")).Status == 404);
        await RefusedAsync();
        await local.ApplyAsync("resources.yaml", orders);
        await LocalOperator.UntilAsync(async () => (await local.GetAsync("/v1/namespaces/acme/subscriptions/orders")).Status == 200);
        await RefusedAsync();

        async Task RefusedAsync()
        {
            var answer = await local.PostAsync($"{path}/redeliver", "");
            Assert.Equal((409, "application/problem+json"), (answer.Status, answer.ContentType));
            Assert.Contains("'orders' that was deleted", answer.Detail);
            Assert.Equal("Delivered", (string)(await local.GetAsync(path)).Json["state"]!);
        }
    }

    private static async Task<JsonArray> ItemsAsync(LocalOperator local) =>
        (await local.GetAsync("/v1/namespaces/acme/subscriptions/orders/deliveries")).Json["items"]!.AsArray();

    private static async Task<string?> ConditionAsync(LocalOperator local, string type) =>
        (string?)(await local.GetAsync("/v1/namespaces/acme/subscriptions/orders")).Json["status"]?["conditions"]?.AsArray()
            .FirstOrDefault(c => (string?)c!["type"] == type)?["status"];

    /// <summary>The key that local mode generated, from where it keeps it.</summary>
    private static string SecretOf(LocalOperator local)
    {
        var kept = File.ReadAllText(local.StorePath + ".resources.json");
        var data = Regex.Match(kept, "\"current\":\\s*\"([^\"]+)\"").Groups[1].Value;
        return Encoding.UTF8.GetString(Convert.FromBase64String(data));
    }
}
