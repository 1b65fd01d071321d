using System.CommandLine;
using System.Text.RegularExpressions;
using WebhookOperator.Cli;

namespace WebhookOperator.Tests.Cli;

/// <summary>No way to type an option wrong may end in anything but a sentence: each option of each verb is tried.</summary>
public sealed partial class OptionValueTests
{
    /// <summary>What else each verb asks for.</summary>
    private static readonly Dictionary<string, string[]> Rest = new()
    {
        ["send"] = ["--type", "com.acme.order.created"], ["deliveries"] = ["orders"], ["replay"] = ["orders"], ["validate"] = ["-"],
    };

    private static readonly string[] Repeatable =
        ["run --namespace", "run --allow-cidr", "listen --secret", "replay --type", "replay --state"];

    public static TheoryData<string, string> Valued() => Options(option => option.ValueType != typeof(bool));

    public static TheoryData<string, string> Once() =>
        [.. Valued().Where(row => !Repeatable.Contains($"{row.Data.Item1} {row.Data.Item2}"))];

    public static TheoryData<string, string> Switches() => Options(option => option.ValueType == typeof(bool));

    [Theory]
    [MemberData(nameof(Valued))]
    public async Task An_option_without_a_value_is_bad_usage(string verb, string option)
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync([verb, .. RestWithout(verb, option), option]));

        Assert.Contains($"Required argument missing for option: '{option}'.", shell.Error);
        Assert.Contains($"Try 'webhook-operator {verb} --help'.", shell.Error);
    }

    [Theory]
    [MemberData(nameof(Once))]
    public async Task An_option_that_is_given_twice_is_bad_usage(string verb, string option)
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync([verb, .. RestWithout(verb, option), option, "1", option, "1"]));

        Assert.Contains(shell.Error.Split('\n'), line => line.Contains(option, StringComparison.Ordinal) && Twice().IsMatch(line));
        Assert.Contains($"Try 'webhook-operator {verb} --help'.", shell.Error);
    }

    [Theory]
    [MemberData(nameof(Switches))]
    public async Task A_switch_with_another_word_is_bad_usage(string verb, string option)
    {
        var shell = new TestShell();

        Assert.Equal(2, await shell.RunAsync([verb, .. RestWithout(verb, option), option + "=maybe"]));

        Assert.Contains($"Try 'webhook-operator {verb} --help'.", shell.Error);
    }

    [Fact]
    public async Task Other_faults_are_told_with_it()
    {
        var shell = new TestShell { Environment = { ["WEBHOOK_OPERATOR_SERVER"] = "nowhere" } };

        Assert.Equal(2, await shell.RunAsync("send", "--type", "t", "--wait", "soon", "--retry", "1s", "--retry", "2s", "--token-file"));

        Assert.Contains("WEBHOOK_OPERATOR_SERVER: \"nowhere\" is no address", shell.Error);
        Assert.Contains("--wait: \"soon\" is no duration", shell.Error);
        Assert.Contains("'--retry' expects a single argument but 2 were provided", shell.Error);
        Assert.Contains("Required argument missing for option: '--token-file'", shell.Error);
    }

    private static TheoryData<string, string> Options(Func<Option, bool> wanted)
    {
        var data = new TheoryData<string, string>();
        foreach (var verb in CommandLine.Verbs(TestShell.Plain))
            foreach (var option in verb.Options.Where(wanted))
                data.Add(verb.Name, option.Name);
        return data;
    }

    private static string[] RestWithout(string verb, string option) =>
        Rest.TryGetValue(verb, out var rest) && !rest.Contains(option) ? rest : [];

    [GeneratedRegex("expects a single argument but 2 were provided|is given 2 times|can be given once")]
    private static partial Regex Twice();
}
