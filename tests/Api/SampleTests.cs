using System.Collections.Immutable;
using k8s;
using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Api;

public sealed class SampleTests
{
    public static TheoryData<string> Samples() =>
        [.. Directory.EnumerateFiles(Path.Combine(Repository.Root, "config", "samples"), "*.yaml").Select(f => Path.GetFileName(f)!)];

    [Theory]
    [MemberData(nameof(Samples))]
    public void A_sample_has_no_fault(string file) => Assert.All(Read(file), m => Assert.Empty(m.Findings()));

    [Theory]
    [MemberData(nameof(Samples))]
    public void A_sample_round_trips_through_the_types(string file)
    {
        Assert.NotEmpty(Read(file));
        foreach (var manifest in Read(file))
        {
            var json = manifest.Json.ToJsonString();
            var again = manifest.Kind == WebhookSecret.KubeKind
                ? KubernetesJson.Serialize(KubernetesJson.Deserialize<WebhookSecret>(json))
                : KubernetesJson.Serialize(KubernetesJson.Deserialize<WebhookSubscription>(json));
            Assert.True(System.Text.Json.Nodes.JsonNode.DeepEquals(manifest.Json, System.Text.Json.Nodes.JsonNode.Parse(again)),
                $"{json}\nbecame\n{again}");
        }
    }

    [Fact]
    public void The_defaults_of_the_CRD_are_those_of_the_engine()
    {
        var manifest = Assert.Single(Manifest.Parse("""
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: least, namespace: acme }
            spec: { endpoint: { url: https://partner.example/hooks } }
            """));
        Assert.Empty(manifest.Findings());
        var subscription = KubernetesJson.Deserialize<WebhookSubscription>(manifest.Json.ToJsonString());
        var engine = new DeliveryPolicy();
        var delivery = subscription.Spec.Delivery!;
        Assert.Equal(engine.Retry.Schedule, delivery.Retry!.Schedule!.Select(KubeDuration.Parse).ToImmutableArray());
        Assert.Equal(engine.Retry.MaxAge, KubeDuration.Parse(delivery.Retry.MaxAge));
        Assert.Equal(engine.Retry.JitterPercent, delivery.Retry.JitterPercent);
        Assert.Equal(engine.CircuitBreaker, new CircuitBreakerPolicy
        {
            FailureRatioPercent = delivery.CircuitBreaker!.FailureRatioPercent!.Value,
            MinimumThroughput = delivery.CircuitBreaker.MinimumThroughput!.Value,
            SamplingWindow = KubeDuration.Parse(delivery.CircuitBreaker.SamplingWindow),
            BreakDuration = KubeDuration.Parse(delivery.CircuitBreaker.BreakDuration),
            MaxBreakDuration = KubeDuration.Parse(delivery.CircuitBreaker.MaxBreakDuration),
        });
        Assert.Null(delivery.RateLimit);
        Assert.Equal(engine.Concurrency, delivery.Concurrency);
        Assert.Equal(engine.DisableAfter, KubeDuration.Parse(delivery.DisableAfter));
        Assert.Equal(TimeSpan.FromSeconds(15), KubeDuration.Parse(subscription.Spec.Endpoint!.Timeout));
        Assert.Equal(nameof(PayloadFormat.CloudEvents), subscription.Spec.Payload!.Format);
        Assert.False(subscription.Spec.Suspend);
        Assert.Equal(-1, subscription.Status!.ObservedGeneration);
    }

    private static IReadOnlyList<Manifest> Read(string file) =>
        Manifest.Parse(File.ReadAllText(Path.Combine(Repository.Root, "config", "samples", file)));
}
