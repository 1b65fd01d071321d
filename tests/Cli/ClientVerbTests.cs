using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using WebhookOperator.Cli;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Cli;

public sealed class ClientVerbTests
{
    private const string Accepted = """{"id":"evt_06dpx2e0g0000","deliveries":2,"duplicate":false}""";

    [Fact]
    public async Task Send_in_binary_mode_puts_the_attributes_into_headers_and_the_data_into_the_body()
    {
        await using var api = await ScriptedApi.StartAsync(202, Accepted);
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync(
            "send", "--server", api.Url, "-n", "acme", "--type", "com.acme.order.created", "--source", "/shop", "--id", "o-1",
            "--subject", "Bücher \"50 %\"", "--data", """{"order": 1001}"""));

        Assert.Equal("evt_06dpx2e0g0000  2 deliveries\n", shell.Out);
        var request = Assert.Single(api.Requests);
        Assert.Equal(("POST", "/v1/namespaces/acme/events"), (request.Method, request.Path));
        Assert.Equal("1.0", request.Headers["ce-specversion"]);
        Assert.Equal("com.acme.order.created", request.Headers["ce-type"]);
        Assert.Equal("/shop", request.Headers["ce-source"]);
        Assert.Equal("o-1", request.Headers["ce-id"]);
        Assert.Equal("B%C3%BCcher%20%2250%20%25%22", request.Headers["ce-subject"]);
        Assert.Equal("application/json", request.Headers.ContentType);
        Assert.Equal("""{"order": 1001}""", ScriptedApi.BodyOf(request));
    }

    [Fact]
    public async Task Send_in_structured_mode_makes_one_object()
    {
        await using var api = await ScriptedApi.StartAsync(202, Accepted);
        var shell = new TestShell { In = """{"order":1001}""" };

        Assert.Equal(0, await shell.RunAsync(
            "send", "--url", api.Url, "--type", "com.acme.order.created", "--data-file", "-", "--structured"));

        var request = Assert.Single(api.Requests);
        Assert.Equal("/v1/namespaces/default/events", request.Path);
        Assert.StartsWith("application/cloudevents+json", request.Headers.ContentType);
        var body = JsonNode.Parse(request.Body)!;
        Assert.Equal("1.0", (string?)body["specversion"]);
        Assert.Equal("com.acme.order.created", (string?)body["type"]);
        Assert.Equal(1001, (int?)body["data"]?["order"]);
    }

    [Fact]
    public async Task Send_gives_each_of_many_an_id_of_its_own()
    {
        await using var api = await ScriptedApi.StartAsync(202, Accepted);
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("send", "--server", api.Url, "--type", "t", "--data", "1", "--count", "3"));

        Assert.Equal(3, api.Requests.Select(request => request.Headers["ce-id"].ToString()).Distinct().Count());
        Assert.Equal(3, shell.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Fact]
    public async Task Send_says_that_an_event_was_there_already()
    {
        await using var api = await ScriptedApi.StartAsync(202, """{"id":"evt_06dpx2e0g0000","deliveries":1,"duplicate":true}""");
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("send", "--server", api.Url, "--type", "t", "--id", "o-1"));

        Assert.Contains("1 delivery  duplicate", shell.Out);
        Assert.Contains("o-1", shell.Out);
    }

    [Fact]
    public async Task Send_refuses_data_that_is_not_JSON_before_it_sends()
    {
        await using var api = await ScriptedApi.StartAsync(202, Accepted);
        var shell = new TestShell();

        Assert.Equal(1, await shell.RunAsync("send", "--server", api.Url, "--type", "t", "--data", "{order"));

        Assert.Contains("--data is not JSON", shell.Error);
        Assert.Empty(api.Requests);
    }

    [Fact]
    public async Task A_problem_is_told_in_the_words_of_the_operator()
    {
        await using var api = await ScriptedApi.StartAsync(404,
            """{"type":"about:blank","title":"Not Found","status":404,"detail":"There is no namespace acne; there is acme."}""");
        var shell = new TestShell();

        Assert.Equal(1, await shell.RunAsync("send", "--server", api.Url, "-n", "acne", "--type", "t"));

        Assert.Contains("404 Not Found: There is no namespace acne; there is acme.", shell.Error);
    }

    [Theory]
    [InlineData(200, "<html>")]
    [InlineData(502, "<html>")]
    public async Task An_answer_from_another_program_is_called_that(int status, string body)
    {
        await using var api = await ScriptedApi.StartAsync(status, body);
        var shell = new TestShell();

        Assert.Equal(1, await shell.RunAsync("get", "--server", api.Url));

        Assert.Contains("is it a webhook-operator? Check --server.", shell.Error);
    }

    [Theory]
    [InlineData("get")]
    [InlineData("send", "--type", "t")]
    [InlineData("deliveries", "orders")]
    [InlineData("replay", "orders")]
    public async Task Where_nobody_answers_one_sentence_says_how_to_start_it(params string[] verb)
    {
        Uri closed;
        await using (var once = await ScriptedApi.StartAsync(200, "{}"))
            closed = new Uri(once.Url);
        var shell = new TestShell { Environment = { ["WEBHOOK_OPERATOR_SERVER"] = closed.ToString() } };

        Assert.Equal(1, await shell.RunAsync(verb));

        Assert.Contains($"No operator answers at {closed}", shell.Error);
        Assert.Contains("webhook-operator run --manifests", shell.Error);
        Assert.Single(shell.Error.Trim().Split('\n'));
    }

    [Fact]
    public async Task Where_nothing_comes_back_it_does_not_wait_for_ever()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var server = new Uri($"http://127.0.0.1:{((IPEndPoint)silent.LocalEndpoint).Port}");
        using var api = new ApiClient(server, null, patience: TimeSpan.FromMilliseconds(100));

        var failure = await Assert.ThrowsAsync<VerbFailedException>(() => api.GetAsync("v1/namespaces", TestContext.Current.CancellationToken));

        Assert.Equal($"{server} did not answer within 0.1 s.", failure.Message);
        Assert.True(failure.Transient);
    }

    [Fact]
    public async Task The_token_is_sent_and_its_absence_is_told()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder.File("token"), "sesame\n");
        await using var api = await ScriptedApi.StartAsync(401, """{"title":"Unauthorized","status":401,"detail":"A token is needed."}""");

        var without = new TestShell();
        Assert.Equal(1, await without.RunAsync("get", "--server", api.Url));
        var with = new TestShell();
        Assert.Equal(1, await with.RunAsync("get", "--server", api.Url, "--token-file", folder.File("token")));

        Assert.Contains("A token is needed. Give a token with --token-file.", without.Error);
        Assert.DoesNotContain("--token-file", with.Error);
        Assert.Equal(["", "Bearer sesame"], api.Requests.Select(request => request.Headers.Authorization.ToString()));
    }
}
