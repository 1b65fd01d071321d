using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Text.Json;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.EndToEnd;

/// <summary>The real program, killed again and again under load. Ids are counted at the receiver.</summary>
public sealed class KillTests
{
    private const int Rounds = 20;
    private const int Concurrency = 16;

    /// <summary>Requests that a kill may repeat: under way, and answered but not recorded.</summary>
    private const int Unrecorded = 4 * Concurrency;

    private const int AcceptedPerRound = 150;
    private const int Publishers = 8;

    [Fact]
    public async Task What_was_accepted_arrives_whatever_is_killed_and_only_what_was_under_way_twice()
    {
        using var folder = new TempFolder();
        using var http = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false });
        await using var receiver = await Receiver.StartAsync();
        Directory.CreateDirectory(folder.File("manifests"));
        await File.WriteAllTextAsync(Path.Combine(folder.File("manifests"), "s.yaml"), LocalOperator.Subscription(
            "all", receiver.Url, $"  payload: {{ format: Data }}\n  delivery: {{ concurrency: {Concurrency}, retry: {{ schedule: [1s, 1s, 1s] }} }}"));
        await using var program = new OperatorProcess(folder.Path, http, "--log-level", "Error");
        var payloads = await GitHubPayloads.AllAsync();
        var accepted = new ConcurrentDictionary<string, byte[]>();
        var published = 0;

        for (var round = 0; round < Rounds; round++)
        {
            await program.StartAsync();
            var target = accepted.Count + AcceptedPerRound;
            var enough = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var publishers = Enumerable.Range(0, Publishers).Select(_ => Task.Run(PublishUntilKilledAsync)).ToArray();
            await enough.Task.WaitAsync(TimeSpan.FromSeconds(60));
            await program.KillAsync();
            await Task.WhenAll(publishers);

            async Task PublishUntilKilledAsync()
            {
                while (true)
                {
                    var number = Interlocked.Increment(ref published);
                    var payload = payloads[number % payloads.Count];
                    if (await TryPublishAsync(http, program.Api, number, payload) is not { } id)
                        return;
                    accepted[id] = payload.Body;
                    if (accepted.Count >= target)
                        enough.TrySetResult();
                }
            }
        }
        await program.StartAsync();
        await LocalOperator.UntilAsync(() => Task.FromResult(Missing().Count == 0));
        Assert.Equal(0, await program.StopAsync());

        var arrivals = receiver.Requests.ToLookup(r => r.Header("webhook-id")!);
        Assert.All(accepted, a => Assert.All(arrivals[a.Key], r => Assert.True(a.Value.AsSpan().SequenceEqual(r.Body))));
        var duplicates = arrivals.Sum(a => a.Count() - 1);
        Assert.True(duplicates <= Rounds * Unrecorded, $"{duplicates} duplicates in {Rounds} kills of at most {Unrecorded} attempts each.");

        List<string> Missing()
        {
            var seen = receiver.Requests.Select(r => r.Header("webhook-id")!).ToHashSet();
            return [.. accepted.Keys.Where(id => !seen.Contains(id))];
        }
    }

    /// <summary>The event's id if it was accepted, or null if the program was killed before it said so.</summary>
    private static async Task<string?> TryPublishAsync(HttpMessageInvoker http, Uri api, int number, GitHubPayload payload)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(api, "/v1/namespaces/acme/events"))
        {
            Content = new ByteArrayContent(payload.Body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
        };
        request.Headers.Add("ce-specversion", "1.0");
        request.Headers.Add("ce-id", $"{number}");
        request.Headers.Add("ce-source", "https://github.example");
        request.Headers.Add("ce-type", $"com.github.{payload.EventName}");
        try
        {
            using var response = await http.SendAsync(request, CancellationToken.None);
            var answer = await response.Content.ReadAsByteArrayAsync();
            Assert.Equal(202, (int)response.StatusCode);
            return JsonDocument.Parse(answer).RootElement.GetProperty("id").GetString();
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return null;
        }
    }
}
