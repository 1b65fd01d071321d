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
}
