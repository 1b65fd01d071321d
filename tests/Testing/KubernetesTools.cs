using System.Diagnostics;

namespace WebhookOperator.Tests.Testing;

/// <summary>The published binaries of helm and kubectl, fetched when a test first needs them.</summary>
internal static class KubernetesTools
{
    private static readonly Lazy<Task<string>> Folder = new(FetchAsync);

    public static async Task<string> HelmAsync() => Path.Combine(await Folder.Value, "helm");

    public static async Task<string> KubectlAsync() => Path.Combine(await Folder.Value, "kubectl");

    private static async Task<string> FetchAsync()
    {
        using var fetch = Process.Start(new ProcessStartInfo(Path.Combine(Repository.Root, "hack", "need-kubectl.sh"))
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        var output = fetch.StandardOutput.ReadToEndAsync();
        var errors = fetch.StandardError.ReadToEndAsync();
        await fetch.WaitForExitAsync();
        return fetch.ExitCode == 0 ? (await output).Trim()
            : throw new InvalidOperationException($"hack/need-kubectl.sh failed:\n{await output}{await errors}");
    }
}
