using System.Formats.Tar;
using System.IO.Compression;
using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace WebhookOperator.Tests.Testing;

/// <summary>
/// Flux's own kustomize-controller as a process, with one ExternalArtifact as its source and one Kustomization of it:
/// what a repository would hold is what <see cref="CommitAsync"/> says.
/// </summary>
internal sealed class Flux : IAsyncDisposable
{
    private const string Namespace = "flux-system";
    private const string Name = "webhooks";
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    private readonly ControlPlane _plane;
    private readonly Dictionary<string, byte[]> _archives = [];
    private readonly WebApplication _files;
    private ChildProcess? _controller;
    private int _requests;

    private Flux(ControlPlane plane)
    {
        _plane = plane;
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _files = builder.Build();
        _files.Run(async context =>
        {
            byte[]? archive;
            lock (_archives)
                _archives.TryGetValue(context.Request.Path, out archive);
            context.Response.StatusCode = archive is null ? StatusCodes.Status404NotFound : StatusCodes.Status200OK;
            await context.Response.Body.WriteAsync(archive ?? [], context.RequestAborted);
        });
    }

    /// <summary>Starts the controller. Skips the test, with the reason, where there is none.</summary>
    public static async Task<Flux> StartAsync(ControlPlane plane)
    {
        var program = (await ControlPlanePrograms.FindAsync()).KustomizeController;
        var flux = new Flux(plane);
        try
        {
            await flux._files.StartAsync();
            var crds = Path.Combine(Path.GetDirectoryName(program.Path)!, "crds");
            await plane.Admin.RunAsync("apply", "--server-side", "-f", crds);
            await plane.Admin.RunAsync("wait", "--for=condition=Established", "--timeout=60s", "-f", crds);
            await plane.Admin.RunAsync("create", "namespace", Namespace);
            flux._controller = await ChildProcess.StartAsync(
                program.Path,
                ["--metrics-addr=:0", "--health-addr=:0", "--feature-gates=ExternalArtifact=true", "--enable-leader-election=false"],
                new Dictionary<string, string?> { ["KUBECONFIG"] = plane.Admin.Kubeconfig, ["RUNTIME_NAMESPACE"] = Namespace });
            return flux;
        }
        catch
        {
            await flux.DisposeAsync();
            throw;
        }
    }

    /// <summary>Replaces all manifests by these, as one commit.</summary>
    /// <param name="revision">Names the commit.</param>
    /// <param name="manifests">By file name.</param>
    public async Task CommitAsync(string revision, IReadOnlyDictionary<string, string> manifests)
    {
        var archive = await PackAsync(manifests);
        lock (_archives)
            _archives[$"/{revision}.tar.gz"] = archive;
        var url = new Uri(new Uri(_files.Urls.Single()), $"/{revision}.tar.gz");
        await _plane.Admin.ApplyAsync($$"""
            apiVersion: source.toolkit.fluxcd.io/v1
            kind: ExternalArtifact
            metadata: { name: {{Name}}, namespace: {{Namespace}} }
            spec: {}
            """, "--server-side");
        await _plane.Admin.ApplyAsync($$"""
            apiVersion: source.toolkit.fluxcd.io/v1
            kind: ExternalArtifact
            metadata: { name: {{Name}}, namespace: {{Namespace}} }
            status:
              artifact:
                url: {{url}}
                path: {{revision}}.tar.gz
                revision: {{revision}}
                digest: sha256:{{Convert.ToHexStringLower(SHA256.HashData(archive))}}
                lastUpdateTime: "2020-01-01T00:00:00Z"
                size: {{archive.Length}}
              conditions: [{ type: Ready, status: "True", reason: Succeeded, message: "", lastTransitionTime: "2020-01-01T00:00:00Z" }]
            """, "--server-side", "--subresource=status");
        await _plane.Admin.ApplyAsync($$"""
            apiVersion: kustomize.toolkit.fluxcd.io/v1
            kind: Kustomization
            metadata: { name: {{Name}}, namespace: {{Namespace}} }
            spec:
              interval: 1h
              retryInterval: 1h
              timeout: 90s
              prune: true
              wait: true
              sourceRef: { kind: ExternalArtifact, name: {{Name}} }
            """, "--server-side");
    }

    /// <summary>Has it reconcile once more, and waits until it has.</summary>
    public async Task ReconcileAsync()
    {
        var request = $"{Interlocked.Increment(ref _requests)}";
        await _plane.Admin.RunAsync(
            "annotate", "--overwrite", "-n", Namespace, "kustomization.kustomize.toolkit.fluxcd.io", Name, $"reconcile.fluxcd.io/requestedAt={request}");
        await UntilAsync($"reconciliation {request}", status => (string?)status["lastHandledReconcileAt"] == request);
    }

    /// <summary>Waits until a revision is applied and all of it is ready.</summary>
    public Task AppliedAsync(string revision) => UntilAsync(
        $"{revision} is applied", status => (string?)status["lastAppliedRevision"] == revision && Ready(status) is { } ready && (string?)ready["status"] == "True");

    /// <summary>Waits until a revision has failed, and returns the reason and the message.</summary>
    public async Task<(string Reason, string Message)> FailedAsync(string revision)
    {
        JsonNode? failed = null;
        await UntilAsync($"{revision} has failed", status =>
            (string?)status["lastAttemptedRevision"] == revision && (failed = Ready(status)) is { } ready && (string?)ready["status"] == "False");
        return ((string)failed!["reason"]!, (string)failed["message"]!);
    }

    /// <summary>What each reconciliation so far did to each object that it applied: created, configured or unchanged.</summary>
    public IReadOnlyList<IReadOnlyDictionary<string, string>> Applied =>
        [.. _controller!.Output.Split('\n')
            .Where(line => line.StartsWith('{') && line.Contains("server-side apply", StringComparison.Ordinal))
            .Select(line => JsonNode.Parse(line)!["output"].Deserialize<Dictionary<string, string>>()!)];

    public async ValueTask DisposeAsync()
    {
        if (_controller is not null)
            await _controller.DisposeAsync();
        await _files.DisposeAsync();
    }

    private static JsonNode? Ready(JsonNode status) =>
        (status["conditions"] as JsonArray ?? []).FirstOrDefault(condition => (string?)condition!["type"] == "Ready");

    private async Task UntilAsync(string what, Func<JsonNode, bool> condition)
    {
        var start = TimeProvider.System.GetTimestamp();
        JsonNode? status = null;
        while (status is null || !condition(status))
        {
            if (_controller!.HasExited || TimeProvider.System.GetElapsedTime(start) > Deadline)
                throw new TimeoutException($"Waited for Flux in vain: {what}. Status: {status?.ToJsonString()}\n{_controller.Output}");
            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System);
            status = (await _plane.Admin.GetAsync(Namespace, "kustomization.kustomize.toolkit.fluxcd.io", Name))["status"];
        }
    }

    private static async Task<byte[]> PackAsync(IReadOnlyDictionary<string, string> manifests)
    {
        using var archive = new MemoryStream();
        await using (var gzip = new GZipStream(archive, CompressionLevel.Fastest, leaveOpen: true))
        await using (var tar = new TarWriter(gzip))
        {
            foreach (var (file, text) in manifests)
            {
                using var content = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(text));
                await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, file) { DataStream = content });
            }
        }
        return archive.ToArray();
    }
}
