using System.Diagnostics;
using System.Text.Json.Nodes;
using YamlDotNet.Serialization;

namespace WebhookOperator.Tests.Testing;

/// <summary>The real helm on the project's chart.</summary>
/// <param name="Kubeconfig">Of the cluster; null where helm needs none.</param>
internal sealed record Helm(string? Kubeconfig = null)
{
    public const string Release = "webhooks";
    public const string Namespace = "webhook-system";

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(90);
    private static readonly TempFolder Home = new();

    public static string Chart { get; } = Path.Combine(Repository.Root, "charts", "webhook-operator");

    /// <summary>Every object that the chart makes of these values, the test's hooks too.</summary>
    /// <param name="values">As YAML.</param>
    /// <param name="more">More flags, such as <c>--api-versions</c>.</param>
    public static async Task<IReadOnlyList<JsonNode>> RenderAsync(string values, params string[] more)
    {
        var text = await new Helm().RunWithAsync(values, ["template", Release, Chart, "-n", Namespace, "--kube-version", "1.35.0", "-f", "-", .. more]);
        return Objects(text);
    }

    public static IReadOnlyList<JsonNode> Objects(string yaml)
    {
        var read = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build();
        var write = new SerializerBuilder().JsonCompatible().Build();
        return
        [
            .. yaml.Split("\n---\n").Select(text => read.Deserialize<object?>(text)).OfType<object>()
                .Select(document => JsonNode.Parse(write.Serialize(document))!),
        ];
    }

    /// <summary>Its standard output; fails with its standard error unless it succeeds.</summary>
    public Task<string> RunAsync(params string[] arguments) => RunWithAsync("", arguments);

    public async Task<string> RunWithAsync(string input, params string[] arguments)
    {
        var (code, output, errors) = await TryWithAsync(input, arguments);
        return code == 0 ? output
            : throw new InvalidOperationException($"helm {string.Join(' ', arguments)} ended with exit code {code}:\n{output}{errors}");
    }

    public async Task<(int Code, string Output, string Errors)> TryWithAsync(string input, params string[] arguments)
    {
        var start = new ProcessStartInfo(await KubernetesTools.HelmAsync(), arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        // Nothing of the user's: neither repositories nor plugins nor a cluster.
        foreach (var variable in (string[])["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"])
            start.Environment[variable] = Home.Path;
        start.Environment["KUBECONFIG"] = Kubeconfig ?? "/dev/null";
        using var helm = Process.Start(start)!;
        var output = helm.StandardOutput.ReadToEndAsync();
        var errors = helm.StandardError.ReadToEndAsync();
        await helm.StandardInput.WriteAsync(input);
        helm.StandardInput.Close();
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            await helm.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            helm.Kill();
            throw new TimeoutException($"helm {string.Join(' ', arguments)} did not end within {Deadline.TotalSeconds} s:\n{await output}{await errors}");
        }
        return (helm.ExitCode, await output, await errors);
    }
}
