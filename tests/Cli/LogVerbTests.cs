using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Cli;

public sealed class LogVerbTests
{
    private const string Subscriptions = """
        {"items":[{"apiVersion":"webhookoperator.io/v1alpha1","kind":"WebhookSubscription",
          "metadata":{"name":"orders","namespace":"acme","creationTimestamp":"2020-01-01T00:00:00Z"},
          "spec":{"endpoint":{"url":"https://shop.example/hooks?key=1"},"description":"yes"},
          "status":{"conditions":[{"type":"Ready","status":"True","reason":"Served","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"}],
            "endpoint":"https://shop.example/…","circuit":{"state":"Closed"},"delivery":{"pending":7}}},
         {"apiVersion":"webhookoperator.io/v1alpha1","kind":"WebhookSubscription","metadata":{"name":"new","namespace":"acme"},"spec":{}}]}
        """;

    private const string Page = """
        {"items":[{"id":"dlv_06dpx2e0g0001","eventId":"evt_06dpx2e0g0000","eventType":"com.acme.order.created","eventSource":"/shop",
          "cloudEventId":"o-1","state":"Dead","attemptCount":3,"acceptedTime":"2020-01-01T00:00:00Z","lastError":"ConnectionRefused"}],
         "continue":"dlv_06dpx2e0g0001"}
        """;

    private const string Delivery = """
        {"id":"dlv_06dpx2e0g0001","eventId":"evt_06dpx2e0g0000","eventType":"com.acme.order.created","eventSource":"/shop",
         "cloudEventId":"o-1","state":"Delivered","attemptCount":2,"acceptedTime":"2026-01-01T00:00:00Z","endedTime":"2026-01-01T00:00:06Z",
         "namespace":"acme","subscription":"orders","attempts":[
           {"number":1,"time":"2026-01-01T00:00:00Z","durationMilliseconds":3.5,"statusCode":503,"error":"HttpStatus",
            "message":"The receiver answered 503.","response":"Closed."},
           {"number":2,"time":"2026-01-01T00:00:06Z","durationMilliseconds":2,"statusCode":200,"response":"Thank you."}]}
        """;

    [Fact]
    public async Task Get_shows_the_printer_columns()
    {
        await using var api = await ScriptedApi.StartAsync(200, Subscriptions);
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("get", "--server", api.Url, "-n", "acme"));

        Assert.Equal("/v1/namespaces/acme/subscriptions", Assert.Single(api.Requests).Path);
        var lines = shell.Out.Split('\n');
        Assert.Equal(["NAME", "ENDPOINT", "READY", "CIRCUIT", "PENDING", "LAST-SUCCESS", "AGE"], Words(lines[0]));
        Assert.Equal(["orders", "https://shop.example/…", "True", "Closed", "7", "<none>"], Words(lines[1])[..^1]);
        Assert.Equal(["new", "<none>", "<none>", "<none>", "<none>", "<none>", "<none>"], Words(lines[2]));
    }

    [Fact]
    public async Task Get_wide_adds_the_reason()
    {
        await using var api = await ScriptedApi.StartAsync(200, Subscriptions);
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("get", "--server", api.Url, "-o", "wide"));

        Assert.Contains("REASON", Words(shell.Out.Split('\n')[0]));
        Assert.Contains("Served", Words(shell.Out.Split('\n')[1]));
    }

    [Fact]
    public async Task Get_in_yaml_and_json_gives_all_that_the_API_answers()
    {
        await using var api = await ScriptedApi.StartAsync(200, Subscriptions);
        var yaml = new TestShell();
        var json = new TestShell();

        Assert.Equal(0, await yaml.RunAsync("get", "--server", api.Url, "-o", "yaml"));
        Assert.Equal(0, await json.RunAsync("get", "--server", api.Url, "-o", "json"));

        Assert.Contains("url: https://shop.example/hooks?key=1", yaml.Out);
        Assert.Contains("pending: 7", yaml.Out);
        // Without quotes, readers of YAML 1.1 would take these for a boolean.
        Assert.Contains("status: \"True\"", yaml.Out);
        Assert.Contains("description: \"yes\"", yaml.Out);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(Subscriptions), JsonNode.Parse(json.Out)));
    }

    [Fact]
    public async Task Get_of_nothing_prints_no_table()
    {
        await using var api = await ScriptedApi.StartAsync(200, """{"items":[]}""");
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("get", "--server", api.Url, "-n", "acme"));

        Assert.Empty(shell.Out);
        Assert.Contains("no subscriptions in the namespace acme", shell.Error);
    }

    [Fact]
    public async Task Deliveries_passes_on_what_is_asked_for_and_tells_how_to_go_on()
    {
        await using var api = await ScriptedApi.StartAsync(200, Page);
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync(
            "deliveries", "--server", api.Url, "-n", "acme", "orders", "--state", "Dead", "--since", "2026-01-01T01:00:00+01:00", "--limit", "1",
            "--continue", "dlv_06dpx2e0g0002"));

        var request = Assert.Single(api.Requests);
        Assert.Equal("/v1/namespaces/acme/subscriptions/orders/deliveries", request.Path);
        Assert.Equal("?limit=1&state=Dead&since=2026-01-01T00%3A00%3A00Z&continue=dlv_06dpx2e0g0002", request.Query);
        Assert.Equal(["dlv_06dpx2e0g0001", "com.acme.order.created", "o-1", "Dead", "3", "ConnectionRefused"], Words(shell.Out.Split('\n')[1])[..^1]);
        Assert.Contains("--continue dlv_06dpx2e0g0001", shell.Error);
    }

    [Theory]
    [InlineData("90m")]
    [InlineData("7d")]
    public async Task A_time_may_be_told_as_how_long_ago(string ago)
    {
        await using var api = await ScriptedApi.StartAsync(200, Page);

        Assert.Equal(0, await new TestShell().RunAsync("deliveries", "--server", api.Url, "orders", "--since", ago));

        var since = DateTimeOffset.Parse(Uri.UnescapeDataString(Assert.Single(api.Requests).Query.Split("since=")[1]), null);
        var expected = TimeProvider.System.GetUtcNow() - (ago == "7d" ? TimeSpan.FromDays(7) : TimeSpan.FromMinutes(90));
        Assert.InRange(since, expected - TimeSpan.FromMinutes(5), expected + TimeSpan.FromSeconds(1));
    }

    [Theory]
    [InlineData("2026-01-31t08:00:00z", "2026-01-31T08:00:00Z")]
    [InlineData("2026-01-31T08:00:00.123456789-02:30", "2026-01-31T10:30:00.123Z")]
    public async Task A_time_may_be_any_of_RFC_3339(string text, string sent)
    {
        await using var api = await ScriptedApi.StartAsync(200, Page);

        Assert.Equal(0, await new TestShell().RunAsync("deliveries", "--server", api.Url, "orders", "--since", text));

        Assert.Equal("?limit=50&since=" + Uri.EscapeDataString(sent), Assert.Single(api.Requests).Query);
    }

    [Fact]
    public async Task Replay_takes_what_lies_between_two_times()
    {
        await using var api = await ScriptedApi.StartAsync(202, """{"deliveries":3}""");

        Assert.Equal(0, await new TestShell().RunAsync(
            "replay", "--server", api.Url, "orders", "--since", "2026-01-31T08:00:00Z", "--until", "2026-01-31T08:00:01Z"));

        Assert.Equal("""{"states":["dead"],"since":"2026-01-31T08:00:00Z","until":"2026-01-31T08:00:01Z"}""", ScriptedApi.BodyOf(Assert.Single(api.Requests)));
    }

    [Fact]
    public async Task Deliveries_of_an_id_shows_every_attempt()
    {
        await using var api = await ScriptedApi.StartAsync(200, Delivery);
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("deliveries", "--server", api.Url, "-n", "acme", "dlv_06dpx2e0g0001"));

        Assert.Equal("/v1/namespaces/acme/deliveries/dlv_06dpx2e0g0001", Assert.Single(api.Requests).Path);
        Assert.Contains("The receiver answered 503.", shell.Out);
        Assert.Contains("Delivered", shell.Out);
        Assert.Contains("3.5ms", shell.Out);
        Assert.Contains("Thank you.", shell.Out);
    }

    [Fact]
    public async Task Replay_of_a_subscription_takes_the_dead_ones_unless_told_otherwise()
    {
        await using var api = await ScriptedApi.StartAsync(202, """{"deliveries":3}""");
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("replay", "--server", api.Url, "-n", "acme", "orders"));
        Assert.Equal(0, await shell.RunAsync("replay", "--server", api.Url, "-n", "acme", "orders", "--state", "delivered", "--type", "com.acme.*", "--type", "x"));

        Assert.Equal("/v1/namespaces/acme/subscriptions/orders/replay", api.Requests[0].Path);
        Assert.Equal("""{"states":["dead"]}""", ScriptedApi.BodyOf(api.Requests[0]));
        Assert.Equal("""{"states":["delivered"],"types":["com.acme.*","x"]}""", ScriptedApi.BodyOf(api.Requests[1]));
        Assert.Contains("3 deliveries are due now.", shell.Out);
    }

    [Fact]
    public async Task Replay_of_an_id_redelivers_that_one()
    {
        await using var api = await ScriptedApi.StartAsync(202, """{"deliveries":1}""");
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("replay", "--server", api.Url, "-n", "acme", "dlv_06dpx2e0g0001"));

        Assert.Equal("/v1/namespaces/acme/deliveries/dlv_06dpx2e0g0001/redeliver", Assert.Single(api.Requests).Path);
        Assert.Equal("dlv_06dpx2e0g0001 is due now.\n", shell.Out);
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
