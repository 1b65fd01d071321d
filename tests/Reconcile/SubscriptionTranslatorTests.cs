using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Reconcile;

namespace WebhookOperator.Tests.Reconcile;

/// <summary>What no manifest can bring about, since it would be refused: specs of an API server without CEL rules.</summary>
public sealed class SubscriptionTranslatorTests
{
    private static readonly SubscriptionTranslator Translator = new(allowHttp: false);

    [Fact]
    public void A_broken_endpoint_leaves_the_filter_and_holds_deliveries()
    {
        var outcome = Translator.Translate(
            Resource(new WebhookSubscriptionSpec { Endpoint = new EndpointSpec(), Events = new EventsSpec { Types = ["a"] } }),
            Surroundings.Empty, lastFilter: null, DateTimeOffset.UnixEpoch);

        Assert.True(outcome.Routed);
        Assert.Equal(["a"], outcome.Subscription.Filter.Types);
        Assert.Null(outcome.Subscription.Endpoint);
        Assert.Contains(outcome.State.Conditions, condition => condition is { Type: "Stalled", Status: true, Reason: "InvalidSpec" });
    }

    [Fact]
    public void A_broken_filter_leaves_the_last_one_in_force_or_routes_nothing()
    {
        var resource = Resource(new WebhookSubscriptionSpec
        {
            Endpoint = new EndpointSpec { Url = "https://partner.example/" },
            Events = new EventsSpec { Types = ["a.*.b"] },
        });
        var last = new Filter { Types = ["a.b"] };

        var kept = Translator.Translate(resource, Surroundings.Empty, last, DateTimeOffset.UnixEpoch);
        Assert.True(kept.Routed);
        Assert.Same(last, kept.Subscription.Filter);

        var without = Translator.Translate(resource, Surroundings.Empty, null, DateTimeOffset.UnixEpoch);
        Assert.False(without.Routed);
        Assert.Null(without.Subscription.Endpoint);
    }

    [Fact]
    public void What_could_not_be_read_holds_deliveries()
    {
        var outcome = Translator.Translate(
            Resource(new WebhookSubscriptionSpec { Endpoint = new EndpointSpec { Url = "https://partner.example/" } }),
            around: null, lastFilter: null, DateTimeOffset.UnixEpoch);

        Assert.True(outcome.Routed);
        Assert.Null(outcome.Subscription.Endpoint);
        Assert.Contains(outcome.State.Conditions, condition => condition is { Type: "Reconciling", Status: true, Reason: "ReadFailed" });
    }

    private static WebhookSubscription Resource(WebhookSubscriptionSpec spec) => new()
    {
        Metadata = new V1ObjectMeta { Name = "one", NamespaceProperty = "acme", Uid = "uid", Generation = 1 },
        Spec = spec,
    };
}
