using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;
using WebhookOperator.Status;

namespace WebhookOperator.Tests.Status;

public sealed class StatusComposerTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly ReconciledState Accepted = new(
        "uid", 3, [new ConditionDraft(ConditionTypes.Ready, true, "Accepted", "Fine.")], "https://partner.example/…");
    private static readonly DeliverySnapshot Fresh = new()
    {
        Circuit = new CircuitSnapshot(CircuitPosition.Closed, Start, null),
        Since = Start,
    };

    [Fact]
    public void Before_the_first_attempt_the_receiver_is_unknown()
    {
        var status = Compose(new WebhookSubscription(), Accepted, Fresh, Start);

        Assert.Equal(3, status.ObservedGeneration);
        Assert.Equal("https://partner.example/…", status.Endpoint);
        Assert.Equal("Closed", status.Circuit?.State);
        Assert.Equal(("Unknown", "NoAttempt"), Condition(status, ConditionTypes.EndpointHealthy));
        Assert.Equal(("False", "Enabled"), Condition(status, ConditionTypes.Disabled));
        Assert.All(status.Conditions!, condition => Assert.Equal((3, Start.UtcDateTime), (condition.ObservedGeneration, condition.LastTransitionTime)));
    }

    [Fact]
    public void A_dead_receiver_is_unhealthy_and_the_subscription_ready()
    {
        var failing = Fresh with
        {
            Circuit = new CircuitSnapshot(CircuitPosition.Open, Start.AddMinutes(1), Start.AddMinutes(2)),
            FailedAttempts = 7,
            Pending = 3,
            OldestPendingTime = Start,
            LastAttemptTime = Start.AddMinutes(1),
            LastFailureTime = Start.AddMinutes(1),
            LastErrorClass = ErrorClass.ConnectionRefused,
            LastError = "Connection refused.",
            LastEventId = new EventId(1),
            FailingSince = Start,
            SuccessRatioPercent = 0,
            LatencyP50Milliseconds = 12,
        };

        var status = Compose(new WebhookSubscription(), Accepted, failing, Start);

        Assert.Equal(("True", "Accepted"), Condition(status, ConditionTypes.Ready));
        Assert.Equal(("False", "ConnectionRefused"), Condition(status, ConditionTypes.EndpointHealthy));
        Assert.Contains("Connection refused.", Full(status, ConditionTypes.EndpointHealthy).Message, StringComparison.Ordinal);
        Assert.Equal(("Open", Start.AddMinutes(2).UtcDateTime), (status.Circuit!.State, status.Circuit.NextProbeTime));
        Assert.Equal((7, 3, 0, 12), (status.Delivery!.FailedAttempts, status.Delivery.Pending, status.Delivery.SuccessRatioPercent, status.Delivery.LatencyP50Milliseconds));
        Assert.StartsWith("evt_", status.Delivery.LastEventId, StringComparison.Ordinal);
    }

    [Fact]
    public void A_transition_has_the_time_of_the_change_of_status_alone()
    {
        var resource = new WebhookSubscription();
        resource.Status = Compose(resource, Accepted, Fresh, Start);
        var attempted = Fresh with { LastAttemptTime = Start };

        resource.Status = Compose(resource, Accepted, attempted, Start.AddHours(1));
        Assert.Equal(Start.UtcDateTime, Full(resource.Status, ConditionTypes.Ready).LastTransitionTime);
        Assert.Equal(Start.AddHours(1).UtcDateTime, Full(resource.Status, ConditionTypes.EndpointHealthy).LastTransitionTime);

        var other = Accepted with { Conditions = [Accepted.Conditions[0] with { Reason = "Other", Message = "Also fine." }] };
        resource.Status = Compose(resource, other, attempted, Start.AddHours(2));
        Assert.Equal(Start.UtcDateTime, Full(resource.Status, ConditionTypes.Ready).LastTransitionTime);
        Assert.Equal("Also fine.", Full(resource.Status, ConditionTypes.Ready).Message);
    }

    [Theory]
    [InlineData(3, "True", "Gone")]
    [InlineData(2, "False", "Enabled")]
    public void Disabled_holds_for_the_generation_that_was_disabled(long generation, string status, string reason)
    {
        var gone = Fresh with { Disabled = new DisabledState("Gone", "The receiver answered 410.", generation, Start) };

        Assert.Equal((status, reason), Condition(Compose(new WebhookSubscription(), Accepted, gone, Start), ConditionTypes.Disabled));
    }

    [Theory]
    [InlineData("https://user:pass@partner.example/hooks?token=s3cret", "https://partner.example/…")]
    [InlineData("https://hooks.example:8443/services/T000/B000/s3cret", "https://hooks.example:8443/…")]
    [InlineData("https://partner.example/", "https://partner.example/")]
    [InlineData("https://partner.example/?s3cret", "https://partner.example/…")]
    [InlineData("http://shipping.acme.svc:80/hooks", "http://shipping.acme.svc/…")]
    public void An_endpoint_is_shown_without_what_could_be_a_credential(string url, string shown) =>
        Assert.Equal(shown, StatusComposer.Display(new Uri(url)));

    /// <summary>Both parts, as they stand together in one status.</summary>
    private static WebhookSubscriptionStatus Compose(
        WebhookSubscription resource, ReconciledState reconciled, DeliverySnapshot delivery, DateTimeOffset now)
    {
        var before = resource.Status?.Conditions;
        return StatusComposer.Compose(reconciled, before, now)
            .With(StatusWriter.Delivery, StatusComposer.Compose(delivery, reconciled.Generation, before, now));
    }

    private static V1Condition Full(WebhookSubscriptionStatus status, string type) =>
        Assert.Single(status.Conditions!, condition => condition.Type == type);

    private static (string, string) Condition(WebhookSubscriptionStatus status, string type) =>
        (Full(status, type).Status, Full(status, type).Reason);
}
