using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>
/// The rights of config/rbac are those that the operator uses: after a life with everything in it, the API server's own
/// record of what it asked for is held against what is granted.
/// </summary>
public sealed class OperatorRightsTests
{
    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task For_every_namespace_none_is_missing_and_none_is_superfluous(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        await LiveAsync(plane, everyNamespace: true);
    }

    [Fact]
    public async Task For_one_namespace_none_is_missing_and_none_is_superfluous()
    {
        await using var plane = await ControlPlanes.StartOwnAsync(ApiServer.Newest);
        await LiveAsync(plane, everyNamespace: false);
    }

    private static async Task LiveAsync(ControlPlane plane, bool everyNamespace)
    {
        plane.NeedsServerSideApply();
        await plane.InstallCrdsAsync();
        await plane.Admin.RunAsync("create", "namespace", "acme");
        await using var cluster = await ClusterOperator.StartAsync(plane, everyNamespace);

        // 1. A key that is generated and soon rotated.
        await plane.Admin.ApplyAsync(Manifests.Generated("signing", "  rotation: { interval: 10s, overlap: 5s }"));

        // 2. A Secret that is missing, comes, and goes again: the second Event of that kind makes a series of the first.
        await plane.Admin.ApplyAsync("""
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: orders, namespace: acme }
            spec:
              endpoint: { urlFrom: { secretKeyRef: { name: partner, key: url } } }
              signing: { secretRef: { name: signing } }
            """);
        await using var receiver = await Receiver.StartAsync();
        for (var i = 0; i < 2; i++)
        {
            await cluster.ConditionAsync("acme", "whsub", "orders", "Ready", "False");
            await plane.Admin.ApplyAsync($$"""
                apiVersion: v1
                kind: Secret
                metadata: { name: partner, namespace: acme, labels: { webhookoperator.io/watch: "true" } }
                stringData: { url: "{{receiver.Url}}" }
                """);
            await cluster.ConditionAsync("acme", "whsub", "orders", "Ready", "True");
            if (i == 0)
                await plane.Admin.RunAsync("delete", "secret", "-n", "acme", "partner");
        }

        // 3. A publisher.
        var token = await cluster.PublisherAsync("acme", "webhook-publisher");
        Assert.Equal(202, (await cluster.PublishAsync("acme", token, "1")).Status);
        await receiver.WaitForAsync(1);
        await cluster.UntilAsync("the key is rotated", async () =>
            (await plane.Admin.RunAsync("describe", "-n", "acme", "whsec", "signing")).Contains("Rotated", StringComparison.Ordinal));
        Assert.Equal(0, await cluster.StopAsync());

        Assert.Equal([], OperatorRights.Refused(plane));
        IReadOnlyCollection<Right> unused = [];
        await Wait.UntilAsync(
            async () => (unused = await OperatorRights.UnusedAsync(plane)).Count == 0, () => $"each right is used; not used: {string.Join(", ", unused)}");
    }
}
