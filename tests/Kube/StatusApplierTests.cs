using System.Net;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing.FakeApi;

namespace WebhookOperator.Tests.Kube;

public sealed class StatusApplierTests : IAsyncLifetime
{
    private static readonly ObjectName Name = new("acme", "w");

    private FakeApiServer _server = null!;
    private StatusApplier _applier = null!;

    public async ValueTask InitializeAsync()
    {
        _server = await FakeApiServer.StartAsync(Widget.Resource);
        _applier = new StatusApplier(_server.Client(), TimeProvider.System);
        _server.Store.Create(Follower.Collection, "acme", Follower.NewWidget("w"));
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task Two_managers_own_their_fields_and_what_one_leaves_out_goes_away()
    {
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new State { Ready = true, Reason = "Fine" }, "controller"));
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new State { Delivered = 7 }, "delivery"));
        Assert.Equal("""{"ready":true,"reason":"Fine","delivered":7}""", Status());
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new State { Ready = false }, "controller"));
        Assert.Equal("""{"ready":false,"delivered":7}""", Status());
        Assert.Equal(1, (int?)_server.Store.Get(Follower.Collection, "acme", "w")["metadata"]!["generation"]);
    }

    [Fact]
    public async Task A_field_of_another_is_taken_with_force_only()
    {
        await ApplyAsync(new State { Reason = "Mine" }, "one");
        Assert.Equal(ApplyOutcome.Conflict, await ApplyAsync(new State { Reason = "Yours" }, "two", force: false));
        Assert.Equal("""{"reason":"Mine"}""", Status());
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new State { Reason = "Yours" }, "two"));
        Assert.Equal("""{"reason":"Yours"}""", Status());
    }

    [Fact]
    public async Task A_namesake_that_took_the_place_is_left_alone()
    {
        var uid = Uid();
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new State { Ready = true }, "controller", uid: uid));
        _server.Store.Delete(Follower.Collection, "acme", "w");
        Assert.Equal(ApplyOutcome.Gone, await ApplyAsync(new State { Ready = true }, "controller", uid: uid));
        _server.Store.Create(Follower.Collection, "acme", Follower.NewWidget("w"));
        // The API server takes it; what it wrote is taken back, and what others wrote stays.
        await ApplyAsync(new State { Delivered = 7 }, "delivery");
        Assert.Equal(ApplyOutcome.Gone, await ApplyAsync(new State { Ready = true }, "controller", uid: uid));
        Assert.Equal("""{"delivered":7}""", Status());
        Assert.Equal(ApplyOutcome.Applied, await ApplyAsync(new State { Ready = true }, "controller", uid: Uid()));
    }

    [Theory]
    [InlineData(429, 7)]
    [InlineData(500, null)]
    [InlineData(403, null)]
    public async Task Any_other_refusal_says_what_it_is_and_how_long_to_wait(int code, int? retryAfter)
    {
        _server.Refuse = _ => Task.FromResult<FakeRefusal?>(new FakeRefusal(code, "Because", "of this", retryAfter));
        var refused = await Assert.ThrowsAsync<KubeApiException>(() => ApplyAsync(new State { Ready = true }, "controller"));
        Assert.Equal((HttpStatusCode)code, refused.Status);
        Assert.Equal("Because", refused.Reason);
        Assert.Equal(retryAfter is null ? null : TimeSpan.FromSeconds(retryAfter.Value), refused.RetryAfter);
        Assert.Equal($"PATCH apis/example.test/v1/namespaces/acme/widgets/w/status: {code} Because: of this", refused.Message);
        Assert.Single(_server.Requests);
    }

    private Task<ApplyOutcome> ApplyAsync(State state, string manager, bool force = true, string? uid = null) =>
        _applier.ApplyStatusAsync(Widget.Resource, Name, uid, state, manager, force, TestContext.Current.CancellationToken);

    private string Uid() => (string)_server.Store.Get(Follower.Collection, "acme", "w")["metadata"]!["uid"]!;

    private string Status() => _server.Store.Get(Follower.Collection, "acme", "w")["status"]?.ToJsonString() ?? "null";

    private sealed record State
    {
        public bool? Ready { get; init; }
        public string? Reason { get; init; }
        public int? Delivered { get; init; }
    }
}
