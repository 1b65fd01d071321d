using System.Diagnostics;
using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing;

/// <summary>How a run of kubectl ended.</summary>
internal sealed record KubectlResult(int ExitCode, string Output, string Errors);

/// <summary>The real kubectl as one user of one API server.</summary>
/// <param name="Kubeconfig">The file that says which user and server.</param>
/// <param name="CacheFolder">Where it keeps what it discovers; of one server only, since ports come again.</param>
internal sealed record Kubectl(string Kubeconfig, string CacheFolder)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(180);

    /// <summary>Variables for kubectl besides those of the tests.</summary>
    public IReadOnlyDictionary<string, string> Variables { get; init; } = new Dictionary<string, string>();

    /// <summary>Its standard output; fails with its standard error unless it succeeds.</summary>
    public async Task<string> RunAsync(params string[] arguments) => Output(arguments, await TryAsync(arguments));

    /// <summary>Gives it the text as standard input.</summary>
    public async Task<string> RunWithAsync(string input, params string[] arguments) =>
        Output(arguments, await TryWithAsync(input, arguments));

    public Task<KubectlResult> TryAsync(params string[] arguments) => TryWithAsync("", arguments);

    public async Task<KubectlResult> TryWithAsync(string input, params string[] arguments)
    {
        var start = new ProcessStartInfo(await KubernetesTools.KubectlAsync(), ["--cache-dir", CacheFolder, .. arguments])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment["KUBECONFIG"] = Kubeconfig;
        foreach (var (name, value) in Variables)
            start.Environment[name] = value;
        using var kubectl = Process.Start(start)!;
        var output = kubectl.StandardOutput.ReadToEndAsync();
        var errors = kubectl.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            await kubectl.StandardInput.WriteAsync(input.AsMemory(), deadline.Token);
            kubectl.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading all of it, and says why.
        }
        try
        {
            await kubectl.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            kubectl.Kill();
            throw new TimeoutException(
                $"kubectl {string.Join(' ', arguments)} did not end within {Deadline.TotalSeconds} s:\n{await output}{await errors}");
        }
        return new KubectlResult(kubectl.ExitCode, await output, await errors);
    }

    /// <summary>Applies YAML as a user does with a file.</summary>
    public Task<string> ApplyAsync(string yaml, params string[] more) => RunWithAsync(yaml, ["apply", "-f", "-", .. more]);

    public async Task<JsonNode> GetAsync(string @namespace, string resource, string name) =>
        JsonNode.Parse(await RunAsync("get", "-n", @namespace, resource, name, "-o", "json"))!;

    private static string Output(string[] arguments, KubectlResult result) => result.ExitCode == 0
        ? result.Output
        : throw new InvalidOperationException(
            $"kubectl {string.Join(' ', arguments)} ended with exit code {result.ExitCode}:\n{result.Output}{result.Errors}");
}
