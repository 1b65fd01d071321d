using Microsoft.Extensions.Time.Testing;
using WebhookOperator.Kube;
using WebhookOperator.Tests.Testing;
using WebhookOperator.Tests.Testing.FakeApi;

namespace WebhookOperator.Tests.Kube;

public sealed class LeaderLeaseTests : IAsyncLifetime
{
    private const string Leases = "coordination.k8s.io/v1/leases";

    /// <summary>From one attempt to the next, with the jitter that <see cref="Start"/> gives.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(2.2);

    private readonly FakeTimeProvider _time = new();
    private readonly CapturedLog _log = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<(LeaderLease Lease, PausableClock Clock)> _candidates = [];
    private FakeApiServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await FakeApiServer.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var (lease, _) in _candidates)
            lease.Dispose();
        await _server.DisposeAsync();
        _stop.Dispose();
    }

    [Fact]
    public async Task One_of_two_leads_and_the_other_takes_over_at_once_when_it_leaves()
    {
        var a = Start("a");
        await UntilAsync(() => a.IsLeader, "a leads");
        var b = Start("b");
        var term = await a.AcquiredAsync(default);
        Assert.Equal(term, a.Token);
        await UntilAsync(() => b.Holder == "a", "b knows of a");
        await PassAsync(TimeSpan.FromSeconds(60));
        await UntilAsync(() => a.IsLeader, "a still leads");
        Assert.False(b.IsLeader);
        Assert.True(b.Token.IsCancellationRequested);

        var released = _time.GetUtcNow();
        await a.ReleaseAsync(default);
        Assert.True(term.IsCancellationRequested);
        Assert.False(a.IsLeader);
        await UntilAsync(() => b.IsLeader, "b leads");
        Assert.True(_time.GetUtcNow() - released < TimeSpan.FromSeconds(10), "b waited for the Lease to run out");
        // Who has left does not come back.
        await PassAsync(TimeSpan.FromSeconds(60));
        Assert.False(a.IsLeader);
        Assert.Equal("b", (string?)Lease()["holderIdentity"]);
        Assert.Equal(1, (int?)Lease()["leaseTransitions"]);
    }

    [Fact]
    public async Task A_process_that_dies_is_followed_when_its_lease_has_not_changed_for_its_duration()
    {
        var clock = NewClock();
        var a = Start("a", clock);
        await UntilAsync(() => a.IsLeader, "a leads");
        var b = Start("b");
        await UntilAsync(() => b.Holder == "a", "b knows of a");
        clock.Pause(TimeSpan.Zero);
        var died = _time.GetUtcNow();
        await UntilAsync(() => b.IsLeader, "b leads");
        Assert.InRange((_time.GetUtcNow() - died).TotalSeconds, 10, 40);
    }

    [Fact]
    public async Task A_process_that_was_paused_and_wakes_up_late_does_not_lead_before_it_has_asked_anybody()
    {
        var clock = NewClock();
        var a = Start("a", clock);
        await UntilAsync(() => a.IsLeader, "a leads");
        var term = a.Token;
        var requests = _server.Requests.Count;

        // Its timers have not fired, its loop has not run: only its clock has gone on.
        clock.Pause(TimeSpan.FromSeconds(11));
        Assert.False(a.IsLeader);
        Assert.True(a.Token.IsCancellationRequested);
        Assert.False(term.IsCancellationRequested, "nothing has run that could have cancelled it");
        Assert.Equal(requests, _server.Requests.Count);

        // Awake, it leads again only in a new term, also if nobody else took the Lease.
        clock.Resume();
        await UntilAsync(() => a.IsLeader, "a leads again");
        Assert.True(term.IsCancellationRequested);
        Assert.False(a.Token.IsCancellationRequested);
    }

    [Theory]
    [InlineData(-24)]
    [InlineData(24)]
    public async Task What_clocks_show_does_not_matter(int hours)
    {
        var clock = NewClock();
        var a = Start("a");
        await UntilAsync(() => a.IsLeader, "a leads");
        var term = a.Token;
        var b = Start("b", clock);
        await UntilAsync(() => b.Holder == "a", "b knows of a");
        clock.ShowOtherTime(TimeSpan.FromHours(hours));
        for (var i = 0; i < 30; i++)
        {
            await PassAsync(TimeSpan.FromSeconds(1));
            Assert.False(b.IsLeader);
        }
        Assert.True(a.IsLeader);
        Assert.False(term.IsCancellationRequested);
    }

    [Fact]
    public async Task Faults_of_the_API_server_end_leadership_only_when_they_last_longer_than_the_deadline()
    {
        var failing = false;
        _server.Refuse = request => Task.FromResult(failing && request.IsWrite
            ? new FakeRefusal(500, "InternalError", "etcdserver: leader changed")
            : null);
        var a = Start("a");
        await UntilAsync(() => a.IsLeader, "a leads");
        var term = a.Token;
        failing = true;
        await UntilAsync(() => a.Fault is not null, "the fault is seen");
        failing = false;
        await UntilAsync(() => a.Fault is null, "the fault is over");
        Assert.False(term.IsCancellationRequested);

        failing = true;
        var start = _time.GetUtcNow();
        await UntilAsync(() => term.IsCancellationRequested, "leadership has ended");
        Assert.InRange((_time.GetUtcNow() - start).TotalSeconds, 5, 15);
        Assert.False(a.IsLeader);
        Assert.Contains("etcdserver: leader changed", a.Fault);
        failing = false;
        await UntilAsync(() => a.IsLeader, "a leads again");
        Assert.Equal(2, _log.Warnings.Count(line => line.Contains("etcdserver", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_lease_that_another_has_taken_ends_leadership_with_the_next_renewal()
    {
        var a = Start("a");
        await UntilAsync(() => a.IsLeader, "a leads");
        var term = a.Token;
        var taken = (System.Text.Json.Nodes.JsonObject)_server.Store.Get(Leases, "system", "leader").DeepClone();
        taken["spec"]!["holderIdentity"] = "intruder";
        ((System.Text.Json.Nodes.JsonObject)taken["metadata"]!).Remove("resourceVersion");
        _server.Store.Replace(Leases, "system", "leader", taken, status: false);
        await UntilAsync(() => !a.IsLeader, "a has noticed");
        Assert.True(term.IsCancellationRequested);
        Assert.Equal("intruder", a.Holder);
        await UntilAsync(() => a.IsLeader, "the intruder's time is over");
    }

    [Fact]
    public async Task A_right_that_is_missing_is_told_once_and_waited_for()
    {
        var granted = false;
        _server.Refuse = request => Task.FromResult(request.Verb == "create" && !granted
            ? new FakeRefusal(403, "Forbidden", "User \"x\" cannot create resource \"leases\"")
            : null);
        var a = Start("a");
        await UntilAsync(() => a.Fault is not null, "the fault is told");
        Assert.Contains("the verb create on leases.coordination.k8s.io is not granted", a.Fault);
        await PassAsync(TimeSpan.FromSeconds(20));
        await UntilAsync(() => _server.Requests.Count(request => request.Verb == "create") > 3, "it goes on trying");
        Assert.Single(_log.Warnings);
        granted = true;
        await UntilAsync(() => a.IsLeader, "a leads");
    }

    [Fact]
    public async Task However_the_API_server_fails_no_two_lead_at_once()
    {
        var random = new Random(3);
        _server.Refuse = _ => Task.FromResult(Chance(20) ? new FakeRefusal(504, "Timeout", "request did not complete within the allotted timeout") : null);
        _server.LoseAnswer = _ => Chance(10);
        var clocks = new[] { NewClock(), NewClock(), NewClock() };
        var candidates = clocks.Select((clock, i) => Start($"c{i}", clock)).ToArray();
        var leaders = new HashSet<int>();
        for (var second = 0; second < 600; second++)
        {
            await PassAsync(TimeSpan.FromSeconds(1));
            var leading = Enumerable.Range(0, candidates.Length).Where(i => candidates[i].IsLeader).ToArray();
            Assert.True(leading.Length <= 1, $"{leading.Length} lead at once");
            leaders.UnionWith(leading);
            // Now and then who leads is paused for a while.
            if (leading is [var leader] && second % 60 == 0)
                clocks[leader].Pause(TimeSpan.Zero);
            if (second % 60 == 30)
                Array.ForEach(clocks, clock => clock.Resume());
        }
        Assert.True(leaders.Count > 1, "leadership never changed");

        bool Chance(int percent)
        {
            lock (random)
                return random.Next(100) < percent;
        }
    }

    [Fact]
    public async Task A_renewal_whose_answer_was_lost_is_found_out_and_does_not_keep_the_lease_from_being_released()
    {
        var a = Start("a");
        await UntilAsync(() => a.IsLeader, "a leads");
        var term = a.Token;
        var losing = true;
        _server.LoseAnswer = request => losing && request.Verb == "update";
        await UntilAsync(() => a.Fault is not null, "an answer is lost");
        losing = false;
        await UntilAsync(() => a.Fault is null, "the next renewal is through");
        await PassAsync(TimeSpan.FromSeconds(15));
        Assert.False(term.IsCancellationRequested);

        losing = true;
        await UntilAsync(() => a.Fault is not null, "an answer is lost again");
        losing = false;
        await a.ReleaseAsync(default);
        Assert.Equal("", (string?)Lease()["holderIdentity"]);
    }

    private PausableClock NewClock() => new(_time, Pause);

    private LeaderLease Start(string identity, PausableClock? clock = null)
    {
        clock ??= NewClock();
        var candidate = new LeaderLease(_server.Client(), "system", "leader", identity, clock, () => 0.5, _log.Logger<LeaderLease>());
        _candidates.Add((candidate, clock));
        _ = Task.Run(() => candidate.RunAsync(_stop.Token));
        return candidate;
    }

    private System.Text.Json.Nodes.JsonNode Lease() => _server.Store.Get(Leases, "system", "leader")["spec"]!;

    /// <summary>Lets the clock go on, and everything happen that this brings about.</summary>
    private async Task PassAsync(TimeSpan time)
    {
        var step = TimeSpan.FromMilliseconds(250);
        for (var passed = TimeSpan.Zero; passed < time; passed += step)
        {
            _time.Advance(step);
            await Wait.UntilAsync(() => Task.FromResult(_candidates.All(candidate => candidate.Clock.Asleep)), () => $"all is quiet; log:\n{_log}");
        }
    }

    /// <summary>Lets the clock go on until it is so, for at most ten minutes.</summary>
    private async Task UntilAsync(Func<bool> condition, string what)
    {
        for (var start = _time.GetUtcNow(); !condition(); await PassAsync(TimeSpan.FromMilliseconds(250)))
            Assert.True(_time.GetUtcNow() - start < TimeSpan.FromMinutes(10), $"waited in vain until {what}; log:\n{_log}");
    }
}
