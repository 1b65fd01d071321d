using System.Net.Sockets;
using System.Text;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Ingest;

/// <summary>The HTTP API over a real socket, with the whole operator behind it; nothing listens at the receiver.</summary>
public sealed class ApiTests : IAsyncLifetime
{
    private const string Structured = "application/cloudevents+json";
    private const string Batch = "application/cloudevents-batch+json";
    private const string Events = "/v1/namespaces/acme/events";

    private LocalOperator _operator = null!;

    public async ValueTask InitializeAsync() => _operator = await LocalOperator.StartAsync(
        LocalOperator.Subscription("orders", new Uri("http://127.0.0.1:9/"), "  suspend: true\n  events: { types: [order.*] }"),
        settings => settings with { MaxEventBytes = 4096, MaxBatchBytes = 8192, BacklogLimit = 1000 });

    public ValueTask DisposeAsync() => _operator.DisposeAsync();

    [Fact]
    public async Task Each_mode_is_accepted_and_matched_and_a_second_time_is_a_duplicate()
    {
        var structured = """{"specversion":"1.0","id":"s","source":"/x","type":"order.created","data":{"a":1}}""";
        var first = await _operator.PostAsync(Events, structured, Structured);
        Assert.Equal(202, first.Status);
        Assert.StartsWith("evt_", (string)first.Json["id"]!);
        Assert.Equal((1, false), ((int)first.Json["deliveries"]!, (bool)first.Json["duplicate"]!));

        var again = await _operator.PostAsync(Events, structured, Structured + "; charset=utf-8");
        Assert.Equal(((string)first.Json["id"]!, 1, true), ((string)again.Json["id"]!, (int)again.Json["deliveries"]!, (bool)again.Json["duplicate"]!));

        var binary = await _operator.PublishAsync("{}", "b", "other.type");
        Assert.Equal((202, 0), (binary.Status, (int)binary.Json["deliveries"]!));

        var batch = await _operator.PostAsync(
            Events, $$"""[{{structured}}, {"specversion":"1.0","id":"t","source":"/x","type":"order.paid"}]""", Batch);
        Assert.Equal([true, false], batch.Json.AsArray().Select(e => (bool)e!["duplicate"]!));
    }

    [Theory]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/x"}""", "type", "required attribute type")]
    [InlineData("""{"specversion":"0.3","id":"1","source":"/x","type":"t"}""", "specversion", "\"1.0\"")]
    [InlineData("""{"specversion":"1.0","id":"","source":"/x","type":"t"}""", "id", "non-empty")]
    [InlineData("""{"specversion":"1.0","id":1,"source":"/x","type":"t"}""", "id", "must be a string")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"a b","type":"t"}""", "source", "URI reference")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"yesterday"}""", "time", "RFC 3339")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/x","type":"t","Ext":"v"}""", "Ext", "lower-case")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/x","type":"t","ext":{}}""", "ext", "a string, an integer or a boolean")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/x","type":"t","data":1,"data_base64":"AA=="}""", "data_base64", "one of data and data_base64")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/x","type":"t","data_base64":"@"}""", "data_base64", "base64")]
    [InlineData("""{"specversion":"1.0","id":"1","id":"2","source":"/x","type":"t"}""", "id", "twice")]
    [InlineData("""{"specversion":"1.0","id":"1",""", null, "line 1")]
    [InlineData("[]", null, "JSON object")]
    [InlineData("", null, "not valid JSON")]
    public async Task A_malformed_event_is_told_what_would_be_right_and_nothing_is_stored(string body, string? field, string says)
    {
        var answer = await _operator.PostAsync(Events, body, Structured);
        Assert.Equal((400, "application/problem+json"), (answer.Status, answer.ContentType));
        Assert.Equal(field, (string?)answer.Json["field"]);
        Assert.Contains(says, answer.Detail);

        var within = await _operator.PostAsync(
            Events, $$"""[{"specversion":"1.0","id":"ok","source":"/x","type":"order.x"},{{body}}]""", Batch);
        Assert.Equal(400, within.Status);
        Assert.Equal(1, (int?)within.Json["index"]);
        Assert.Empty((await LogAsync()).AsArray());
    }

    [Theory]
    [InlineData("Origin", "https://evil.example", 403)]
    [InlineData("Origin", "null", 403)]
    [InlineData("Origin", "http://localhost:3000", 403)]
    [InlineData("Sec-Fetch-Site", "cross-site", 403)]
    [InlineData("Sec-Fetch-Site", "same-site", 403)]
    [InlineData("Sec-Fetch-Site", "same-origin", 202)]
    [InlineData("Sec-Fetch-Site", "none", 202)]
    [InlineData("Host", "evil.example", 403)]
    [InlineData("Host", "evil.example:8080", 403)]
    [InlineData("Host", "127.0.0.1.evil.example", 403)]
    [InlineData("Host", "192.168.1.10", 403)]
    [InlineData("Host", "LOCALHOST:8080", 202)]
    [InlineData("Host", "127.0.0.1", 202)]
    [InlineData("Host", "[::1]:8080", 202)]
    public async Task A_web_page_can_not_call(string header, string value, int status)
    {
        foreach (var (method, path) in new[] { ("POST", "/v1/namespaces/acme/subscriptions/orders/replay"), ("GET", "/v1/namespaces/acme/subscriptions") })
        {
            // What a page can send without asking first: a form or plain text.
            var request = new HttpRequestMessage(new HttpMethod(method), new Uri(_operator.Api, path));
            if (method == "POST")
                request.Content = new StringContent("{}", Encoding.UTF8, "text/plain");
            request.Headers.TryAddWithoutValidation(header, value);
            var answer = await _operator.SendAsync(request);
            Assert.Equal(status == 403 ? 403 : method == "POST" ? 202 : 200, answer.Status);
            if (status == 403)
                Assert.Contains("--api-token-file", answer.Detail);
        }
    }

    [Fact]
    public async Task What_is_too_large_is_refused_whole()
    {
        var large = $$"""{"specversion":"1.0","id":"1","source":"/x","type":"order.x","data":"{{new string('x', 4096)}}"}""";
        Assert.Equal(413, (await _operator.PostAsync(Events, large, Structured)).Status);
        var inBatch = await _operator.PostAsync(Events, $"[{large}]", Batch);
        Assert.Equal((413, 0), (inBatch.Status, (int?)inBatch.Json["index"]));
        Assert.Equal(413, (await _operator.PostAsync(Events, $"[{large},{large}]", Batch)).Status);
        Assert.Empty((await LogAsync()).AsArray());
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("application/cloudevents+xml")]
    [InlineData("application/cloudevents+json; charset=iso-8859-1")]
    [InlineData("application/cloudevents+json; profile=x; charset=\"iso-8859-1\"")]
    public async Task What_is_no_CloudEvent_is_told_how_to_send_one(string contentType)
    {
        var answer = await _operator.PostAsync(Events, "{}", contentType);
        Assert.Equal(415, answer.Status);
        Assert.Contains(Batch, answer.Detail);
    }

    [Fact]
    public async Task A_compressed_body_is_refused()
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_operator.Api, Events)) { Content = new ByteArrayContent([1, 2, 3]) };
        request.Content.Headers.Add("content-type", Structured);
        request.Content.Headers.Add("content-encoding", "gzip");
        Assert.Equal(415, (await _operator.SendAsync(request)).Status);
    }

    [Fact]
    public async Task Unknown_names_are_told_apart()
    {
        var noNamespace = await _operator.PublishAsync("{}", "1", @namespace: "acmee");
        Assert.Equal(404, noNamespace.Status);
        Assert.Contains("acme", noNamespace.Detail);
        Assert.DoesNotContain("acmee", await _operator.ScrapeAsync());
        Assert.Contains("WebhookSubscription 'nope'", (await _operator.GetAsync("/v1/namespaces/acme/subscriptions/nope")).Detail);
        Assert.Equal(404, (await _operator.GetAsync("/v1/namespaces/acme/deliveries/dlv_0000000000000")).Status);
        Assert.Equal(404, (await _operator.GetAsync("/v1/namespaces/acme/deliveries/x")).Status);
        Assert.Contains("POST /v1/namespaces", (await _operator.GetAsync("/v2")).Detail);
        Assert.Equal(405, (await _operator.GetAsync(Events)).Status);
    }

    [Theory]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=501", "limit")]
    [InlineData("state=Lost", "state")]
    [InlineData("state=delivered,dead", "state")]
    [InlineData("state=dead&state=pending", "state")]
    [InlineData("state=%2B2", "state")]
    [InlineData("since=yesterday", "since")]
    [InlineData("since=1h30", "since")]
    [InlineData("since=", "since")]
    [InlineData("continue=x", "continue")]
    [InlineData("sort=asc", "sort")]
    public async Task A_bad_parameter_is_named(string query, string field)
    {
        var answer = await _operator.GetAsync($"/v1/namespaces/acme/subscriptions/orders/deliveries?{query}");
        Assert.Equal((400, field), (answer.Status, (string?)answer.Json["field"]));
    }

    [Theory]
    [InlineData("""{"states":["Pending"]}""", "states")]
    [InlineData("""{"types":"a"}""", "types")]
    [InlineData("""{"since":5}""", "since")]
    [InlineData("""{"sinse":"1h"}""", "sinse")]
    [InlineData("[]", null)]
    [InlineData("{", null)]
    [InlineData("""{"types":["\ud800"]}""", null)]
    [InlineData("""{"\ud800":1}""", null)]
    public async Task A_bad_replay_is_refused(string body, string? field)
    {
        var answer = await _operator.PostAsync("/v1/namespaces/acme/subscriptions/orders/replay", body);
        Assert.Equal((400, field), (answer.Status, (string?)answer.Json["field"]));
    }

    [Fact]
    public async Task The_log_pages_through_everything_newest_first()
    {
        for (var i = 0; i < 7; i++)
            await _operator.PublishAsync("{}", $"{i}", "order.x");
        var seen = new List<string>();
        string? next = null;
        do
        {
            var page = (await _operator.GetAsync(
                $"/v1/namespaces/acme/subscriptions/orders/deliveries?limit=3&state=pending&since=1h30m{(next is null ? "" : $"&continue={next}")}")).Json;
            seen.AddRange(page["items"]!.AsArray().Select(item => (string)item!["cloudEventId"]!));
            next = (string?)page["continue"];
        }
        while (next is not null);
        Assert.Equal(["6", "5", "4", "3", "2", "1", "0"], seen);
    }

    [Fact]
    public async Task At_the_backlog_limit_publishing_waits()
    {
        var events = string.Join(',', Enumerable.Range(0, 50).Select(i => $$"""{"specversion":"1.0","id":"{{i}}","source":"/BATCH","type":"order.x"}"""));
        for (var batch = 0; batch < 20; batch++)
            Assert.Equal(202, (await _operator.PostAsync(Events, $"[{events.Replace("/BATCH", $"/{batch}")}]", Batch)).Status);

        var answer = await _operator.PublishAsync("{}", "one more", "order.x");
        Assert.Equal(429, answer.Status);
        Assert.NotNull(answer.Headers.RetryAfter?.Delta);
        Assert.Contains("nothing was stored", answer.Detail);
    }

    [Fact]
    public async Task A_body_that_breaks_off_leaves_nothing_behind()
    {
        using (var client = new TcpClient())
        {
            await client.ConnectAsync(_operator.Api.Host, _operator.Api.Port);
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
                $"POST {Events} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {Structured}\r\nContent-Length: 200\r\n\r\n{{\"specversion\":\"1.0\""));
        }
        Assert.Equal(202, (await _operator.PublishAsync("{}", "after", "order.x")).Status);
        Assert.Single((await LogAsync()).AsArray());
    }

    [Fact]
    public async Task A_body_that_stops_coming_is_answered_and_leaves_nothing_behind()
    {
        string[] paths = [Events, "/v1/namespaces/acme/subscriptions/orders/replay"];
        foreach (var answer in await Task.WhenAll(paths.Select(StallAsync)))
        {
            Assert.StartsWith("HTTP/1.1 408", answer);
            Assert.Contains("The body came too slowly", answer);
        }
        Assert.Empty((await LogAsync()).AsArray());
    }

    /// <summary>Sends one byte of a body of 200, and reads to the end of what comes back.</summary>
    private async Task<string> StallAsync(string path)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(_operator.Api.Host, _operator.Api.Port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
            $"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {Structured}\r\nContent-Length: 200\r\n\r\n{{"));
        using var reader = new StreamReader(client.GetStream());
        return await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData("HEAD", Events, 405)]
    [InlineData("OPTIONS", Events, 405)]
    [InlineData("PUT", Events, 405)]
    [InlineData("DELETE", "/v1/namespaces/acme/subscriptions/orders", 405)]
    [InlineData("GET", "/v1/namespaces/acme/subscriptions/orders/replay", 405)]
    [InlineData("POST", "/v1/namespaces/acme/deliveries", 404)]
    public async Task Other_methods_are_told_what_is_taken(string method, string path, int status)
    {
        var answer = await _operator.SendAsync(new HttpRequestMessage(new HttpMethod(method), new Uri(_operator.Api, path)));
        Assert.Equal((status, "application/problem+json"), (answer.Status, answer.ContentType));
        if (method != "HEAD")
            Assert.Equal(status, (int)answer.Json["status"]!);
    }

    [Fact]
    public async Task Every_result_counts_from_zero_for_each_namespace_that_exists()
    {
        Assert.Contains("webhook_events_received_total{namespace=\"acme\",result=\"too_large\"} 0", await _operator.ScrapeAsync());
        await _operator.PostAsync(Events, "{}", Structured);
        Assert.Contains("webhook_events_received_total{namespace=\"acme\",result=\"malformed\"} 1", await _operator.ScrapeAsync());
    }

    [Fact]
    public async Task A_chunked_body_is_read_up_to_the_limit()
    {
        var small = new HttpRequestMessage(HttpMethod.Post, new Uri(_operator.Api, Events))
        {
            Content = new StreamContent(new MemoryStream("""{"specversion":"1.0","id":"c","source":"/x","type":"order.x"}"""u8.ToArray())),
        };
        small.Headers.TransferEncodingChunked = true;
        small.Content.Headers.Add("content-type", Structured);
        Assert.Equal(202, (await _operator.SendAsync(small)).Status);
        var large = new HttpRequestMessage(HttpMethod.Post, new Uri(_operator.Api, Events)) { Content = new StreamContent(new MemoryStream(new byte[5000])) };
        large.Headers.TransferEncodingChunked = true;
        large.Content.Headers.Add("content-type", Structured);
        Assert.Equal(413, (await _operator.SendAsync(large)).Status);
    }

    [Fact]
    public async Task With_a_token_file_only_its_tokens_open_the_API()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder.File("tokens"), "secret-one\n\nsecret-two\n");
        await _operator.RestartAsync(settings => settings with { ApiTokenFile = folder.File("tokens") });

        var refused = await _operator.PublishAsync("{}", "1");
        Assert.Equal(401, refused.Status);
        Assert.Equal("Bearer", refused.Headers.WwwAuthenticate.Single().Scheme);
        foreach (var (token, status) in new[] { ("secret-two", 200), ("secret-three", 401), ("", 401) })
        {
            var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_operator.Api, "/v1/namespaces/acme/subscriptions"));
            request.Headers.TryAddWithoutValidation("authorization", $"Bearer {token}");
            Assert.Equal(status, (await _operator.SendAsync(request)).Status);
        }
        Assert.DoesNotContain("secret", refused.Text);
    }

    [Fact]
    public async Task Namespaces_that_are_not_served_are_unknown_and_what_they_left_stays()
    {
        await _operator.PublishAsync("{}", "1", "order.x");
        await _operator.RestartAsync(settings => settings with { Namespaces = ["other"] });
        Assert.Equal(404, (await _operator.PublishAsync("{}", "2", "order.x")).Status);
        Assert.Equal(404, (await _operator.GetAsync("/v1/namespaces/acme/subscriptions")).Status);

        await _operator.RestartAsync(settings => settings with { Namespaces = ["acme"] });
        Assert.Equal("Pending", (string?)(await LogAsync())[0]!["state"]);
    }

    private async Task<System.Text.Json.Nodes.JsonNode> LogAsync() =>
        (await _operator.GetAsync("/v1/namespaces/acme/subscriptions/orders/deliveries")).Json["items"]!;
}
