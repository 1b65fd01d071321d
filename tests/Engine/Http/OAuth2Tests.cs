using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>Receivers that want an access token, and the server that gives it.</summary>
public sealed class OAuth2Tests : IAsyncLifetime
{
    private readonly SenderFixture _fixture = new();
    private TokenServer _server = null!;
    private Receiver _receiver = null!;

    public async ValueTask InitializeAsync()
    {
        _server = await TokenServer.StartAsync();
        _receiver = await Receiver.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _fixture.Dispose();
        await _server.DisposeAsync();
        await _receiver.DisposeAsync();
    }

    [Fact]
    public async Task A_token_is_asked_for_once_and_sent_with_every_request()
    {
        var endpoint = _fixture.Keep(Endpoint(scope: "webhooks.write orders", audience: "https://partner.example/"));

        Assert.Equal(200, (await _fixture.SendAsync(endpoint)).StatusCode);
        Assert.Equal(200, (await _fixture.SendAsync(endpoint)).StatusCode);

        Assert.Equal(["Bearer token-1", "Bearer token-1"], _receiver.Requests.Select(r => r.Header("authorization")));
        var asked = Assert.Single(_server.Receiver.Requests);
        Assert.Equal("application/x-www-form-urlencoded", asked.Header("content-type"));
        Assert.Equal("application/json", asked.Header("accept"));
        Assert.Equal(
            new Dictionary<string, string>
            {
                ["grant_type"] = "client_credentials", ["scope"] = "webhooks.write orders", ["audience"] = "https://partner.example/",
            },
            TokenServer.Form(asked));
    }

    [Fact]
    public async Task Any_number_of_attempts_wait_for_one_request()
    {
        var open = new TaskCompletionSource();
        _server.Instead = Answers.After(open.Task, Token("shared"));
        var endpoint = _fixture.Keep(Endpoint());

        var attempts = Enumerable.Range(0, 20).Select(_ => _fixture.SendAsync(endpoint)).ToArray();
        using var impatient = new CancellationTokenSource();
        var cancelled = _fixture.SendAsync(endpoint, cancellation: impatient.Token);
        await _server.Receiver.WaitForAsync(1);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        open.SetResult();

        Assert.All(await Task.WhenAll(attempts), result => Assert.Equal(200, result.StatusCode));
        Assert.Equal(1, _server.Asked);
    }

    [Theory]
    [InlineData("100", 90)]
    [InlineData("\"100\"", 90)]
    [InlineData("3600", 3540)]
    [InlineData("1e300", 86340)]
    [InlineData("0", 9)]
    [InlineData("-5", 9)]
    [InlineData("\"soon\"", 270)]
    [InlineData("{}", 270)]
    [InlineData(null, 270)]
    public async Task A_token_is_replaced_shortly_before_it_expires(string? expiresIn, int kept)
    {
        _server.ExpiresIn = expiresIn;
        var endpoint = _fixture.Keep(Endpoint());

        await _fixture.SendAsync(endpoint);
        _fixture.Time.Advance(TimeSpan.FromSeconds(kept - 1));
        await _fixture.SendAsync(endpoint);
        _fixture.Time.Advance(TimeSpan.FromSeconds(1));
        await _fixture.SendAsync(endpoint);

        Assert.Equal(["Bearer token-1", "Bearer token-1", "Bearer token-2"], _receiver.Requests.Select(r => r.Header("authorization")));
    }

    [Fact]
    public async Task A_401_ends_the_attempt_and_the_next_has_another_token()
    {
        var all = new TaskCompletionSource();
        _receiver.Answer = Answers.After(
            all.Task, Answers.By(request => Answers.Status(request.Header("authorization") == "Bearer token-1" ? 401 : 200)));
        var endpoint = _fixture.Keep(Endpoint());

        var sending = Enumerable.Range(0, 8).Select(_ => _fixture.SendAsync(endpoint)).ToArray();
        await _receiver.WaitForAsync(8);
        all.SetResult();
        var refused = await Task.WhenAll(sending);
        Assert.All(refused, result => Assert.Equal((401, ErrorClass.HttpStatus), (result.StatusCode, result.Error)));
        Assert.All(refused, result => Assert.Contains("The next attempt uses another access token.", result.Message));
        Assert.Equal(8, _receiver.Requests.Count);

        Assert.Equal(200, (await _fixture.SendAsync(endpoint)).StatusCode);
        Assert.Equal(2, _server.Asked);
    }

    [Fact]
    public async Task A_receiver_that_refuses_fresh_tokens_does_not_make_it_ask_without_end()
    {
        _receiver.Answer = Answers.Status(401);
        var endpoint = _fixture.Keep(Endpoint());

        for (var i = 0; i < 5; i++)
            await _fixture.SendAsync(endpoint);
        Assert.Equal(2, _server.Asked);

        _fixture.Time.Advance(TokenSource.RefusalPause);
        await _fixture.SendAsync(endpoint);
        await _fixture.SendAsync(endpoint);
        Assert.Equal(3, _server.Asked);
    }

    [Fact]
    public async Task A_server_that_wants_the_credentials_in_the_body_gets_them_there()
    {
        (_server.TakesBasic, _server.TakesBody) = (false, true);
        var endpoint = _fixture.Keep(Endpoint());

        Assert.Equal(200, (await _fixture.SendAsync(endpoint)).StatusCode);
        Assert.Equal(2, _server.Asked);

        _fixture.Time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(200, (await _fixture.SendAsync(endpoint)).StatusCode);
        Assert.Equal(3, _server.Asked);
        Assert.Null(_server.Receiver.Requests[2].Header("authorization"));
    }

    public static TheoryData<string, string> Faults() => new()
    {
        { "html", "answered 200 OK with text/html, which is no token: it must be a JSON object." },
        { "array", "answered 200 OK with application/json, which is no token: it must be a JSON object." },
        { "huge", "answered 200 OK and more than 64 KiB, which is no token." },
        { "mac", "gave a token of the type mac; only Bearer can be sent." },
        { "none", "answered with JSON that has no access_token." },
        { "line break", "gave an access_token that can't be sent in a header" },
        { "redirect", "answered 302 Found; redirects are not followed, so tokenUrl must be the final URL." },
        { "error", "answered 500 Internal Server Error." },
        { "scope", "answered 400 Bad Request: invalid_scope (No such scope: webhooks.write)." },
        { "emoji", $"answered 400 Bad Request: invalid_scope ({new string('x', 199)}…)." },
        { "echo", "answered 400 Bad Request." },
        { "reset", "No access token could be fetched. The connection to" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_server_that_gives_no_token_fails_the_attempt(string fault, string told)
    {
        _server.Instead = fault switch
        {
            "html" => Answers.Status(200, "<html><script>alert(1)</script></html>", ("content-type", "text/html; charset=utf-8")),
            "array" => Answers.Status(200, """["token"]""", ("content-type", "application/json")),
            "huge" => Answers.Large(100L << 20),
            "mac" => Answers.Status(200, """{"access_token":"t","token_type":"mac"}"""),
            "none" => Answers.Status(200, """{"token_type":"Bearer","access_token":""}"""),
            "line break" => Answers.Status(200, """{"token_type":"Bearer","access_token":"a\r\nx-evil: 1"}"""),
            "redirect" => Answers.Redirect("https://login.partner.example/?client_secret=s3cr"),
            "error" => Answers.Status(500, "oops"),
            "scope" => Answers.Status(400, """{"error":"invalid_scope","error_description":"No such scope: webhooks.write"}"""),
            "emoji" => Answers.Status(400, $$"""{"error":"invalid_scope","error_description":"{{new string('x', 199)}}\ud83d\ude00"}"""),
            "echo" => Answers.Status(400, $$"""{"error":"Wrong password {{_server.ClientSecret}}","error_description":"\u0007"}"""),
            _ => Answers.Reset,
        };

        var result = await _fixture.SendAsync(_fixture.Keep(Endpoint()));

        Assert.Equal((ErrorClass.OAuth2, null), (result.Error, result.StatusCode));
        Assert.Contains(told, result.Message);
        Assert.Contains(_server.Url.Authority, result.Message);
        Assert.DoesNotContain("s3cr", result.Message);
        Assert.EndsWith(".", result.Message);
        Assert.Empty(_receiver.Requests);
    }

    [Fact]
    public async Task Wrong_credentials_are_told_and_a_change_is_in_force_at_once()
    {
        var wrong = await _fixture.SendAsync(_fixture.Keep(Endpoint(secret: "old-s3cret")));
        Assert.Equal(
            (ErrorClass.OAuth2, $"The token endpoint {_server.Url.Authority} answered 401 Unauthorized: invalid_client (Client authentication failed)."),
            (wrong.Error, wrong.Message));

        Assert.Equal(200, (await _fixture.SendAsync(_fixture.Keep(Endpoint()))).StatusCode);
        Assert.Equal((0, 1), _fixture.Sender.Held);
    }

    [Fact]
    public async Task A_server_in_trouble_is_left_alone_for_a_moment()
    {
        _server.Instead = Answers.Status(500);
        var endpoint = _fixture.Keep(Endpoint());
        for (var i = 0; i < 5; i++)
            Assert.Equal(ErrorClass.OAuth2, (await _fixture.SendAsync(endpoint)).Error);
        Assert.Equal(1, _server.Asked);

        _fixture.Time.Advance(TokenRequest.FailureKept);
        _server.Instead = Answers.Status(503, headers: ("Retry-After", "60"));
        await _fixture.SendAsync(endpoint);
        _fixture.Time.Advance(TimeSpan.FromSeconds(59));
        await _fixture.SendAsync(endpoint);
        Assert.Equal(2, _server.Asked);

        _fixture.Time.Advance(TimeSpan.FromSeconds(1));
        _server.Instead = null;
        Assert.Equal(200, (await _fixture.SendAsync(endpoint)).StatusCode);
    }

    [Fact]
    public async Task A_server_that_hangs_costs_half_the_attempts_time_and_the_request_to_it_ends()
    {
        _server.Instead = Answers.Hang;
        var endpoint = _fixture.Keep(Endpoint() with { Timeout = TimeSpan.FromSeconds(2) });
        var first = _fixture.SendAsync(endpoint);
        await _server.Receiver.WaitForAsync(1);
        Assert.Contains("did not answer within 1 s.", (await AdvanceUntilDoneAsync(first)).Message);

        // The same request is under way still, and its own limit ends it.
        var second = _fixture.SendAsync(endpoint with { Timeout = TimeSpan.FromSeconds(60) });
        Assert.Contains("did not answer within 10 s.", (await AdvanceUntilDoneAsync(second)).Message);
        Assert.Equal(1, _server.Asked);
    }

    [Fact]
    public async Task A_closed_port()
    {
        var url = new Uri($"http://127.0.0.1:{Ports.Free()}/oauth2/token");
        var result = await _fixture.SendAsync(Endpoint() with { OAuth2 = Client(url) });
        Assert.Equal(
            (ErrorClass.OAuth2, $"No access token could be fetched. {url.Authority} refused the connection: nothing listens there."),
            (result.Error, result.Message));
    }

    [Fact]
    public async Task An_answer_that_breaks_off()
    {
        await using var server = new RawReceiver("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
        var result = await _fixture.SendAsync(Endpoint() with { OAuth2 = Client(server.Url) });
        Assert.Equal(
            (ErrorClass.OAuth2, $"The token endpoint {server.Url.Authority} broke off its answer."), (result.Error, result.Message));
    }

    [Fact]
    public async Task The_address_guard_judges_the_token_endpoint_of_a_cluster_service_too()
    {
        using var strict = new SenderFixture("203.0.113.0/24");
        var result = await strict.SendAsync(Endpoint() with { IsClusterService = true });
        Assert.Equal(ErrorClass.OAuth2, result.Error);
        Assert.Contains("--allow-cidr", result.Message);
        Assert.Equal(0, _server.Asked);
    }

    [Fact]
    public async Task A_token_endpoint_with_a_certificate_that_no_one_trusts()
    {
        using var certificate = Certificates.SelfSigned("localhost");
        await using var server = await TokenServer.StartAsync(certificate);
        var url = new Uri($"https://localhost:{server.Url.Port}/oauth2/token");
        var result = await _fixture.SendAsync(Endpoint() with { OAuth2 = Client(url) });
        Assert.Equal(ErrorClass.OAuth2, result.Error);
        Assert.Contains("its certificate was issued by CN=localhost, which is not a trusted authority", result.Message);
        Assert.Equal(0, server.Asked);
    }

    [Fact]
    public async Task Equal_clients_share_a_token_which_goes_with_the_last_of_them()
    {
        var one = _fixture.Keep(Endpoint(), "one");
        _fixture.Keep(Endpoint(), "two");
        var other = _fixture.Keep(Endpoint(audience: "other"), "three");
        await _fixture.SendAsync(one);
        await _fixture.SendAsync(Endpoint());
        await _fixture.SendAsync(other);
        Assert.Equal(2, _server.Asked);
        Assert.Equal((0, 2), _fixture.Sender.Held);

        _fixture.Sender.Forget("one");
        _fixture.Sender.Forget("three");
        await _fixture.SendAsync(Endpoint());
        Assert.Equal((2, (0, 1)), (_server.Asked, _fixture.Sender.Held));

        _fixture.Keep(new Endpoint { Url = _receiver.Url }, "two");
        Assert.Equal((0, 0), _fixture.Sender.Held);
        await _fixture.SendAsync(Endpoint());
        Assert.Equal((3, (0, 0)), (_server.Asked, _fixture.Sender.Held));
    }

    [Fact]
    public void What_is_printed_of_a_client_is_not_its_secret()
    {
        Assert.DoesNotContain("s3cr", Endpoint().ToString());
        Assert.DoesNotContain("abc", TokenAnswer.Of("abc", TimeSpan.Zero).ToString());
    }

    private static Answer Token(string token) => Answers.Status(200, $$"""{"access_token":"{{token}}","token_type":"bearer"}""");

    private Endpoint Endpoint(string? scope = null, string? audience = null, string? secret = null) => new()
    {
        Url = _receiver.Url,
        OAuth2 = Client(_server.Url) with { Scope = scope, Audience = audience, ClientSecret = secret ?? _server.ClientSecret },
    };

    private OAuth2Client Client(Uri url) => new(url, TokenServer.ClientId, _server.ClientSecret, null, null);

    /// <summary>Timers are set at some moment after the call, so the clock is moved more than once.</summary>
    private async Task<SendResult> AdvanceUntilDoneAsync(Task<SendResult> attempt)
    {
        while (!attempt.IsCompleted)
        {
            _fixture.Time.Advance(TimeSpan.FromMilliseconds(250));
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
        }
        return await attempt;
    }
}
