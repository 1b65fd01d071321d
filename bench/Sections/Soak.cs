using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Bench.Sections;

/// <summary>
/// Two operators beside each other for some minutes: one whose connections to the API server are cut again and
/// again while resources change, and one whose subscriptions are busy.
/// </summary>
internal static class Soak
{
    private const string CutNamespace = "cut";
    private const string BusyNamespace = "busy";
    private const int Cuts = 100;
    private const int ChangingSubscriptions = 200;
    private const double WantedWritesPerSecond = 5;
    private const double WantedRefreshMinutes = 10;

    private static readonly TimeSpan Settled = TimeSpan.FromMinutes(2);

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var duration = bench.Seconds(11 * 60, 90);
        await using var server = await ApiServer.StartAsync();
        var cut = CutAsync(bench, server, duration, cancellation);
        var busy = BusyAsync(bench, server, duration, cancellation);
        return [.. await cut, .. await busy];
    }

    private static async Task<IReadOnlyList<Figure>> CutAsync(Workbench bench, ApiServer server, TimeSpan duration, CancellationToken cancellation)
    {
        var cuts = bench.Quick ? Cuts / 10 : Cuts;
        var token = await server.AddNamespaceAsync(CutNamespace);
        await server.AddAsync(Enumerable.Range(0, ChangingSubscriptions).Select(i => Subscription(CutNamespace, i, "https://partner.example/", suspend: true)), cancellation);
        await using var proxy = new TcpProxy(server.Url.Port);
        var kubeconfig = bench.NewFolder();
        await File.WriteAllTextAsync(
            kubeconfig, (await File.ReadAllTextAsync(server.Kubeconfig, cancellation)).Replace(
                server.Url.GetLeftPart(UriPartial.Authority), $"{server.Url.Scheme}://127.0.0.1:{proxy.Port}", StringComparison.Ordinal), cancellation);
        await using var @operator = await OperatorProcess.StartInClusterAsync(bench.Http, bench.NewFolder(), kubeconfig, CutNamespace, cancellation);

        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var changing = ChangeAsync(server, over.Token);
        for (var i = 0; i < cuts; i++)
        {
            await Task.Delay(duration / (cuts + 1), TimeProvider.System, cancellation);
            proxy.CutAll();
        }
        await over.CancelAsync();
        var changes = await changing;
        var clock = Stopwatch.StartNew();
        int wrong;
        while ((wrong = await WrongAsync(bench, server, @operator, token, cancellation)) > 0 && clock.Elapsed < Settled)
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, cancellation);
        return
        [
            Figure.AtMost($"watch cut {cuts} times: objects wrong at the end", wrong, 0,
                $"{changes:#,0} changes of {ChangingSubscriptions} objects; right {Figure.Text(clock.Elapsed.TotalSeconds, "s")} after the last"),
        ];
    }

    /// <summary>Changes, removes and adds until cancelled; returns how often.</summary>
    private static async Task<int> ChangeAsync(ApiServer server, CancellationToken over)
    {
        for (var changes = 0; ; changes++)
        {
            try
            {
                var i = changes * 31 % ChangingSubscriptions;
                if (changes % 7 == 0)
                {
                    await server.DeleteAsync(CutNamespace, $"s{i}", over);
                    await server.AddAsync([Subscription(CutNamespace, i, "https://partner.example/", suspend: true)], CancellationToken.None);
                }
                else
                {
                    await server.PatchAsync(CutNamespace, $"s{i}", new { spec = new { description = $"change {changes}" } }, over);
                }
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, over);
            }
            catch (OperationCanceledException) when (over.IsCancellationRequested)
            {
                return changes;
            }
        }
    }

    /// <summary>Objects that the operator sees differently from the API server.</summary>
    private static async Task<int> WrongAsync(
        Workbench bench, ApiServer server, OperatorProcess @operator, string token, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(@operator.Api, $"/v1/namespaces/{CutNamespace}/subscriptions"))
        {
            Headers = { Authorization = new AuthenticationHeaderValue("Bearer", token) },
        };
        using var response = await bench.Http.SendAsync(request, cancellation);
        var seen = (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<Seen>(cancellation))!.Items.ToHashSet();
        var real = (await server.ListAsync(CutNamespace, cancellation)).Select(item => new SeenItem(
            new SeenMetadata(item.Metadata.Name, item.Metadata.Uid, item.Metadata.ResourceVersion))).ToHashSet();
        seen.SymmetricExceptWith(real);
        return seen.DistinctBy(item => item.Metadata.Name).Count();
    }

    private static async Task<IReadOnlyList<Figure>> BusyAsync(Workbench bench, ApiServer server, TimeSpan duration, CancellationToken cancellation)
    {
        var count = bench.Quick ? 100 : 1_000;
        var token = await server.AddNamespaceAsync(BusyNamespace);
        var receiver = await bench.ReceiverAsync();
        await server.AddAsync(Enumerable.Range(0, count).Select(i => Subscription(BusyNamespace, i, new Uri(receiver.Hook, $"hook/{i}").ToString(), suspend: false)), cancellation);
        await using var @operator = await OperatorProcess.StartInClusterAsync(bench.Http, bench.NewFolder(), server.Kubeconfig, BusyNamespace, cancellation);
        var publisher = new Publisher(bench.Http, @operator.Api, BusyNamespace, token);
        // Until each subscription has its first status, there are more writes.
        while ((await server.ListAsync(BusyNamespace, cancellation)).Any(item => item.Status?.ObservedGeneration is null or < 1))
            await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System, cancellation);

        const string writes = "webhook_status_writes_total{result=\"success\"}";
        var before = await @operator.SumAsync(writes, cancellation);
        var clock = Stopwatch.StartNew();
        await Load.PaceAsync(100, duration, i => publisher.PublishAsync($"bench.t{i % count}", cancellation), cancellation);
        var rate = (await @operator.SumAsync(writes, cancellation) - before) / clock.Elapsed.TotalSeconds;
        var now = TimeProvider.System.GetUtcNow();
        var oldest = (await server.ListAsync(BusyNamespace, cancellation)).Max(item => now - LastDeliveryWrite(item));
        return
        [
            Figure.AtMost($"status writes a second, {count:#,0} busy subscriptions", rate, WantedWritesPerSecond, $"over {Figure.Text(duration.TotalMinutes, "min")}"),
            Figure.AtMost("the oldest delivery status then", oldest.TotalMinutes, WantedRefreshMinutes, "", "min"),
        ];
    }

    private static DateTimeOffset LastDeliveryWrite(WebhookSubscription item) =>
        item.Metadata.ManagedFields?.SingleOrDefault(field => field.Manager == "webhook-operator/delivery")?.Time ?? DateTimeOffset.UnixEpoch;

    private static WebhookSubscription Subscription(string @namespace, int i, string url, bool suspend) => new()
    {
        Metadata = new V1ObjectMeta { Name = $"s{i}", NamespaceProperty = @namespace },
        Spec = new WebhookSubscriptionSpec
        {
            Suspend = suspend,
            Endpoint = new EndpointSpec { Url = url },
            Events = new EventsSpec { Types = [$"bench.t{i}"] },
        },
    };

    private sealed record Seen(IReadOnlyList<SeenItem> Items);

    private sealed record SeenItem(SeenMetadata Metadata);

    private sealed record SeenMetadata(string Name, string Uid, string ResourceVersion);
}
