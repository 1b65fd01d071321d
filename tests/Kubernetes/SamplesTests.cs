using System.Text.Json.Nodes;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>What the demo shows in local mode, in a cluster: the samples with receivers good, poor and gone.</summary>
public sealed class SamplesTests(ClusterOperators operators)
{
    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task The_samples_deliver_what_should_arrive(ApiServer server)
    {
        var cluster = await operators.GetAsync(server);
        var kubectl = cluster.Plane.Admin;
        var space = await cluster.Plane.NamespaceAsync("samples");
        var poor = Answers.Sequence(Answers.Status(503), Answers.Status(503), Answers.Status(503), Answers.Status(503), Answers.Status(200));
        await using var receiver = await Receiver.StartAsync(Answers.By(r => r.Target == "/invoices" ? poor : Answers.Status(200)));
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "config", "samples"), "*.yaml"))
            await kubectl.ApplyAsync(File.ReadAllText(file)
                .Replace("namespace: acme", $"namespace: {space}", StringComparison.Ordinal)
                .Replace("127.0.0.1:9911", receiver.Url.Authority, StringComparison.Ordinal)
                .Replace("127.0.0.1:9912", $"127.0.0.1:{Ports.Free()}", StringComparison.Ordinal));
        await kubectl.RunAsync("wait", "-n", space, "--for=condition=Ready", "--timeout=60s", "webhooks", "--all");
        var app = await cluster.PublisherAsync(space, "webhook-publisher", "webhook-log-reader");

        // Two subscriptions want orders, one wants invoices, and nobody wants a test order but the old shop.
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(2, await DeliveriesOfAsync($"order-{i}", "com.acme.order.created", "{}"));
            Assert.Equal(1, await DeliveriesOfAsync($"invoice-{i}", "com.acme.invoice.issued", "{}"));
        }
        Assert.Equal(1, await DeliveriesOfAsync("test", "com.acme.order.created", """{"test":"true"}"""));

        // The good receiver has each once, signed; the poor one has each in the end, after its circuit was open.
        await cluster.UntilAsync("all invoices have arrived", () => Task.FromResult(Ids("/invoices").Distinct().Count() == 3 && receiver.Requests.Count(r => r.Target == "/invoices") >= 7));
        await cluster.UntilAsync("all orders have arrived", () => Task.FromResult(Ids("/orders").Length == 3));
        Assert.All(receiver.Requests, r => Assert.StartsWith(r.Target == "/invoices" ? "v1a," : "v1,", r.Header("webhook-signature")));
        await cluster.ConditionAsync(space, "whsub", "invoices", "EndpointHealthy", "True");
        await cluster.UntilAsync("the circuit is closed again", async () =>
            (await kubectl.RunAsync("get", "-n", space, "whsub", "invoices", "-o", "jsonpath={.status.circuit.state}")) == "Closed");

        // The receiver that is gone is known as such, and is no fault of the spec; its dead letters can be sent again by who may.
        await cluster.ConditionAsync(space, "whsub", "legacy", "EndpointHealthy", "False");
        await cluster.ConditionAsync(space, "whsub", "legacy", "Ready", "True");
        JsonArray dead = [];
        await cluster.UntilAsync("its deliveries are given up", async () =>
            (dead = JsonNode.Parse((await cluster.GetAsync($"/v1/namespaces/{space}/subscriptions/legacy/deliveries?state=dead", app)).Text)!["items"]!.AsArray()).Count == 4);
        var again = $"/v1/namespaces/{space}/deliveries/{dead[0]!["id"]}/redeliver";
        Assert.Equal(403, (await cluster.PostAsync(again, app)).Status);
        await kubectl.RunAsync("create", "rolebinding", "edit", "-n", space, "--clusterrole=webhook-operator-edit", $"--serviceaccount={space}:editor");
        await kubectl.RunAsync("create", "serviceaccount", "-n", space, "editor");
        Assert.Equal(202, (await cluster.PostAsync(again, await cluster.Plane.TokenAsync(space, "editor", ClusterOperator.Audience))).Status);

        async Task<int?> DeliveriesOfAsync(string id, string type, string data)
        {
            var answer = await cluster.PublishAsync(space, app, id, type, data);
            Assert.Equal(202, answer.Status);
            return (int?)JsonNode.Parse(answer.Text)!["deliveries"];
        }

        string[] Ids(string target) => [.. receiver.Requests.Where(r => r.Target == target).Select(r => r.Header("webhook-id")!)];
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task The_longest_name_has_a_status_an_Event_and_deliveries(ApiServer server)
    {
        var cluster = await operators.GetAsync(server);
        cluster.Plane.NeedsServerSideApply();
        var kubectl = cluster.Plane.Admin;
        var space = await cluster.Plane.NamespaceAsync(new string('n', 60));
        var name = string.Join('.', Enumerable.Repeat(new string('a', 62), 4))[..251] + "zz";
        await using var receiver = await Receiver.StartAsync();
        await kubectl.ApplyAsync($$"""
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: {{name}}, namespace: {{space}} }
            spec: { endpoint: { urlFrom: { secretKeyRef: { name: {{name}}, key: url } } }, signing: { secretRef: { name: {{name}} } } }
            """);
        await cluster.ConditionAsync(space, "whsub", name, "Ready", "False");
        await cluster.UntilAsync("the Event is there", async () =>
            (await kubectl.RunAsync("events", "-n", space, $"--for=webhooksubscription/{name}")).Contains("Warning", StringComparison.Ordinal));

        await kubectl.ApplyAsync(Manifests.Join(
            Manifests.Secret(name, "url", receiver.Url.ToString(), space), Manifests.Generated(name).Replace("acme", space, StringComparison.Ordinal)));
        await cluster.ConditionAsync(space, "whsub", name, "Ready", "True");

        Assert.Equal(202, (await cluster.PublishAsync(space, await cluster.PublisherAsync(space, "webhook-publisher"), "1")).Status);
        await receiver.WaitForAsync(1);
    }
}
