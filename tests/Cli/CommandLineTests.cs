namespace WebhookOperator.Tests.Cli;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("run", "run --manifests config/samples")]
    [InlineData("demo", "demo --exit")]
    [InlineData("validate", "validate config/samples")]
    [InlineData("send", "send -n acme --type com.acme.order.created")]
    [InlineData("listen", "listen --secret whsec_")]
    [InlineData("get", "get -n acme")]
    [InlineData("deliveries", "deliveries -n acme orders")]
    [InlineData("replay", "replay -n acme orders")]
    [InlineData("crds", "crds | kubectl apply")]
    public async Task Help_shows_an_example(string verb, string example)
    {
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync(verb, "--help"));

        Assert.Contains("Example", shell.Out);
        Assert.Contains("  webhook-operator " + example, shell.Out);
    }

    [Fact]
    public async Task Without_a_verb_the_help_is_shown_as_bad_usage()
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync());

        Assert.Contains("demo", shell.Out);
    }

    [Theory]
    [InlineData("sedn")]
    [InlineData("run", "--frobnicate")]
    [InlineData("get", "a", "b")]
    [InlineData("deliveries")]
    [InlineData("deliveries", "orders", "--state", "lost")]
    [InlineData("deliveries", "orders", "--state", "dead", "--state", "pending")]
    [InlineData("deliveries", "orders", "--limit", "501")]
    [InlineData("deliveries", "orders", "--since", "yesterday")]
    [InlineData("deliveries", "orders", "--since", "1.2")]
    [InlineData("deliveries", "orders", "--since", "05/08/2026")]
    [InlineData("deliveries", "orders", "--since", "10:00")]
    [InlineData("deliveries", "orders", "--since", "2026-01-31")]
    [InlineData("deliveries", "orders", "--since", "2026-01-31T08:00:00")]
    [InlineData("deliveries", "orders", "--since", "")]
    [InlineData("replay", "orders", "--until", "1.2")]
    [InlineData("replay", "orders", "--until", "05/08/2026")]
    [InlineData("replay", "orders", "--since", "1h", "--until", "2h")]
    [InlineData("replay", "orders", "--since", "1h", "--until", "60m")]
    [InlineData("replay", "orders", "--since", "2026-01-31T08:00:00Z", "--until", "2026-01-31T08:00:00+01:00")]
    [InlineData("replay", "orders", "--state", "pending")]
    [InlineData("replay", "dlv_06dpx2e0g0001", "--since", "1h")]
    [InlineData("send", "--data", "{}")]
    [InlineData("send", "--type", "t", "--data", "{}", "--data-file", "-")]
    [InlineData("send", "--type", "t", "--data-file", "/no/such/file")]
    [InlineData("send", "--type", "t", "--id", "one", "--count", "2")]
    [InlineData("send", "--type", "t", "--count", "none")]
    [InlineData("listen", "--port", "65536")]
    [InlineData("listen", "--status", "99")]
    [InlineData("listen", "--secret", "sesame")]
    [InlineData("get", "--server", "localhost:8080")]
    [InlineData("get", "--token-file", "/no/such/file")]
    [InlineData("get", "-o", "xml")]
    [InlineData("demo", "--listen", "nowhere")]
    [InlineData("validate")]
    [InlineData("crds", "all")]
    public async Task Bad_usage_ends_with_2_and_a_way_to_the_help(params string[] args)
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync(args));

        Assert.Contains("--help'.", shell.Error);
        Assert.Empty(shell.Out);
    }

    [Fact]
    public async Task All_faults_of_the_command_line_and_of_the_settings_are_told_at_once()
    {
        var shell = new TestShell { Environment = { ["WEBHOOK_OPERATOR_RETENTION"] = "soon" } };

        Assert.Equal(2, await shell.RunAsync("run", "--frobnicate", "--listen", "nowhere", "--listen", "there"));

        Assert.Contains("--frobnicate", shell.Error);
        Assert.Contains("--listen is given 2 times", shell.Error);
        Assert.Contains("--listen: \"nowhere\"", shell.Error);
        Assert.Contains("WEBHOOK_OPERATOR_RETENTION: \"soon\"", shell.Error);
    }

    [Fact]
    public async Task Times_in_the_wrong_order_are_told_beside_other_faults()
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync("replay", "orders", "--since", "1h", "--until", "24h", "--server", "nowhere"));

        Assert.Contains("--since 1h is not before --until 24h", shell.Error);
        Assert.Contains("--server: \"nowhere\"", shell.Error);
    }

    [Fact]
    public async Task A_connection_string_that_is_wrong_is_told_with_other_settings_and_not_shown()
    {
        var shell = new TestShell { Environment = { ["WEBHOOK_OPERATOR_POSTGRES"] = "Host=db;hunter2", ["WEBHOOK_OPERATOR_STORE"] = "postgres" } };

        Assert.Equal(2, await shell.RunAsync("run", "--retention", "soon"));

        Assert.Contains("--retention: \"soon\"", shell.Error);
        Assert.Contains("WEBHOOK_OPERATOR_POSTGRES: The connection string of the PostgreSQL store can't be read", shell.Error);
        Assert.DoesNotContain("hunter2", shell.Error);
    }

    [Fact]
    public async Task A_secret_that_is_wrong_is_not_shown()
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync("listen", "--secret", "hunter2!"));

        Assert.DoesNotContain("hunter2", shell.Error);
        Assert.Contains("whsec_", shell.Error);
    }

    [Fact]
    public async Task Crds_prints_both_as_documents()
    {
        var shell = new TestShell();

        Assert.Equal(0, await shell.RunAsync("crds"));

        Assert.Equal(2, shell.Out.Split('\n').Count(line => line == "---"));
        Assert.Contains("name: webhooksubscriptions.webhookoperator.io", shell.Out);
        Assert.Contains("name: webhooksecrets.webhookoperator.io", shell.Out);
    }
}
