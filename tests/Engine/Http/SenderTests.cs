using System.Text;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>What a receiver gets to see.</summary>
public sealed class SenderTests : IDisposable
{
    private const string Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    private readonly SenderFixture _fixture = new();

    public void Dispose() => _fixture.Dispose();

    [Fact]
    public async Task A_signed_request_has_these_headers_and_no_others()
    {
        await using var receiver = await Receiver.StartAsync();
        var vector = Vectors.Valid["hmac-a"];
        var e = SenderFixture.Event with { Extensions = [new("traceparent", Trace), new("tracestate", "a=b"), new("tenant", "acme")] };

        await _fixture.SendAsync(
            new Endpoint
            {
                Url = new Uri(receiver.Url, "/a%20b/c?d=%2F&e"),
                Format = PayloadFormat.Data,
                Headers = [new("X-Tenant", "acme"), new("Authorization", "Bearer token")],
                SigningKeys = [vector.ToKey()],
            },
            e);

        var request = Assert.Single(receiver.Requests);
        var signature = Signer.Sign([vector.ToKey()], SenderFixture.EventId.ToString(), SenderFixture.Now.ToUnixTimeSeconds(), e.Body.Span);
        Assert.Equal("POST", request.Method);
        Assert.Equal("/a%20b/c?d=%2F&e", request.Target);
        Assert.Equal(e.Body.ToArray(), request.Body);
        Assert.Equal(
            [
                "authorization: Bearer token",
                $"content-length: {e.Body.Length}",
                "content-type: application/json",
                $"host: {receiver.Url.Authority}",
                $"traceparent: {Trace}",
                "tracestate: a=b",
                "user-agent: WebhookOperator/0.1.0",
                $"webhook-id: {SenderFixture.EventId}",
                $"webhook-signature: {signature}",
                $"webhook-timestamp: {SenderFixture.Now.ToUnixTimeSeconds()}",
                "x-tenant: acme",
            ],
            Lines(request));
    }

    [Fact]
    public async Task Without_keys_nothing_is_signed_and_without_a_trace_none_is_made_up()
    {
        await using var receiver = await Receiver.StartAsync();
        using var activity = new System.Diagnostics.Activity("test").Start();

        await _fixture.SendAsync(receiver.Url);

        var request = Assert.Single(receiver.Requests);
        Assert.Null(request.Header("webhook-signature"));
        Assert.Null(request.Header("traceparent"));
        Assert.NotNull(request.Header("webhook-id"));
    }

    [Fact]
    public async Task A_subscriptions_own_headers_override_nothing()
    {
        await using var receiver = await Receiver.StartAsync();
        string[] own =
        [
            "Webhook-Id", "webhook-timestamp", "WEBHOOK-SIGNATURE", "User-Agent", "traceparent", "Content-Type", "Content-Length",
            "Transfer-Encoding", "Connection", "Host", "Expect", "ce-id", "CE-Type", "ce-other",
        ];
        var endpoint = new Endpoint
        {
            Url = receiver.Url,
            Format = PayloadFormat.CloudEventsBinary,
            Headers = [.. own.Select(name => KeyValuePair.Create(name, "7"))],
            SigningKeys = [SigningKey.Generate(SigningAlgorithm.HmacSha256)],
        };

        Assert.Equal(200, (await _fixture.SendAsync(endpoint)).StatusCode);

        Assert.DoesNotContain(": 7", string.Join('\n', Lines(Assert.Single(receiver.Requests))));
    }

    [Theory]
    [InlineData("a\r\nx-evil: 1")]
    [InlineData("a\nx-evil: 1")]
    [InlineData("a\r\n\r\nPOST /evil HTTP/1.1")]
    [InlineData("a\0b")]
    [InlineData("schlüssel")]
    public async Task No_value_can_add_a_line_to_the_request(string value)
    {
        await using var receiver = await Receiver.StartAsync();
        var e = SenderFixture.Event with { DataContentType = value, Extensions = [new("traceparent", value), new("tracestate", value)] };

        foreach (var format in Enum.GetValues<PayloadFormat>())
            await _fixture.SendAsync(new Endpoint { Url = receiver.Url, Format = format, Headers = [new("X-Key", value)] }, e);

        Assert.All(receiver.Requests, request =>
        {
            Assert.Equal("/hooks", request.Target);
            Assert.Null(request.Header("x-evil"));
        });
    }

    [Fact]
    public async Task A_header_that_cannot_be_sent_is_named_and_its_value_is_not()
    {
        await using var receiver = await Receiver.StartAsync();

        var result = await _fixture.SendAsync(new Endpoint { Url = receiver.Url, Headers = [new("X-Key", "secret\nx-evil: 1")] });

        Assert.Equal(ErrorClass.Payload, result.Error);
        Assert.Contains("X-Key", result.Message);
        Assert.DoesNotContain("secret", result.Message);
        Assert.Empty(receiver.Requests);
    }

    [Fact]
    public async Task Requests_share_a_connection()
    {
        await using var receiver = await Receiver.StartAsync(Answers.Status(500, "no"));
        for (var i = 0; i < 5; i++)
            await _fixture.SendAsync(receiver.Url);
        Assert.Single(receiver.Requests.Select(r => r.Connection).Distinct());
    }

    [Fact]
    public async Task Requests_at_once_each_get_a_connection()
    {
        var answer = new TaskCompletionSource();
        await using var receiver = await Receiver.StartAsync(Answers.After(answer.Task, Answers.Status(200)));
        var sending = Enumerable.Range(0, 50).Select(_ => _fixture.SendAsync(receiver.Url)).ToArray();
        await receiver.WaitForAsync(sending.Length);
        answer.SetResult();
        Assert.All(await Task.WhenAll(sending), result => Assert.Equal(200, result.StatusCode));
    }

    [Fact]
    public async Task Data_that_cannot_be_read_fails_with_words()
    {
        await using var receiver = await Receiver.StartAsync();
        var body = """{"specversion":"1.0","id":"1","source":"/","type":"t","datacontenttype":"text/plain","data":"\ud800"}""";
        var start = body.IndexOf("\"\\u", StringComparison.Ordinal);
        var e = SenderFixture.Event with
        {
            Encoding = EventEncoding.Structured,
            Body = Encoding.UTF8.GetBytes(body),
            DataRange = start..(body.Length - 1),
            DataContentType = "text/plain",
        };

        var result = await _fixture.SendAsync(new Endpoint { Url = receiver.Url, Format = PayloadFormat.Data }, e);

        Assert.Equal(ErrorClass.Payload, result.Error);
        Assert.NotNull(result.Message);
        Assert.Empty(receiver.Requests);
    }

    private static string[] Lines(Received request) =>
        [.. request.Headers.Select(h => $"{h.Key.ToLowerInvariant()}: {h.Value}").Order(StringComparer.Ordinal)];
}
