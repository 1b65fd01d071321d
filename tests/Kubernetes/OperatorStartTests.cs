using System.Text.Json.Nodes;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>An operator that starts too early, and a cluster that changes under it.</summary>
public sealed class OperatorStartTests
{
    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Without_an_API_server_and_then_without_the_CRDs_it_waits_and_says_why(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        await OperatorRights.InstallAsync(plane);
        var kubeconfig = await OperatorRights.KubeconfigAsync(plane);
        await plane.StopServerAsync();

        // 1. Alive, but not ready, and it says what it cannot reach.
        await using var cluster = await ClusterOperator.LaunchAsync(plane, kubeconfig);
        await cluster.UntilAsync("it says that the API server is away", async () =>
            await cluster.ReadinessAsync() is (503, var text) && text.Contains(plane.Url.Authority, StringComparison.Ordinal));

        // 2. Now it is there, but knows nothing of webhooks.
        await plane.StartServerAsync();
        const string Command = "webhook-operator crds | kubectl apply --server-side -f -";
        await cluster.UntilAsync("it tells the command", async () =>
            await cluster.ReadinessAsync() is (503, var text) && text.Contains(Command, StringComparison.Ordinal));

        // 3. The command helps.
        await plane.Admin.RunWithAsync(await ClusterOperator.PrintAsync("crds"), ["apply", "--server-side", "-f", "-", .. plane.CrdFlags]);
        await cluster.UntilReadyAsync();
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task It_outlives_its_token_and_restarts_of_the_API_server(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        await plane.InstallCrdsAsync();
        await using var cluster = await ClusterOperator.StartAsync(plane);
        var space = await plane.NamespaceAsync("orders");
        await ReadyAsync("first");

        // A ServiceAccount that is made anew takes no token of the old one.
        await plane.Admin.RunAsync("delete", "serviceaccount", "-n", OperatorRights.Namespace, OperatorRights.Account);
        await OperatorRights.InstallAsync(plane);
        await OperatorRights.KubeconfigAsync(plane);
        await plane.StopServerAsync();
        await plane.StartServerAsync();
        await ReadyAsync("second");

        await cluster.UntilReadyAsync();

        async Task ReadyAsync(string name)
        {
            await plane.Admin.ApplyAsync(Manifests.Subscription(name, @namespace: space));
            await cluster.ConditionAsync(space, "whsub", name, "Ready", "True");
        }
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task What_a_CRD_without_rules_let_through_is_stalled_with_the_rule_that_it_breaks(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        await plane.InstallCrdsAsync();
        foreach (var kind in new[] { "webhooksubscriptions", "webhooksecrets" })
        {
            var crd = JsonNode.Parse(await plane.Admin.RunAsync("get", "crd", $"{kind}.webhookoperator.io", "-o", "json"))!;
            RemoveRules(crd);
            await plane.Admin.RunWithAsync(crd.ToJsonString(), "replace", "-f", "-");
        }
        await using var cluster = await ClusterOperator.StartAsync(plane);
        var space = await plane.NamespaceAsync("lenient");
        var bad = Manifests.Subscription("orders", "https://ops:hunter2@partner.example/hooks", space);
        await cluster.UntilAsync("the server takes it", async () => (await plane.Admin.TryWithAsync(bad, "apply", "-f", "-")).ExitCode == 0);

        var stalled = await cluster.ConditionAsync(space, "whsub", "orders", "Stalled", "True");

        Assert.Equal("InvalidSpec", (string?)stalled["reason"]);
        Assert.Contains("spec.endpoint.url must not hold a user name or password", (string?)stalled["message"]);
        Assert.DoesNotContain("hunter2", (await plane.Admin.GetAsync(space, "whsub", "orders"))["status"]!.ToJsonString());
        Assert.DoesNotContain("hunter2", cluster.Output);
    }

    private static void RemoveRules(JsonNode? node)
    {
        if (node is JsonObject members)
        {
            members.Remove("x-kubernetes-validations");
            foreach (var (_, member) in members)
                RemoveRules(member);
        }
        else if (node is JsonArray items)
        {
            foreach (var item in items)
                RemoveRules(item);
        }
    }
}
