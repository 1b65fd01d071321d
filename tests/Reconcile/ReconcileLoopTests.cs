using System.Text.Json;
using WebhookOperator.Tests.Testing;
using static WebhookOperator.Tests.Testing.Manifests;

namespace WebhookOperator.Tests.Reconcile;

public sealed class ReconcileLoopTests
{
    [Fact]
    public async Task Routes_follow_the_resources()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("a.yaml", Subscription("one"));
        await harness.StartAsync();
        Assert.Equal(["one"], harness.RoutedIn("acme"));
        Assert.Equal([], harness.RoutedIn("default"));
        Assert.Null(harness.RoutedIn("other"));
        var first = harness.Subscription("one")!;
        Assert.Equal("True Accepted", harness.Condition("WebhookSubscription", "one", "Ready"));

        harness.Directory.Write("b.yaml", Join(Subscription("two", @namespace: "other"), Secret("plain", "a", "b", @namespace: "third")));
        await harness.UntilAsync(() => harness.RoutedIn("other") is ["two"] && harness.RoutedIn("third") is [], "the new namespaces are known");

        harness.Directory.Write("a.yaml", Subscription("one", "https://new.example/"));
        await harness.UntilAsync(() => harness.Subscription("one")?.Endpoint?.Url.Host == "new.example", "the change is told");
        Assert.Equal((first.Uid, 2), (harness.Subscription("one")!.Uid, harness.Subscription("one")!.Generation));

        harness.Directory.Delete("a.yaml");
        await harness.UntilAsync(() => harness.Removed.Contains(first.Uid), "the removal is told");
        Assert.Null(harness.RoutedIn("acme"));
        await harness.UntilAsync(
            () => harness.Instruments.Reconciles.WithLabels("webhooksubscription", "success").Value >= 4
                && harness.Instruments.WorkQueueDepth.WithLabels("webhooksubscription").Value == 0, "metrics tell of it");
    }

    [Fact]
    public async Task An_empty_folder_has_the_default_namespace()
    {
        await using var harness = new ReconcileHarness();
        await harness.StartAsync();
        Assert.Equal([], harness.RoutedIn("default"));
    }

    [Fact]
    public async Task A_missing_Secret_holds_deliveries_and_resolves_by_itself()
    {
        const string headers = """
                headers:
                - name: X-Key
                  valueFrom:
                    secretKeyRef:
                      name: credentials
                      key: token
            """;
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("a.yaml", Subscription("one", more: headers));
        await harness.StartAsync();
        Assert.Null(harness.Subscription("one")!.Endpoint);
        Assert.Equal(["one"], harness.RoutedIn("acme"));
        Assert.Equal("False SecretNotFound", harness.Condition("WebhookSubscription", "one", "SecretResolved"));
        Assert.Equal("False SecretNotFound", harness.Condition("WebhookSubscription", "one", "Ready"));
        Assert.Equal("True SecretNotFound", harness.Condition("WebhookSubscription", "one", "Reconciling"));

        harness.Directory.Write("s.yaml", Secret("credentials", "token", "s3cret\\n"));
        await harness.UntilAsync(() => harness.Subscription("one")!.Endpoint is not null, "the endpoint is resolved");
        Assert.Equal("s3cret", Assert.Single(harness.Subscription("one")!.Endpoint!.Headers).Value);
        await harness.UntilAsync(() => harness.Condition("WebhookSubscription", "one", "Ready") == "True Accepted", "it is told");
        Assert.Equal("True Resolved", harness.Condition("WebhookSubscription", "one", "SecretResolved"));
        Assert.Equal("", harness.Condition("WebhookSubscription", "one", "Reconciling"));
        Assert.DoesNotContain(harness.Directory.Log.Lines, line => line.Contains("s3cret", StringComparison.Ordinal));

        harness.Directory.Write("s.yaml", Secret("credentials", "token", "bad\\nvalue"));
        await harness.UntilAsync(() => harness.Condition("WebhookSubscription", "one", "Stalled") == "True InvalidHeaderValue", "a value that can't be sent is told");
        Assert.Null(harness.Subscription("one")!.Endpoint);
    }

    [Fact]
    public async Task Plain_http_needs_the_flag()
    {
        await using (var strict = new ReconcileHarness())
        {
            strict.Directory.Write("a.yaml", Subscription("one", "http://127.0.0.1:9911/hooks"));
            await strict.StartAsync();
            Assert.Null(strict.Subscription("one")!.Endpoint);
            Assert.Equal("True InsecureUrl", strict.Condition("WebhookSubscription", "one", "Stalled"));
        }
        await using var lax = new ReconcileHarness { AllowHttp = true };
        lax.Directory.Write("a.yaml", Subscription("one", "http://127.0.0.1:9911/hooks"));
        await lax.StartAsync();
        Assert.Equal("http://127.0.0.1:9911/hooks", lax.Subscription("one")!.Endpoint!.Url.AbsoluteUri);
    }

    [Fact]
    public async Task A_client_certificate_that_expires_holds_deliveries_until_the_Secret_has_another()
    {
        const string tls = """
                tls:
                  clientCertificateSecretRef:
                    name: client
            """;
        await using var harness = new ReconcileHarness();
        using var root = TestAuthority.Root();
        var start = harness.Time.GetUtcNow();
        harness.Directory.Write("s.yaml", Client(root.Client("first", notBefore: start.AddDays(-1), notAfter: start.AddDays(1))));
        harness.Directory.Write("a.yaml", Subscription("one", more: tls));
        await harness.StartAsync();
        var first = harness.Subscription("one")!.Endpoint!.Tls;
        Assert.NotNull(first);

        harness.Time.Advance(TimeSpan.FromDays(1) + TimeSpan.FromSeconds(2));
        await harness.UntilAsync(() => harness.Condition("WebhookSubscription", "one", "Stalled") == "True CertificateExpired", "it is told");
        Assert.Null(harness.Subscription("one")!.Endpoint);

        harness.Directory.Write("s.yaml", Client(root.Client("second", notBefore: start.AddDays(3), notAfter: start.AddDays(9))));
        await harness.UntilAsync(() => harness.Condition("WebhookSubscription", "one", "Reconciling") == "True CertificateNotYetValid", "it waits");
        harness.Time.Advance(TimeSpan.FromDays(2));
        await harness.UntilAsync(() => harness.Subscription("one")!.Endpoint is not null, "the new one is presented");
        Assert.NotEqual(first, harness.Subscription("one")!.Endpoint!.Tls);

        static string Client(ClientIdentity identity) => $$"""
            apiVersion: v1
            kind: Secret
            metadata: { name: client, namespace: acme }
            stringData: { tls.crt: {{JsonSerializer.Serialize(identity.CertificatePem)}}, tls.key: {{JsonSerializer.Serialize(identity.Pkcs8)}} }
            """;
    }

    [Fact]
    public async Task Ten_thousand_subscriptions_are_routed()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("a.yaml", Join([.. Enumerable.Range(0, 10_000).Select(i => Subscription($"s{i}"))]));
        await harness.StartAsync();

        Assert.Equal(10_000, harness.RoutedIn("acme")!.Count);
        Assert.Equal(10_000, harness.Told.Count);
    }
}
