using System.Diagnostics;
using System.Text.RegularExpressions;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Charts;

/// <summary>Does what docs/installing.md says, in the order in which it says it.</summary>
public sealed partial class InstallingPageTests
{
    /// <summary>No controllers run there, so what waits for a pod or speaks to one is left out.</summary>
    [Theory]
    [InlineData("config/default")]
    [InlineData("config/namespaced")]
    public async Task What_is_created_and_applied_can_be_in_the_order_of_the_page(string variant)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(ApiServer.Newest);
        plane.NeedsWhatTheChartNeeds();
        var page = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "docs", "installing.md"));
        var sections = Heading().Split(page);
        var kustomize = Commands(sections.Single(section => section.StartsWith("With kubectl and kustomize\n", StringComparison.Ordinal)));
        var first = Commands(sections.Single(section => section.StartsWith("The first event\n", StringComparison.Ordinal)));
        // One command installs a variant, and what goes before it is for that variant alone.
        var install = kustomize.FindIndex(command => command.Contains(variant, StringComparison.Ordinal));
        var before = kustomize.Take(install).Reverse().TakeWhile(command => !command.Contains(" -k ", StringComparison.Ordinal)).Reverse();

        foreach (var command in (string[])[.. before, kustomize[install]])
            await RunAsync(command, plane.Admin);
        // People are not as fast as that.
        await plane.Admin.RunAsync("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all");
        foreach (var command in first)
            await RunAsync(command, plane.Admin);

        Assert.Equal("webhook-operator", await plane.Admin.RunAsync(
            "get", "statefulset", "-n", "webhook-operator-system", "-o", "jsonpath={.items[*].metadata.name}"));
        Assert.Equal("hello", await plane.Admin.RunAsync("get", "whsub", "-n", "acme", "-o", "jsonpath={.items[*].metadata.name}"));
    }

    private static List<string> Commands(string section) => [.. Command().Matches(section).Select(command => command.Groups[1].Value)];

    private static async Task RunAsync(string command, Kubectl kubectl)
    {
        var start = new ProcessStartInfo("bash", ["-euc", command])
        {
            WorkingDirectory = Repository.Root, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment["KUBECONFIG"] = kubectl.Kubeconfig;
        start.Environment["KUBECACHEDIR"] = kubectl.CacheFolder;
        start.Environment["PATH"] = $"{Path.GetDirectoryName(await KubernetesTools.KubectlAsync())}:{start.Environment["PATH"]}";
        using var shell = Process.Start(start)!;
        var output = shell.StandardOutput.ReadToEndAsync();
        var errors = shell.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        await shell.WaitForExitAsync(deadline.Token);
        Assert.True(shell.ExitCode == 0, $"{command}\n\n{await output}{await errors}");
    }

    [GeneratedRegex("^## ", RegexOptions.Multiline)]
    private static partial Regex Heading();

    /// <summary>With its here-document, if it has one.</summary>
    [GeneratedRegex(@"^ *(kubectl (?:create|apply) (?:.*<<EOF\n(?:.*\n)*?EOF$|.*$))", RegexOptions.Multiline)]
    private static partial Regex Command();
}
