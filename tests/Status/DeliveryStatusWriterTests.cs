using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Prometheus;
using WebhookOperator.Api;
using WebhookOperator.Engine.Delivery;
using WebhookOperator.Engine.Store;
using WebhookOperator.Status;
using WebhookOperator.Telemetry;

namespace WebhookOperator.Tests.Status;

public sealed class DeliveryStatusWriterTests
{
    private static readonly TimeSpan Beat = StatusPace.Cluster.Beat;

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly ConcurrentDictionary<string, DeliverySnapshot> _seen = new();
    private readonly ConcurrentQueue<ResourceEvent> _events = new();
    private readonly Instruments _instruments = new(Metrics.NewCustomRegistry());
    private readonly Shelf _shelf;
    private DeliveryStatusWriter _writer;
    private StoreUnavailableException? _storeFault;
    private string? _needsStore;

    public DeliveryStatusWriterTests()
    {
        _shelf = new Shelf(_time);
        _writer = NewWriter();
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_thousand_busy_subscriptions_cost_five_writes_a_second_and_each_is_refreshed()
    {
        var names = Enumerable.Range(0, 1_000).Select(i => $"s{i}").ToArray();
        foreach (var name in names)
            Add(name);
        var beats = (int)(TimeSpan.FromMinutes(20) / Beat);
        var random = new Random(1);
        for (var beat = 0; beat < beats; beat++)
        {
            foreach (var name in names)
                Deliver(name);
            // Now and then a circuit opens or closes.
            if (beat % 20 == 0)
                Flip(names[random.Next(names.Length)]);
            await BeatAsync();
        }

        Assert.InRange(_shelf.Writes.Count, 1, 5 * 20 * 60 + 20);
        foreach (var name in names)
        {
            DateTimeOffset[] times = [.. _shelf.Writes.Where(write => write.Name == name).Select(write => write.Time), _time.GetUtcNow()];
            var last = times[0];
            Assert.InRange(last - _shelf.Start, TimeSpan.Zero, TimeSpan.FromMinutes(10));
            foreach (var time in times)
            {
                Assert.InRange(time - last, TimeSpan.Zero, TimeSpan.FromMinutes(10));
                last = time;
            }
        }
    }

    [Fact]
    public async Task Few_subscriptions_are_refreshed_every_minute_or_so()
    {
        Add("one");
        for (var beat = 0; beat < TimeSpan.FromMinutes(10) / Beat; beat++)
        {
            Deliver("one");
            await BeatAsync();
        }
        Assert.InRange(_shelf.Writes.Count, 600 / 72, 600 / 48 + 1);
    }

    [Fact]
    public async Task A_transition_is_written_with_the_next_beat_and_then_not_for_five_seconds()
    {
        Add("one");
        await BeatAsync();
        Assert.Single(_shelf.Writes);

        Flip("one");
        await BeatAsync();
        Assert.Equal("Open", _shelf.Status("one")?.Circuit?.State);
        Assert.Equal(["CircuitOpened", "EndpointUnhealthy"], _events.Select(e => e.Reason));

        // It flaps at every beat from here on; at the end it is open.
        for (var beat = 0; beat < 41; beat++)
        {
            Flip("one");
            if (_shelf.Writes.Count == 2)
                Assert.Equal("Open", _shelf.Status("one")?.Circuit?.State);
            await BeatAsync();
        }
        var transitions = _shelf.Writes.Skip(1).Select(write => write.Time).ToArray();
        Assert.All(transitions.Zip(transitions.Skip(1)), pair => Assert.True(pair.Second - pair.First >= StatusPace.Cluster.TransitionGap));
        Assert.InRange(transitions.Length, 2, 5);
        _time.Advance(StatusPace.Cluster.TransitionGap);
        await BeatAsync();
        Assert.Equal(_seen[Shelf.Uid("one")].Circuit.Position.ToString(), _shelf.Status("one")?.Circuit?.State);
    }

    [Fact]
    public async Task Where_nothing_changed_nothing_is_written_also_after_a_restart()
    {
        Add("one");
        for (var beat = 0; beat < 300; beat++)
            await BeatAsync();
        Assert.Single(_shelf.Writes);

        _writer = NewWriter();
        _writer.Upserted(Shelf.Key("one"), Shelf.Uid("one"));
        for (var beat = 0; beat < 300; beat++)
            await BeatAsync();
        Assert.Single(_shelf.Writes);
        Assert.Empty(_events);
    }

    [Fact]
    public async Task What_changed_is_written_when_the_process_ends()
    {
        Add("one");
        await BeatAsync();
        Deliver("one");
        using var stop = new CancellationTokenSource();
        var run = _writer.RunAsync(stop.Token);
        await stop.CancelAsync();
        await run;
        Assert.Equal(1, _shelf.Status("one")?.Delivery?.Delivered);
    }

    [Fact]
    public async Task A_write_that_fails_is_tried_again()
    {
        Add("one");
        _shelf.Fault = new InvalidOperationException("away");
        await BeatAsync();
        Assert.Equal(1, _instruments.StatusWrites.WithLabels("error").Value);
        _shelf.Fault = null;
        for (var beat = 0; beat < 20; beat++)
            await BeatAsync();
        Assert.Single(_shelf.Writes);
    }

    [Fact]
    public async Task A_store_that_is_away_is_asked_again_with_the_next_beat()
    {
        for (var i = 0; i < 5; i++)
            Add($"{i}");
        _needsStore = Shelf.Uid("2");
        _storeFault = new StoreUnavailableException("away");
        await BeatAsync();
        Assert.Equal(["0", "1", "3", "4"], _shelf.Writes.Select(write => write.Name).Order());
        _storeFault = null;
        await BeatAsync();
        Assert.Equal(5, _shelf.Writes.Count);
    }

    [Fact]
    public async Task What_another_replica_delivers_is_its_to_write()
    {
        Add("one");
        await BeatAsync();
        var mine = _seen[Shelf.Uid("one")];
        _seen.Clear();
        await BeatAsync();
        _shelf.Put("one", status => status with { Delivery = status.Delivery! with { Delivered = 100 } });

        _seen[Shelf.Uid("one")] = mine with { Delivered = 101 };
        _time.Advance(TimeSpan.FromMinutes(2));
        await BeatAsync();
        Assert.Equal(101, _shelf.Status("one")?.Delivery?.Delivered);
        Assert.Equal(2, _shelf.Writes.Count);
    }

    [Fact]
    public async Task A_namesake_starts_anew()
    {
        Add("one");
        await BeatAsync();
        _shelf.Replace("one", "another");
        _seen["another"] = _seen[Shelf.Uid("one")] with { Delivered = 7 };
        await BeatAsync();
        Assert.Null(_shelf.Status("one"));

        _writer.Upserted(Shelf.Key("one"), "another");
        await BeatAsync();
        Assert.Equal(7, _shelf.Status("one")?.Delivery?.Delivered);
    }

    private DeliveryStatusWriter NewWriter() => new(
        _shelf, (uid, _) => uid == _needsStore && _storeFault is { } fault ? throw fault : Task.FromResult(_seen.GetValueOrDefault(uid)), StatusPace.Cluster, _events.Enqueue, _time, () => 0.5, _instruments,
        NullLogger<DeliveryStatusWriter>.Instance);

    private void Add(string name)
    {
        _shelf.Add(name);
        _seen[Shelf.Uid(name)] = new DeliverySnapshot
        {
            Circuit = new CircuitSnapshot(CircuitPosition.Closed, _time.GetUtcNow(), null),
            Since = _time.GetUtcNow(),
            LastAttemptTime = _time.GetUtcNow(),
        };
        _writer.Upserted(Shelf.Key(name), Shelf.Uid(name));
    }

    private void Deliver(string name)
    {
        var before = _seen[Shelf.Uid(name)];
        _seen[Shelf.Uid(name)] = before with { Delivered = before.Delivered + 1 };
    }

    private void Flip(string name)
    {
        var before = _seen[Shelf.Uid(name)];
        var open = before.Circuit.Position == CircuitPosition.Closed;
        _seen[Shelf.Uid(name)] = before with
        {
            Circuit = new CircuitSnapshot(open ? CircuitPosition.Open : CircuitPosition.Closed, _time.GetUtcNow(), open ? _time.GetUtcNow().AddSeconds(15) : null),
            FailingSince = open ? _time.GetUtcNow() : null,
        };
    }

    private async Task BeatAsync()
    {
        _time.Advance(Beat);
        await _writer.WriteDueAsync(Stop);
    }

    /// <summary>Resources in memory, and a record of every write.</summary>
    private sealed class Shelf(FakeTimeProvider time) : IResourceSource
    {
        private readonly ConcurrentDictionary<string, WebhookSubscription> _subscriptions = new();

        public event Action<ResourceKey>? Changed;

        public DateTimeOffset Start { get; } = time.GetUtcNow();

        public ConcurrentQueue<(string Name, DateTimeOffset Time)> Writes { get; } = new();

        public Exception? Fault { get; set; }

        public bool Synced => true;

        public IReadOnlySet<string> Namespaces { get; } = new HashSet<string> { "acme" };

        public IReadOnlyCollection<WebhookSubscription> Subscriptions => [.. _subscriptions.Values];

        public IReadOnlyCollection<WebhookSecret> WebhookSecrets => [];

        public static string Uid(string name) => "uid of " + name;

        public static ResourceKey Key(string name) => new(WebhookSubscription.KubeKind, "acme", name);

        public void Add(string name) => Replace(name, Uid(name));

        public void Replace(string name, string uid)
        {
            _subscriptions[name] = new WebhookSubscription { Metadata = new V1ObjectMeta { Name = name, NamespaceProperty = "acme", Uid = uid, Generation = 1 } };
            Changed?.Invoke(Key(name));
        }

        public void Put(string name, Func<WebhookSubscriptionStatus, WebhookSubscriptionStatus> change) =>
            _subscriptions[name] = _subscriptions[name] with { Status = change(_subscriptions[name].Status!) };

        public WebhookSubscriptionStatus? Status(string name) => _subscriptions[name].Status;

        public bool TryGetSubscription(string @namespace, string name, [NotNullWhen(true)] out WebhookSubscription? subscription) =>
            _subscriptions.TryGetValue(name, out subscription);

        public bool TryGetWebhookSecret(string @namespace, string name, [NotNullWhen(true)] out WebhookSecret? secret)
        {
            secret = null;
            return false;
        }

        public ValueTask<V1Secret?> GetSecretAsync(string @namespace, string name, CancellationToken cancellation) => new((V1Secret?)null);

        public Task SaveSecretAsync(V1Secret secret, V1Secret? before, CancellationToken cancellation) => Task.CompletedTask;

        public Task SaveStatusAsync(
            ResourceKey key, string uid, StatusWriter writer, WebhookSubscriptionStatus part, CancellationToken cancellation)
        {
            if (Fault is not null)
                return Task.FromException(Fault);
            Writes.Enqueue((key.Name, time.GetUtcNow()));
            var before = _subscriptions[key.Name];
            if (before.Metadata.Uid == uid)
                _subscriptions[key.Name] = before with { Status = (before.Status ?? new WebhookSubscriptionStatus()).With(writer, part) };
            return Task.CompletedTask;
        }

        public Task SaveStatusAsync(ResourceKey key, string uid, WebhookSecretStatus status, CancellationToken cancellation) => Task.CompletedTask;

        public Task RunAsync(CancellationToken cancellation) => Task.CompletedTask;
    }
}
