using WebhookOperator.Cli;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Cli;

public sealed class RunVerbTests
{
    private static readonly string Samples = Path.Combine(Repository.Root, "config", "samples");

    [Fact]
    public async Task It_launches_with_the_settings_tells_the_addresses_and_stops_when_told()
    {
        Settings? launched = null;
        var stopped = false;
        using var stop = new CancellationTokenSource();
        var shell = new TestShell
        {
            Environment = { ["WEBHOOK_OPERATOR_NAMESPACE"] = "acme" },
            Launch = (settings, _, _) =>
            {
                launched = settings;
                return Task.FromResult(new RunningOperator(new Uri("http://127.0.0.1:81"), new Uri("http://127.0.0.1:82"), () =>
                {
                    stopped = true;
                    return Task.CompletedTask;
                }));
            },
        };

        var ended = shell.RunAsync(stop.Token, "run", "--manifests", Samples, "--listen", "http://127.0.0.1:0", "--allow-http");
        await shell.LineAsync(line => line.StartsWith("Ready.", StringComparison.Ordinal));
        Assert.False(stopped);
        await stop.CancelAsync();

        Assert.Equal(0, await ended);
        Assert.True(stopped);
        Assert.Equal(["acme"], launched!.Namespaces);
        Assert.True(launched.AllowHttp);
        Assert.Contains("http://127.0.0.1:81/", shell.Out);
        Assert.Contains("http://127.0.0.1:82/metrics", shell.Out);
    }

    [Fact]
    public async Task The_program_tells_in_one_sentence_that_its_port_is_taken_or_its_store_in_use()
    {
        using var folder = new TempFolder();
        var store = $"sqlite:{folder.File("webhooks.db")}";
        using var stop = new CancellationTokenSource();
        var first = new TestShell { Launch = OperatorHost.LaunchAsync };
        var ended = first.RunAsync(stop.Token, Run(store, "http://127.0.0.1:0"));
        var api = (await first.LineAsync(line => line.StartsWith("API", StringComparison.Ordinal))).Split(' ')[^1];
        await first.LineAsync(line => line.StartsWith("Ready.", StringComparison.Ordinal));

        var samePort = new TestShell { Launch = OperatorHost.LaunchAsync };
        Assert.Equal(1, await samePort.RunAsync(Run($"sqlite:{folder.File("other.db")}", api)));
        var sameStore = new TestShell { Launch = OperatorHost.LaunchAsync };
        Assert.Equal(1, await sameStore.RunAsync(Run(store, "http://127.0.0.1:0")));
        await stop.CancelAsync();

        Assert.Equal(0, await ended);
        Assert.Contains($"Another program listens on {api}", samePort.Error);
        Assert.Contains("in use by another process", sameStore.Error);
    }

    private static string[] Run(string store, string listen) =>
        ["run", "--manifests", Samples, "--store", store, "--listen", listen, "--metrics", "http://127.0.0.1:0", "--log-level", "critical"];
}
