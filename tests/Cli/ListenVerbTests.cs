using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Tests.Cli;

public sealed class ListenVerbTests
{
    private static readonly byte[] Key = [.. Enumerable.Range(1, 32).Select(i => (byte)i)];

    private static string Secret => "whsec_" + Convert.ToBase64String(Key);

    [Fact]
    public async Task A_request_that_is_signed_is_printed_as_verified_and_answered_as_told()
    {
        var shell = new TestShell();
        var ended = shell.RunAsync("listen", "--port", "0", "--secret", Secret, "--status", "204", "--count", "1");

        Assert.Equal(HttpStatusCode.NoContent, await PostAsync(await UrlAsync(shell), "evt_1", """{"order":1001}""", Key));

        Assert.Equal(0, await ended);
        Assert.Contains("POST /hooks?x=1  evt_1  verified → 204", shell.Out);
        Assert.Contains("""{"order":1001}""", shell.Out);
    }

    [Fact]
    public async Task A_request_signed_with_another_key_is_refused()
    {
        var shell = new TestShell();
        var ended = shell.RunAsync("listen", "--port", "0", "--secret", Secret, "--count", "1");

        Assert.Equal(HttpStatusCode.Unauthorized, await PostAsync(await UrlAsync(shell), "evt_1", "{}", RandomNumberGenerator.GetBytes(32)));

        Assert.Equal(1, await ended);
        Assert.Contains("NOT VERIFIED", shell.Out);
    }

    [Fact]
    public async Task Without_a_secret_nothing_is_verified_and_this_is_said()
    {
        var shell = new TestShell();
        using var stop = new CancellationTokenSource();
        var ended = shell.RunAsync(stop.Token, "listen", "--port", "0");
        var url = await UrlAsync(shell);

        Assert.Equal(HttpStatusCode.OK, await PostAsync(url, "evt_1", "\u001b[2J", Key));
        Assert.Equal(HttpStatusCode.OK, await PostAsync(url, "evt_1", "", Key));
        await stop.CancelAsync();

        Assert.Equal(0, await ended);
        Assert.Contains("Nothing is verified", shell.Out);
        Assert.Contains("evt_1  not checked → 200", shell.Out);
        Assert.Contains("evt_1  (again)  not checked → 200", shell.Out);
        Assert.DoesNotContain('\u001b', shell.Out);
    }

    [Fact]
    public async Task A_port_that_is_taken_is_told()
    {
        await using var other = await ScriptedApi.StartAsync(200, "");
        var port = new Uri(other.Url).Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
        var shell = new TestShell();

        Assert.Equal(1, await shell.RunAsync("listen", "--port", port));

        Assert.Contains($"Port {port} is taken by another program", shell.Error);
    }

    private static async Task<Uri> UrlAsync(TestShell shell)
    {
        var line = await shell.LineAsync(line => line.StartsWith("Listening on ", StringComparison.Ordinal) && line.Contains("Ctrl-C", StringComparison.Ordinal));
        return new Uri(line.Split(' ')[2].TrimEnd('.'));
    }

    private static async Task<HttpStatusCode> PostAsync(Uri url, string id, string body, byte[] key)
    {
        using var http = new HttpMessageInvoker(new SocketsHttpHandler());
        var timestamp = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(url, "/hooks?x=1")) { Content = new StringContent(body) };
        request.Headers.Add("webhook-id", id);
        request.Headers.Add("webhook-timestamp", timestamp.ToString(System.Globalization.CultureInfo.InvariantCulture));
        request.Headers.Add("webhook-signature",
            "v1," + Convert.ToBase64String(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{id}.{timestamp}.{body}"))));
        using var response = await http.SendAsync(request, TestContext.Current.CancellationToken);
        return response.StatusCode;
    }
}
