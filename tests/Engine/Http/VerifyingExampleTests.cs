using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>The examples of docs/verifying.md that need no library, run as they stand there, on what the operator signs.</summary>
public sealed class VerifyingExampleTests
{
    private const string Body = """{"data":"grüße 🎉"}""";
    private static readonly string Page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "verifying.md"));

    [Fact]
    public async Task The_receiver_in_Python_takes_what_is_genuine_and_nothing_else()
    {
        var (old, @new) = (SigningKey.Generate(SigningAlgorithm.HmacSha256), SigningKey.Generate(SigningAlgorithm.HmacSha256));
        var port = Ports.Free();
        using var folder = new TempFolder();
        var script = folder.File("receiver.py");
        await File.WriteAllTextAsync(script, Example("python", "import base64").Replace("9911", $"{port}", StringComparison.Ordinal));
        await using var receiver = await ChildProcess.StartAsync(
            await DebianProgram.Python.PathAsync(), [script], new Dictionary<string, string?> { ["KEY"] = old.ToSecretText() });
        using var http = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false });
        await Wait.UntilAsync(async () => await StatusAsync([old], Body) is not null, () => $"the receiver answers:\n{receiver.Output}");

        Assert.Equal(HttpStatusCode.NoContent, await StatusAsync([old], Body));
        Assert.Equal(HttpStatusCode.NoContent, await StatusAsync([@new, old], Body));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync([@new], Body));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync([old], Body + " "));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync([old], Body, age: 600));

        async Task<HttpStatusCode?> StatusAsync(SigningKey[] keys, string sent, int age = 0)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"http://127.0.0.1:{port}/") { Content = new StringContent(sent) };
            foreach (var (name, value) in Headers(keys, age))
                request.Headers.Add(name, value);
            try
            {
                using var response = await http.SendAsync(request, CancellationToken.None);
                return response.StatusCode;
            }
            catch (HttpRequestException)
            {
                return null;
            }
        }
    }

    [Fact]
    public async Task The_check_in_Node_takes_what_a_private_key_signed()
    {
        var (key, other) = (SigningKey.Generate(SigningAlgorithm.Ed25519), SigningKey.Generate(SigningAlgorithm.Ed25519));

        Assert.True(await IsGenuineAsync([key], Body));
        Assert.True(await IsGenuineAsync([SigningKey.Generate(SigningAlgorithm.HmacSha256), other, key], Body));
        Assert.False(await IsGenuineAsync([other], Body));
        Assert.False(await IsGenuineAsync([key], Body + " "));
        Assert.False(await IsGenuineAsync([key], Body, age: 600));

        async Task<bool> IsGenuineAsync(SigningKey[] keys, string sent, int age = 0)
        {
            using var folder = new TempFolder();
            var script = folder.File("check.mjs");
            await File.WriteAllTextAsync(script,
                $"{Example("js", "createPublicKey")}\nconsole.log(isGenuine({JsonSerializer.Serialize(Headers(keys, age))}, Buffer.from({JsonSerializer.Serialize(sent)})));\n");
            return (await RunAsync("node", script, new() { ["PUBLIC_KEY"] = key.PublicKey! })) == "true";
        }
    }

    [Fact]
    public async Task The_command_gives_the_signature()
    {
        var key = SigningKey.Generate(SigningAlgorithm.HmacSha256);
        var headers = Headers([key], age: 0);
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder.File("body.bin"), Body);

        var openssl = Path.GetDirectoryName(await DebianProgram.OpenSsl.PathAsync())!;
        var told = await RunAsync("sh", Script(folder, Example("sh", "openssl dgst")), new()
        {
            ["KEY"] = key.ToSecretText(), ["ID"] = headers["webhook-id"], ["TIMESTAMP"] = headers["webhook-timestamp"],
            ["PATH"] = $"{Environment.GetEnvironmentVariable("PATH")}:{openssl}",
        });

        Assert.Equal(headers["webhook-signature"], told);
    }

    private static Dictionary<string, string> Headers(SigningKey[] keys, int age)
    {
        const string Id = "evt_1m86rkfs40000";
        var timestamp = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - age;
        return new()
        {
            ["webhook-id"] = Id,
            ["webhook-timestamp"] = timestamp.ToString(CultureInfo.InvariantCulture),
            ["webhook-signature"] = Signer.Sign([.. keys], Id, timestamp, Encoding.UTF8.GetBytes(Body)),
        };
    }

    /// <summary>The one block of code in that language which holds the words.</summary>
    private static string Example(string language, string words) => Assert.Single(
        Page.Split($"```{language}\n").Skip(1).Select(rest => rest[..rest.IndexOf("```", StringComparison.Ordinal)]),
        code => code.Contains(words, StringComparison.Ordinal));

    private static string Script(TempFolder folder, string code)
    {
        var path = folder.File("script");
        File.WriteAllText(path, code);
        return path;
    }

    private static async Task<string> RunAsync(string program, string script, Dictionary<string, string> variables)
    {
        var start = new ProcessStartInfo(program, [script]) { RedirectStandardOutput = true, WorkingDirectory = Path.GetDirectoryName(script) };
        foreach (var (name, value) in variables)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        return output.Trim();
    }
}
