using System.Security.Cryptography;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Cli;

/// <summary><c>send --wait</c> and <c>listen</c> around a whole operator, as <c>helm test</c> uses them.</summary>
public sealed class SendWaitTests
{
    private static readonly string Key = "whsec_" + Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));

    [Fact]
    public async Task Waits_until_a_receiver_has_verified_each_delivery()
    {
        using var stop = new CancellationTokenSource();
        var listen = new TestShell();
        var listening = listen.RunAsync(stop.Token, "listen", "--address", "0.0.0.0", "--port", "0", "--secret", Key);
        await using var local = await StartAsync(await PortAsync(listen), Key);
        var send = new TestShell();

        Assert.Equal(0, await send.RunAsync(
            "send", "--server", local.Api.ToString(), "-n", "acme", "--type", "t", "--data", "1", "--count", "3", "--wait", "60s"));

        Assert.Equal(3, send.Out.Split('\n').Count(line => line.Contains("  hello  delivered at attempt 1: 200")));
        Assert.Equal(3, listen.Out.Split('\n').Count(line => line.Contains("  verified → 200")));
        await stop.CancelAsync();
        await listening;
    }

    [Fact]
    public async Task A_delivery_that_no_receiver_verifies_is_a_failure()
    {
        using var stop = new CancellationTokenSource();
        var listen = new TestShell();
        var listening = listen.RunAsync(
            stop.Token, "listen", "--port", "0", "--secret", "whsec_" + Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
        await using var local = await StartAsync(await PortAsync(listen), Key);
        var send = new TestShell();

        Assert.Equal(1, await send.RunAsync("send", "--server", local.Api.ToString(), "-n", "acme", "--type", "t", "--wait", "60s"));

        Assert.Contains("  hello  dead at attempt 2: 401", send.Out);
        await stop.CancelAsync();
        await listening;
    }

    [Fact]
    public async Task An_event_that_nobody_wants_is_a_failure()
    {
        await using var local = await StartAsync("9", Key);
        var send = new TestShell();

        Assert.Equal(1, await send.RunAsync("send", "--server", local.Api.ToString(), "-n", "acme", "--type", "other", "--wait", "60s"));

        Assert.Contains("No subscription of the namespace acme takes it", send.Error);
    }

    [Fact]
    public async Task Deliveries_that_do_not_end_in_time_are_told()
    {
        await using var local = await LocalOperator.StartAsync(LocalOperator.Subscription(
            "held", new Uri("http://127.0.0.1:9/"), "  suspend: true"));
        var send = new TestShell();

        Assert.Equal(1, await send.RunAsync("send", "--server", local.Api.ToString(), "-n", "acme", "--type", "t", "--wait", "0s"));

        Assert.Contains("1 of 1 deliveries were still pending after 0 s", send.Error);
    }

    [Fact]
    public async Task Retries_until_the_operator_is_there()
    {
        var port = Ports.Free();
        var url = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}");
        var send = new TestShell();
        var sending = send.RunAsync("send", "--server", url, "-n", "acme", "--type", "t", "--retry", "60s");
        var without = new TestShell();
        Assert.Equal(1, await without.RunAsync("send", "--server", url, "-n", "acme", "--type", "t"));

        await using var local = await LocalOperator.StartAsync(
            LocalOperator.Subscription("held", new Uri("http://127.0.0.1:9/"), "  suspend: true"), settings => settings with { Listen = new Uri(url) });

        Assert.Equal(0, await sending);
        Assert.Contains("  1 delivery", send.Out);
    }

    [Fact]
    public async Task Wrong_flags_are_told()
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync("send", "--type", "t", "--wait", "soon"));
        Assert.Equal(2, await shell.RunAsync("listen", "--address", "everywhere"));

        Assert.Contains("--wait: \"soon\" is no duration", shell.Error);
        Assert.Contains("--address: \"everywhere\" is no address", shell.Error);
    }

    private static Task<LocalOperator> StartAsync(string port, string key) => LocalOperator.StartAsync(
        LocalOperator.Subscription("hello", new Uri($"http://127.0.0.1:{port}/"), """
              events: { types: [t] }
              signing: { secretRef: { name: hello } }
              delivery: { retry: { schedule: [1s], jitterPercent: 0 } }
            """) + $$"""
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSecret
        metadata: { name: hello, namespace: acme }
        spec: { source: { secretKeyRef: { name: key, key: key } } }
        ---
        apiVersion: v1
        kind: Secret
        metadata: { name: key, namespace: acme }
        stringData: { key: {{key}} }
        """);

    private static async Task<string> PortAsync(TestShell listen)
    {
        var line = await listen.LineAsync(text => text.StartsWith("Listening on ", StringComparison.Ordinal));
        return new Uri(line.Split(' ')[2].TrimEnd('.')).Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }
}
