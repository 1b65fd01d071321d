using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text.Json;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;
using WebhookOperator.Bench.Receiving;

namespace WebhookOperator.Bench.Sections;

/// <param name="Accepted">Events that a publisher was told 202 for.</param>
/// <param name="Lost">Of them, those that never arrived.</param>
/// <param name="Duplicates">Requests beyond one for each event.</param>
internal sealed record Toll(long Accepted, long Lost, long Duplicates);

/// <summary>Three operators on one database, under load from publishers that try each event until it is accepted.</summary>
internal sealed class ReplicaSet : IAsyncDisposable
{
    public const int Count = 3;
    public const int Subscriptions = 24;

    private const int Publishers = 16;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly Workbench _bench;
    private readonly ReceiverProcess _receiver;
    private int _published;

    private ReplicaSet(Workbench bench, ReceiverProcess receiver, Replica[] replicas) => (_bench, _receiver, Replicas) = (bench, receiver, replicas);

    public Replica[] Replicas { get; }

    public static async Task<ReplicaSet> StartAsync(Workbench bench, string database, CancellationToken cancellation)
    {
        var receiver = await bench.ReceiverAsync();
        var folder = bench.NewFolder(Enumerable.Range(0, Subscriptions)
            .Select(i => new SubscriptionManifest($"s{i}", receiver.Hook, $"t{i}") { Concurrency = 4 })
            .Append(new SubscriptionManifest("limited", receiver.Hook, "limited") { RateLimit = "{ requests: 100, per: 1s, burst: 10 }" }));
        var replicas = Enumerable.Range(0, Count).Select(i => new Replica(bench, folder, database, i)).ToArray();
        foreach (var replica in replicas)
            await replica.StartAsync(replicas[0], cancellation);
        return new ReplicaSet(bench, receiver, replicas);
    }

    /// <summary>Counts at the receiver what becomes of events that are published while <paramref name="meanwhile"/> runs.</summary>
    public async Task<Toll> CountAsync(Func<CancellationToken, Task> meanwhile, CancellationToken cancellation)
    {
        await _receiver.ResetAsync(cancellation);
        var accepted = new ConcurrentDictionary<string, bool>();
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var publishing = Enumerable.Range(0, Publishers).Select(_ => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
                accepted[await PublishAsync(null, cancellation)] = true;
        }, cancellation)).ToArray();
        await meanwhile(cancellation);
        await enough.CancelAsync();
        await Task.WhenAll(publishing);
        var progress = await SettledAsync(accepted.Count, cancellation);
        return new Toll(accepted.Count, accepted.Count - progress.Unique, progress.Requests - progress.Unique);
    }

    /// <summary>One event, to one replica after the other until one accepts it.</summary>
    /// <returns>Its id.</returns>
    public async Task<string> PublishAsync(string? type, CancellationToken cancellation)
    {
        var number = Interlocked.Increment(ref _published);
        for (var attempt = number; ; attempt++)
        {
            if (Replicas[attempt % Count].Api is { } api && await TryPublishAsync(api, number, type ?? $"t{number % Subscriptions}", cancellation) is { } id)
                return id;
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, cancellation);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var replica in Replicas)
            await replica.DisposeAsync();
    }

    /// <summary>What arrived, once it is all that was accepted and nothing more comes.</summary>
    private async Task<Progress> SettledAsync(long accepted, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var before = await _receiver.ProgressAsync(cancellation);
        while (true)
        {
            await Task.Delay(TimeSpan.FromSeconds(2), TimeProvider.System, cancellation);
            var now = await _receiver.ProgressAsync(cancellation);
            if (now.Requests == before.Requests && (now.Unique >= accepted || clock.Elapsed > Patience))
                return now;
            before = now;
        }
    }

    private async Task<string?> TryPublishAsync(Uri api, int number, string type, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(api, $"/v1/namespaces/{Manifests.Namespace}/events"))
        {
            Content = new ByteArrayContent(EventBody.Data()) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
        };
        Publisher.AddAttributes(request.Headers, type, $"{number}");
        try
        {
            using var response = await _bench.Http.SendAsync(request, cancellation);
            var answer = await response.Content.ReadAsByteArrayAsync(cancellation);
            return (int)response.StatusCode switch
            {
                202 => JsonDocument.Parse(answer).RootElement.GetProperty("id").GetString(),
                503 => null,
                var status => throw new InvalidOperationException($"The operator answered {status}."),
            };
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return null;
        }
    }
}
