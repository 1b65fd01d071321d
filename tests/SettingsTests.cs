using System.Net;
using Microsoft.Extensions.Logging;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests;

public sealed class SettingsTests
{
    private static readonly string Samples = Path.Combine(Repository.Root, "config", "samples");

    [Fact]
    public void Local_mode_needs_the_folder_alone()
    {
        var settings = Valid(("--manifests", Samples));

        Assert.Equal(Samples, settings.Manifests);
        Assert.Equal("./webhook-operator.db", settings.StorePath);
        Assert.Equal(new Uri("http://127.0.0.1:8080"), settings.Listen);
        Assert.Equal(new Uri("http://127.0.0.1:9090"), settings.Metrics);
        Assert.Equal(TimeSpan.FromDays(7), settings.Retention);
        Assert.Equal((256 * 1024, 1024 * 1024), (settings.MaxEventBytes, settings.MaxBatchBytes));
        Assert.Equal((LogLevel.Information, LogFormat.Text), (settings.LogLevel, settings.LogFormat));
        Assert.False(settings.AllowHttp);
        Assert.Empty(settings.AllowCidrs);
        Assert.Empty(settings.Namespaces);
    }

    [Fact]
    public void Every_flag_is_read()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder.File("tokens"), "\nsesame\n");

        var settings = Valid(
            ("--manifests", Samples), ("--namespace", "acme"), ("--namespace", "shop"), ("--store", $"sqlite:{folder.File("x.db")}"),
            ("--listen", "http://0.0.0.0:80"), ("--metrics", "http://[::1]:0"), ("--retention", "1h30m"),
            ("--allow-cidr", "10.0.0.0/8"), ("--allow-cidr", "fd00::/8"), ("--allow-http", "true"),
            ("--api-token-file", folder.File("tokens")), ("--max-event-bytes", "512Ki"), ("--max-batch-bytes", "4000000"),
            ("--backlog-limit", "5"), ("--shutdown-grace", "0s"), ("--log-level", "Warning"), ("--log-format", "json"));

        Assert.Equal(["acme", "shop"], settings.Namespaces);
        Assert.Equal(folder.File("x.db"), settings.StorePath);
        Assert.Equal(folder.File("x.db") + ".resources.json", settings.StatePath);
        Assert.Equal(new Uri("http://0.0.0.0:80"), settings.Listen);
        Assert.Equal(new Uri("http://[::1]:0"), settings.Metrics);
        Assert.Equal(TimeSpan.FromMinutes(90), settings.Retention);
        Assert.Equal([IPNetwork.Parse("10.0.0.0/8"), IPNetwork.Parse("fd00::/8")], settings.AllowCidrs);
        Assert.True(settings.AllowHttp);
        Assert.Equal(folder.File("tokens"), settings.ApiTokenFile);
        Assert.Equal((512 * 1024, 4_000_000), (settings.MaxEventBytes, settings.MaxBatchBytes));
        Assert.Equal(5, settings.BacklogLimit);
        Assert.Equal(TimeSpan.Zero, settings.ShutdownGrace);
        Assert.Equal((LogLevel.Warning, LogFormat.Json), (settings.LogLevel, settings.LogFormat));
    }

    [Fact]
    public void Variables_do_what_flags_do_with_commas_between_the_items_of_a_list()
    {
        var parsed = Settings.Parse(new Dictionary<string, IReadOnlyList<string>>(), new Dictionary<string, string>
        {
            ["WEBHOOK_OPERATOR_MANIFESTS"] = Samples, ["WEBHOOK_OPERATOR_NAMESPACE"] = "acme, shop",
            ["WEBHOOK_OPERATOR_ALLOW_CIDR"] = "10.0.0.0/8,192.168.0.0/16", ["WEBHOOK_OPERATOR_ALLOW_HTTP"] = "true",
            ["WEBHOOK_OPERATOR_LISTEN"] = "", ["WEBHOOK_OPERATOR_SERVICE_HOST"] = "10.96.0.1",
        });

        Assert.Empty(parsed.Faults);
        Assert.Equal(["acme", "shop"], parsed.Settings!.Namespaces);
        Assert.Equal(2, parsed.Settings.AllowCidrs.Length);
        Assert.True(parsed.Settings.AllowHttp);
        Assert.Equal(8080, parsed.Settings.Listen.Port);
    }

    [Fact]
    public void A_flag_wins_over_its_variable()
    {
        var parsed = Settings.Parse(
            Flags(("--manifests", Samples), ("--retention", "2h"), ("--namespace", "acme")),
            new Dictionary<string, string>
            {
                ["WEBHOOK_OPERATOR_RETENTION"] = "not even valid", ["WEBHOOK_OPERATOR_NAMESPACE"] = "shop",
            });

        Assert.Equal(TimeSpan.FromHours(2), parsed.Settings!.Retention);
        Assert.Equal(["acme"], parsed.Settings.Namespaces);
    }

    [Fact]
    public void All_faults_are_told_at_once_each_with_its_origin_and_its_value()
    {
        var parsed = Settings.Parse(
            Flags(("--lease-name", "-"), ("--listen", "nowhere"), ("--allow-cidr", "10.0.0.0/99"), ("--allow-cidr", "x"), ("--store", "mysql:x"), ("--log-level", "loud")),
            new Dictionary<string, string>
            {
                ["WEBHOOK_OPERATOR_RETENTION"] = "soon", ["WEBHOOK_OPERATOR_BACKLOG_LIMIT"] = "-1", ["WEBHOOK_OPERATOR_ALLOW_HTTP"] = "perhaps",
            });

        Assert.Null(parsed.Settings);
        Assert.Collection(parsed.Faults.Order(StringComparer.Ordinal),
            fault => Assert.Contains("--allow-cidr: \"10.0.0.0/99\"", fault),
            fault => Assert.Contains("--allow-cidr: \"x\"", fault),
            fault => Assert.Contains("--lease-name: \"-\"", fault),
            fault => Assert.Contains("--listen: \"nowhere\"", fault),
            fault => Assert.Contains("--log-level: \"loud\"", fault),
            fault => Assert.Contains("--store: \"mysql:x\"", fault),
            fault => Assert.Contains("WEBHOOK_OPERATOR_ALLOW_HTTP: \"perhaps\"", fault),
            fault => Assert.Contains("WEBHOOK_OPERATOR_BACKLOG_LIMIT: \"-1\"", fault),
            fault => Assert.Contains("WEBHOOK_OPERATOR_RETENTION: \"soon\"", fault));
    }

    [Theory]
    [InlineData("--manifests", "/no/such/folder", "no folder that exists")]
    [InlineData("--manifests", "", "empty value")]
    [InlineData("--namespace", "Acme", "1 to 63 of a-z")]
    [InlineData("--namespace", "-a", "1 to 63 of a-z")]
    [InlineData("--store", "postgres", "WEBHOOK_OPERATOR_POSTGRES, which is not set")]
    [InlineData("--store", "postgres://me:secret@db/webhooks", "does not belong here")]
    [InlineData("--store", "sqlite:", "sqlite:PATH")]
    [InlineData("--store", "sqlite:/", "is a folder")]
    [InlineData("--store", "sqlite:/no/such/folder/x.db", "/no/such/folder, which does not exist")]
    [InlineData("--listen", "127.0.0.1:8080", "http://ADDRESS:PORT")]
    [InlineData("--listen", "https://127.0.0.1:8080", "http://ADDRESS:PORT")]
    [InlineData("--listen", "http://127.0.0.1:8080/api", "http://ADDRESS:PORT")]
    [InlineData("--listen", "http://example.com:8080", "names a host")]
    [InlineData("--listen", "http://localhost:0", "http://127.0.0.1:0")]
    [InlineData("--listen", "http://0.0.0.0:8080", "--api-token-file")]
    [InlineData("--metrics", "http://127.0.0.1:8080", "both take port 8080")]
    [InlineData("--allow-cidr", "10.1.2.3/8", "write 10.0.0.0/8, or 10.1.2.3/32")]
    [InlineData("--allow-cidr", "10.1.2.3", "write 10.1.2.3/32")]
    [InlineData("--allow-cidr", "fe80::1", "write fe80::1/128")]
    [InlineData("--api-token-file", "/no/such/file", "can't be read")]
    [InlineData("--max-event-bytes", "1023", "1Ki to 64Mi")]
    [InlineData("--max-event-bytes", "65Mi", "1Ki to 64Mi")]
    [InlineData("--max-event-bytes", "2Mi", "a batch must have room for one event")]
    [InlineData("--max-event-bytes", "99999999999999999999Gi", "1Ki to 64Mi")]
    [InlineData("--retention", "59s", "1m to")]
    [InlineData("--shutdown-grace", "11m", "0s to 10m")]
    [InlineData("--backlog-limit", "0", "from 1")]
    [InlineData("--log-format", "xml", "text or json")]
    public void A_fault_says_what_would_be_right(string flag, string value, string words)
    {
        var parsed = Settings.Parse(
            flag == "--manifests" ? Flags((flag, value)) : Flags(("--manifests", Samples), (flag, value)), new Dictionary<string, string>());

        var fault = Assert.Single(parsed.Faults);
        Assert.StartsWith(flag == "--metrics" ? "--listen and --metrics" : flag == "--max-event-bytes" && value == "2Mi" ? "--max-batch-bytes" : flag, fault);
        Assert.Contains(words, fault);
    }

    [Theory]
    [InlineData("hunter2", "can't be read")]
    [InlineData("Host=db;Database=webhooks;Port=hunter2", "can't be read")]
    [InlineData("Host=db;Database=webhooks;Hunter2=x", "can't be read")]
    [InlineData("postgres://me:hunter2@", "can't be read")]
    [InlineData("Host=a:hunter2,b;Database=webhooks", "can't be used")]
    [InlineData("Host=db;Database=webhooks;SSL Mode=Disable;SSL Negotiation=Direct;Password=hunter2", "can't be used")]
    [InlineData("Host=db;Password=hunter2", "names no Database")]
    [InlineData("Database=webhooks;Password=hunter2", "names no Host")]
    public void A_connection_string_is_checked_and_not_shown(string text, string words)
    {
        var parsed = Settings.Parse(
            Flags(("--manifests", Samples), ("--store", "postgres")), new Dictionary<string, string> { [Settings.PostgresVariable] = text });

        var fault = Assert.Single(parsed.Faults);
        Assert.StartsWith(Settings.PostgresVariable + ": ", fault);
        Assert.Contains(words, fault);
        Assert.DoesNotContain("hunter2", fault, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_flag_given_twice_is_a_fault_unless_it_is_a_list()
    {
        var parsed = Settings.Parse(
            Flags(("--manifests", Samples), ("--listen", "http://127.0.0.1:1"), ("--listen", "http://127.0.0.1:2")), new Dictionary<string, string>());

        Assert.Contains("--listen is given 2 times", Assert.Single(parsed.Faults));
    }

    [Fact]
    public void An_empty_token_file_is_a_fault()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder.File("tokens"), "\n  \n");

        var parsed = Settings.Parse(
            Flags(("--manifests", Samples), ("--api-token-file", folder.File("tokens"))), new Dictionary<string, string>());

        Assert.Contains("no token in it", Assert.Single(parsed.Faults));
    }

    private static Settings Valid(params (string Flag, string Value)[] flags)
    {
        var parsed = Settings.Parse(Flags(flags), new Dictionary<string, string>());
        Assert.Empty(parsed.Faults);
        return parsed.Settings!;
    }

    private static Dictionary<string, IReadOnlyList<string>> Flags(params (string Flag, string Value)[] flags) =>
        flags.GroupBy(flag => flag.Flag).ToDictionary(group => group.Key, group => (IReadOnlyList<string>)[.. group.Select(flag => flag.Value)]);
}
