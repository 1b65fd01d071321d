using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.GitOps;

/// <summary>The examples for Flux, as its own CRDs and a real API server see them.</summary>
public sealed class FluxExampleTests(ControlPlanes planes)
{
    [Fact]
    public async Task The_API_server_takes_them_as_they_are()
    {
        var flux = (await ControlPlanePrograms.FindAsync()).KustomizeController;
        var plane = await planes.GetAsync(ApiServer.Newest);
        var crds = Path.Combine(Path.GetDirectoryName(flux.Path)!, "crds");
        await plane.Admin.RunAsync("apply", "--server-side", "-f", crds);
        await plane.Admin.RunAsync("wait", "--for=condition=Established", "--timeout=60s", "-f", crds);
        await plane.Admin.TryAsync("create", "namespace", "flux-system");

        var applied = await plane.Admin.RunAsync(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "name",
            "-k", Path.Combine(Repository.Root, "config", "gitops", "flux"));

        Assert.Equal(4, applied.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }
}
