using System.Text.Json.Nodes;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>The operator in a cluster, as users with kubectl and publishers with a ServiceAccount see it.</summary>
public sealed class OperatorUseTests(ClusterOperators operators)
{
    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Apply_wait_publish_get_delete(ApiServer server)
    {
        var cluster = await operators.GetAsync(server);
        var kubectl = cluster.Plane.Admin;
        var space = await cluster.Plane.NamespaceAsync("orders");
        await using var receiver = await Receiver.StartAsync();

        await kubectl.ApplyAsync(Manifests.Subscription("orders", receiver.Url.ToString(), space));
        await kubectl.RunAsync("wait", "-n", space, "--for=condition=Ready", "--timeout=60s", "whsub/orders");
        var token = await cluster.PublisherAsync(space, "webhook-publisher", "webhook-log-reader");
        var published = await cluster.PublishAsync(space, token, "1", data: """{"order":17}""");

        Assert.Equal(202, published.Status);
        Assert.Equal(1, (int?)JsonNode.Parse(published.Text)!["deliveries"]);
        Assert.Equal("/hooks", (await receiver.WaitForAsync(1))[0].Target);
        var healthy = await cluster.ConditionAsync(space, "whsub", "orders", "EndpointHealthy", "True");
        Assert.Equal("AttemptSucceeded", (string?)healthy["reason"]);
        var status = (await kubectl.GetAsync(space, "whsub", "orders"))["status"]!;
        Assert.Equal(1, (int?)status["observedGeneration"]);
        Assert.Equal(1, (int?)status["delivery"]!["delivered"]);
        var log = await cluster.GetAsync($"/v1/namespaces/{space}/subscriptions/orders/deliveries", token);
        Assert.Equal(200, log.Status);
        Assert.Contains("Delivered", log.Text);

        await kubectl.RunAsync("delete", "-n", space, "--timeout=60s", "whsub", "orders");
        await cluster.UntilAsync("nothing is routed any more", async () =>
            (int?)JsonNode.Parse((await cluster.PublishAsync(space, token, Guid.NewGuid().ToString())).Text)!["deliveries"] == 0);
        await cluster.UntilAsync("its metrics are gone", async () => !(await cluster.ScrapeAsync()).Contains($"namespace=\"{space}\",subscription=\"orders\"", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task A_generated_key_is_in_an_owned_Secret_and_signs(ApiServer server)
    {
        var cluster = await operators.GetAsync(server);
        var kubectl = cluster.Plane.Admin;
        var space = await cluster.Plane.NamespaceAsync("signing");
        await kubectl.ApplyAsync(Manifests.Generated("signing").Replace("acme", space, StringComparison.Ordinal));
        await kubectl.RunAsync("wait", "-n", space, "--for=condition=Ready", "--timeout=60s", "whsec/signing");

        var resource = await kubectl.GetAsync(space, "whsec", "signing");
        var secret = await kubectl.GetAsync(space, "secret", (string)resource["status"]!["secretName"]!);
        var owner = Assert.Single(secret["metadata"]!["ownerReferences"]!.AsArray())!;
        Assert.Equal(("WebhookSecret", (string?)resource["metadata"]!["uid"]), ((string?)owner["kind"], (string?)owner["uid"]));
        Assert.Equal("true", (string?)secret["metadata"]!["labels"]!["webhookoperator.io/watch"]);
        var key = System.Text.Encoding.UTF8.GetString(Convert.FromBase64String((string)secret["data"]!["current"]!));
        Assert.StartsWith("whsec_", key);

        await using var receiver = await NodeReceiver.StartAsync(("current", key));
        await kubectl.ApplyAsync(Manifests.Subscription(
            "orders", receiver.Url.ToString(), space, "  signing: { secretRef: { name: signing } }"));
        await kubectl.RunAsync("wait", "-n", space, "--for=condition=Ready", "--timeout=60s", "whsub/orders");
        var token = await cluster.PublisherAsync(space, "webhook-publisher");
        Assert.Equal(202, (await cluster.PublishAsync(space, token, "1")).Status);

        Assert.Equal(["current"], (await receiver.WaitForAsync(1))[0].VerifiedBy);
        await cluster.UntilAsync("the Event is there", async () =>
            (await kubectl.RunAsync("describe", "-n", space, "whsec", "signing")).Contains("KeysCreated", StringComparison.Ordinal));
        // The key is nowhere but in the Secret.
        Assert.DoesNotContain(key, cluster.Output);
        Assert.DoesNotContain(key[6..], await kubectl.RunAsync("get", "webhooks,events", "-n", space, "-o", "yaml"));
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task A_Secret_that_appears_makes_the_subscription_ready(ApiServer server)
    {
        var cluster = await operators.GetAsync(server);
        cluster.Plane.NeedsServerSideApply();
        var space = await cluster.Plane.NamespaceAsync("missing");
        await using var receiver = await Receiver.StartAsync();
        await cluster.Plane.Admin.ApplyAsync($$"""
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: orders, namespace: {{space}} }
            spec: { endpoint: { urlFrom: { secretKeyRef: { name: partner, key: url } } } }
            """);
        var missing = await cluster.ConditionAsync(space, "whsub", "orders", "Ready", "False");
        Assert.Equal("SecretNotFound", (string?)missing["reason"]);
        var token = await cluster.PublisherAsync(space, "webhook-publisher");
        Assert.Equal(202, (await cluster.PublishAsync(space, token, "1")).Status);

        await cluster.Plane.Admin.ApplyAsync(Manifests.Secret("partner", "url", receiver.Url.ToString(), space));
        var start = TimeProvider.System.GetTimestamp();
        await cluster.ConditionAsync(space, "whsub", "orders", "Ready", "True");

        // Promised within 5 s; the rest is for machines that are busy with other tests. Who only looks at intervals takes a minute.
        Assert.InRange(TimeProvider.System.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(50));
        await receiver.WaitForAsync(1);
        await cluster.UntilAsync("describe tells what happened", async () =>
        {
            var told = await cluster.Plane.Admin.RunAsync("describe", "-n", space, "whsub", "orders");
            return told.Contains("Warning  SecretNotFound", StringComparison.Ordinal) && told.Contains("Normal   Accepted", StringComparison.Ordinal);
        });
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Callers_need_a_token_for_the_operator_and_the_right_in_the_namespace(ApiServer server)
    {
        var cluster = await operators.GetAsync(server);
        var space = await cluster.Plane.NamespaceAsync("callers");
        var other = await cluster.Plane.NamespaceAsync("callers");
        var publisher = await cluster.PublisherAsync(space, "webhook-publisher");
        var stranger = await cluster.PublisherAsync(other);
        var log = $"/v1/namespaces/{space}/subscriptions";

        Assert.Equal(401, (await cluster.PublishAsync(space, null, "1")).Status);
        Assert.Equal(401, (await cluster.PublishAsync(space, "made-up", "1")).Status);
        // A token that is meant for the API server must not be accepted here, since whoever gets it could go there with it.
        var forApiServer = await cluster.PublishAsync(space, await cluster.Plane.TokenAsync(space, "app"), "1");
        Assert.Equal(401, forApiServer.Status);
        Assert.Contains("audience webhook-operator", forApiServer.Text);
        var forbidden = await cluster.PublishAsync(space, stranger, "1");
        Assert.Equal(403, forbidden.Status);
        Assert.Contains("webhooksubscriptions/events", forbidden.Text);
        Assert.Equal(403, (await cluster.PublishAsync(other, publisher, "1")).Status);
        Assert.Equal(403, (await cluster.GetAsync(log, publisher)).Status);
        Assert.Equal(202, (await cluster.PublishAsync(space, publisher, "1")).Status);
        Assert.Equal(401, (await cluster.GetAsync(log, null)).Status);
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task A_receiver_that_hangs_does_not_hold_up_the_deletion(ApiServer server)
    {
        var cluster = await operators.GetAsync(server);
        var kubectl = cluster.Plane.Admin;
        var space = await cluster.Plane.NamespaceAsync("stuck");
        await using var receiver = await Receiver.StartAsync(Answers.Hang);
        await kubectl.ApplyAsync(Manifests.Subscription("orders", receiver.Url.ToString(), space, "    timeout: 60s"));
        await kubectl.RunAsync("wait", "-n", space, "--for=condition=Ready", "--timeout=60s", "whsub/orders");
        Assert.Equal(202, (await cluster.PublishAsync(space, await cluster.PublisherAsync(space, "webhook-publisher"), "1")).Status);
        await receiver.WaitForAsync(1);
        Assert.Contains($"webhook_deliveries_pending{{namespace=\"{space}\"", await cluster.ScrapeAsync());

        await kubectl.RunAsync("delete", "-n", space, "--timeout=30s", "whsub", "orders");

        await cluster.UntilAsync("the delivery is over", async () =>
            !(await cluster.ScrapeAsync()).Contains($"webhook_deliveries_pending{{namespace=\"{space}\"", StringComparison.Ordinal));
    }
}
