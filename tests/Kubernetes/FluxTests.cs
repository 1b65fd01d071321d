using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>GitOps with Flux's own controller: what it applies, waits for, and leaves alone.</summary>
public sealed class FluxTests
{
    private static readonly string Samples = Path.Combine(Repository.Root, "config", "samples");

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task The_samples_are_applied_watched_left_alone_and_pruned(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        await plane.InstallCrdsAsync();
        await plane.Admin.RunAsync("create", "namespace", "acme");
        await using var cluster = await ClusterOperator.StartAsync(plane);
        await using var flux = await Flux.StartAsync(plane);
        await using var receiver = await Receiver.StartAsync();
        var token = await cluster.PublisherAsync("acme", "webhook-publisher");
        var manifests = Directory.EnumerateFiles(Samples, "*.yaml").ToDictionary(
            file => Path.GetFileName(file), file => File.ReadAllText(file).Replace("127.0.0.1:9911", receiver.Url.Authority, StringComparison.Ordinal));

        // 1. Applied, and seen as ready: the receiver of the sample "legacy", which does not answer, is no reason to wait.
        await flux.CommitAsync("samples", manifests);
        await flux.AppliedAsync("samples");
        await plane.Admin.RunAsync("wait", "-n", "acme", "--for=condition=Ready", "--timeout=0", "webhooks", "--all");

        // 2. No drift while deliveries change the status.
        var seen = flux.Applied.Count;
        var status = await StatusAsync(plane);
        for (var i = 0; i < 10; i++)
        {
            for (var n = 0; n < 5; n++)
                Assert.Equal(202, (await cluster.PublishAsync("acme", token, $"{i}-{n}", "com.acme.order.created")).Status);
            await flux.ReconcileAsync();
        }
        await receiver.WaitForAsync(50);
        await cluster.UntilAsync("the status has changed", async () => await StatusAsync(plane) != status);
        await flux.ReconcileAsync();
        var drift = flux.Applied.Skip(seen).ToArray();
        Assert.True(drift.Length >= 11, $"{drift.Length} reconciliations are in the log.");
        Assert.All(drift, applied => Assert.All(applied, change => Assert.Equal("unchanged", change.Value)));

        // 3. What can't work is told, at once, with the reason.
        await flux.CommitAsync("broken", new Dictionary<string, string>(manifests)
        {
            ["broken.yaml"] = """
                apiVersion: v1
                kind: Secret
                metadata: { name: broken, namespace: acme }
                stringData: { url: "ftp://partner.example" }
                ---
                apiVersion: webhookoperator.io/v1alpha1
                kind: WebhookSubscription
                metadata: { name: broken, namespace: acme }
                spec: { endpoint: { urlFrom: { secretKeyRef: { name: broken, key: url } } } }
                """,
        });
        var failed = await flux.FailedAsync("broken");
        Assert.Equal("HealthCheckFailed", failed.Reason);
        Assert.Contains("WebhookSubscription/acme/broken", failed.Message);
        Assert.Contains("Failed", failed.Message);
        var stalled = await cluster.ConditionAsync("acme", "whsub", "broken", "Stalled", "True");
        Assert.Equal("InvalidUrl", (string?)stalled["reason"]);

        // 4. What is no longer in the repository goes.
        manifests.Remove("orders.yaml");
        await flux.CommitAsync("fewer", manifests);
        await flux.AppliedAsync("fewer");
        Assert.Equal(
            ["webhooksubscription.webhookoperator.io/invoices", "webhooksubscription.webhookoperator.io/legacy", "webhooksubscription.webhookoperator.io/warehouse"],
            (await plane.Admin.RunAsync("get", "whsub", "-n", "acme", "-o", "name")).Trim().Split('\n'));
        Assert.Equal(1, (await plane.Admin.TryAsync("get", "-n", "acme", "whsec", "orders-signing")).ExitCode);
    }

    private static Task<string> StatusAsync(ControlPlane plane) =>
        plane.Admin.RunAsync("get", "-n", "acme", "whsub", "orders", "-o", "jsonpath={.status.delivery.delivered}");
}
