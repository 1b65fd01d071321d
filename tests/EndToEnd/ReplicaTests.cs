using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.EndToEnd;

/// <summary>The real program three times on one PostgreSQL database, under load. Ids are counted at the receiver.</summary>
public sealed class ReplicaTests : IAsyncLifetime
{
    private const int Replicas = 3;
    private const int Subscriptions = 12;
    private const int Concurrency = 4;
    private const int Publishers = 6;

    /// <summary>Requests of one lane that a crash may repeat: under way, and answered but not recorded.</summary>
    private const int UnrecordedPerLane = 4 * Concurrency;

    private readonly TempFolder _folder = new();
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { UseProxy = false, ConnectTimeout = TimeSpan.FromSeconds(5) });
    private readonly List<OperatorProcess> _replicas = [];

    /// <summary>By the id of the answer, how many deliveries it promised.</summary>
    private readonly ConcurrentDictionary<string, int> _accepted = new();
    private readonly CancellationTokenSource _enough = new();
    private readonly CancellationTokenSource _over = new();
    private readonly List<Task> _publishing = [];
    private Receiver _receiver = null!;
    private int _published;
    private int _refused;

    public async ValueTask InitializeAsync()
    {
        _receiver = await Receiver.StartAsync();
        Directory.CreateDirectory(_folder.File("manifests"));
        var manifests = new StringBuilder();
        for (var i = 0; i < Subscriptions; i++)
        {
            // The receiver is told whose delivery it is by the path.
            manifests.Append(LocalOperator.Subscription(
                $"s{i}", new Uri(_receiver.Url, $"/s{i}"),
                $"  events: {{ types: [\"t{i}\"] }}\n  delivery: {{ concurrency: {Concurrency}, retry: {{ schedule: [1s, 1s, 1s, 1s] }} }}"));
        }
        await File.WriteAllTextAsync(Path.Combine(_folder.File("manifests"), "s.yaml"), manifests.ToString());
    }

    public async ValueTask DisposeAsync()
    {
        await _enough.CancelAsync();
        await _over.CancelAsync();
        await Task.WhenAll(_publishing);
        foreach (var replica in _replicas)
            await replica.DisposeAsync();
        await _receiver.DisposeAsync();
        _http.Dispose();
        _enough.Dispose();
        _over.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task Replicas_that_are_killed_lose_nothing_and_repeat_only_what_was_under_way()
    {
        var kills = 0;
        await using var server = await StartServerAsync();
        await StartAsync(server.ConnectionString("postgres"));
        Publish();
        foreach (var replica in _replicas)
        {
            await AcceptAsync(300);
            await replica.KillAsync();
            kills++;
            await AcceptAsync(300);
            await replica.StartAsync();
        }
        await FinishAsync();

        var duplicates = Duplicates();
        Assert.True(duplicates <= kills * Subscriptions * UnrecordedPerLane, $"{duplicates} duplicates in {kills} kills.");
    }

    [Fact]
    public async Task Replicas_that_are_told_to_stop_lose_and_repeat_nothing()
    {
        await using var server = await StartServerAsync();
        await StartAsync(server.ConnectionString("postgres"));
        Publish();
        foreach (var replica in _replicas)
        {
            await AcceptAsync(300);
            Assert.Equal(0, await replica.StopAsync());
            await AcceptAsync(300);
            await replica.StartAsync();
        }
        await FinishAsync();

        Assert.Equal(0, Duplicates());
    }

    [Fact]
    public async Task A_database_that_restarts_loses_nothing_and_nothing_has_to_be_restarted_with_it()
    {
        await using var server = await PostgresServer.StartAsync("max_connections=100");
        await StartAsync(server.ConnectionString("postgres"));
        Publish();
        foreach (var mode in (string[])["fast", "immediate"])
        {
            await AcceptAsync(200);
            await server.RestartAsync(mode);
        }
        await AcceptAsync(200);
        await FinishAsync();
    }

    [Fact]
    public async Task A_standby_that_takes_over_has_all_that_was_accepted_and_the_replicas_find_it_by_themselves()
    {
        await using var primary = await PostgresServer.StartAsync("max_connections=100");
        await using var standby = await primary.StartStandbyAsync();
        await primary.WaitForStandbyAsync();
        await StartAsync(primary.ConnectionString("postgres", standby));
        Publish();
        await AcceptAsync(300);
        await primary.StopAsync("immediate");
        await standby.PromoteAsync();
        await AcceptAsync(300);
        await FinishAsync();
    }

    [Fact]
    public async Task A_database_that_hangs_is_given_up_and_what_was_sent_meanwhile_is_sent_once_more_at_most()
    {
        await using var server = await StartServerAsync();
        await StartAsync(server.ConnectionString("postgres"));
        Publish();
        await AcceptAsync(300);
        await server.FreezeAsync();
        foreach (var replica in _replicas)
            await LocalOperator.UntilAsync(async () => !await replica.IsReadyAsync());
        var accepted = _accepted.Count;
        var refused = _refused;
        await LocalOperator.UntilAsync(() => Task.FromResult(_refused >= refused + (2 * Publishers)));
        Assert.Equal(accepted, _accepted.Count);
        await server.ThawAsync();
        await AcceptAsync(300);
        await FinishAsync();

        Assert.All(_receiver.Requests.GroupBy(r => r.Header("webhook-id")), g => Assert.InRange(g.Count(), 1, 2));
        Assert.InRange(Duplicates(), 0, Subscriptions * UnrecordedPerLane);
    }

    /// <summary>
    /// For tests in which it does not crash, and waits for no disk that others keep busy: not to answer for seconds costs
    /// a replica its membership.
    /// </summary>
    private static Task<PostgresServer> StartServerAsync() => PostgresServer.StartAsync("max_connections=100", "fsync=off");

    private async Task StartAsync(string connectionString)
    {
        for (var i = 0; i < Replicas; i++)
        {
            var replica = OperatorProcess.Replica(_folder.Path, $"replica-{i}", connectionString, _http, "--log-level", "Error");
            // The identities of the subscriptions, which an API server would give.
            if (i > 0)
                File.Copy(_replicas[0].StatePath, replica.StatePath);
            _replicas.Add(replica);
            await replica.StartAsync();
        }
    }

    /// <summary>Publishes until told to stop, each event to another replica, again and again until it is accepted.</summary>
    private void Publish()
    {
        for (var i = 0; i < Publishers; i++)
        {
            _publishing.Add(Task.Run(async () =>
            {
                while (!_enough.IsCancellationRequested)
                {
                    var number = Interlocked.Increment(ref _published);
                    for (var attempt = 0; !_over.IsCancellationRequested && !await TryPublishAsync(number, _replicas[(number + attempt) % Replicas].Api); attempt++)
                        await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
                }
            }));
        }
    }

    private async Task<bool> TryPublishAsync(int number, Uri api)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(api, "/v1/namespaces/acme/events"))
        {
            Content = new StringContent("{}", new MediaTypeHeaderValue("application/json")),
        };
        request.Headers.Add("ce-specversion", "1.0");
        request.Headers.Add("ce-id", $"{number}");
        request.Headers.Add("ce-source", "/test");
        request.Headers.Add("ce-type", $"t{number % Subscriptions}");
        try
        {
            using var response = await _http.SendAsync(request, CancellationToken.None);
            var answer = await response.Content.ReadAsByteArrayAsync();
            if ((int)response.StatusCode != 202)
            {
                Assert.Equal(503, (int)response.StatusCode);
                Assert.NotNull(response.Headers.RetryAfter);
                Interlocked.Increment(ref _refused);
                return false;
            }
            var json = JsonDocument.Parse(answer).RootElement;
            Assert.Equal(1, json.GetProperty("deliveries").GetInt32());
            _accepted[json.GetProperty("id").GetString()!] = 1;
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return false;
        }
    }

    private Task AcceptAsync(int more)
    {
        var target = _accepted.Count + more;
        return LocalOperator.UntilAsync(() => Task.FromResult(_accepted.Count >= target));
    }

    /// <summary>Ends the load, and waits until everything that was accepted has arrived.</summary>
    private async Task FinishAsync()
    {
        await _enough.CancelAsync();
        await Task.WhenAll(_publishing);
        _publishing.Clear();
        await LocalOperator.UntilAsync(() =>
        {
            var seen = _receiver.Requests.Select(r => r.Header("webhook-id")!).ToHashSet();
            return Task.FromResult(_accepted.Keys.All(seen.Contains));
        });
        foreach (var replica in _replicas)
        {
            Assert.True(await replica.IsAliveAsync(), replica.Output);
            Assert.Equal(0, await replica.StopAsync());
        }
    }

    private int Duplicates() => _receiver.Requests.GroupBy(r => r.Header("webhook-id")).Sum(g => g.Count() - 1);
}
