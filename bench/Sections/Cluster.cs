using System.Diagnostics;
using System.Globalization;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Bench.Processes;
using WebhookOperator.Bench.Publishing;

namespace WebhookOperator.Bench.Sections;

/// <summary>What many subscriptions in a real API server cost, and how fast a change is in force.</summary>
internal static class Cluster
{
    private const string Namespace = "bench";
    private const double WantedColdStartSeconds = 30;
    private const double WantedRoutedMilliseconds = 500;
    private const double WantedMegabytes = 250;
    private const int Applies = 200;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan RoutePoll = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    public static async Task<IReadOnlyList<Figure>> RunAsync(Workbench bench, CancellationToken cancellation)
    {
        var count = bench.Quick ? 500 : 5_000;
        await using var server = await ApiServer.StartAsync();
        var token = await server.AddNamespaceAsync(Namespace);
        await server.AddSecretsAsync("elsewhere", count, cancellation);
        await server.AddAsync(Enumerable.Range(0, count).Select(i => Subscription(i)), cancellation);

        var clock = Stopwatch.StartNew();
        await using var @operator = await OperatorProcess.StartInClusterAsync(bench.Http, bench.NewFolder(), server.Kubeconfig, Namespace, cancellation);
        var routed = clock.Elapsed;
        await UntilAsync(async () => await @operator.SumAsync("webhook_status_writes_total{result=\"success\"}", cancellation) >= count
            && (await server.ListAsync(Namespace, cancellation)).All(IsReady), clock, cancellation);
        var ready = clock.Elapsed;
        var memory = await Memory.WatchAsync(@operator, bench.Seconds(15, 4), cancellation);
        int[] routes = [.. (await RoutesAsync(server, new Publisher(bench.Http, @operator.Api, Namespace, token), count, cancellation)).Order()];
        return
        [
            Figure.AtMost($"{count:#,0} subscriptions, cold start to all Ready", ready.TotalSeconds, WantedColdStartSeconds,
                $"API server {server.Version}; routed and ready for events after {Figure.Text(routed.TotalSeconds, "s")}", "s"),
            Figure.AtMost("one apply to routed, p99", Sample.Percentile(routes, 99) / 1000.0, WantedRoutedMilliseconds,
                $"p50 {Figure.Text(Sample.Percentile(routes, 50) / 1000.0, "ms")}, of {routes.Length}", "ms"),
            Figure.AtMost($"VmRSS, {count:#,0} subscriptions, {count:#,0} Secrets elsewhere", memory.Highest, WantedMegabytes,
                $"median {Figure.Text(memory.Median, "MB")}", "MB"),
        ];
    }

    /// <summary>From the answer of the API server to a change until an event finds its new route, in microseconds.</summary>
    private static async Task<List<int>> RoutesAsync(ApiServer server, Publisher publisher, int count, CancellationToken cancellation)
    {
        var times = new List<int>();
        for (var i = 0; i < Applies; i++)
        {
            var type = $"bench.change{i}";
            var clock = Stopwatch.StartNew();
            await server.PatchAsync(Namespace, $"s{i * 7919 % count}", new { spec = new { events = new { types = new[] { type } } } }, cancellation);
            while ((await publisher.PublishAsync(type, cancellation)).AsSpan().IndexOf("\"deliveries\":1"u8) < 0)
            {
                if (clock.Elapsed > Patience)
                    throw new TimeoutException($"The change of s{i * 7919 % count} has not come into force.");
                await Task.Delay(RoutePoll, TimeProvider.System, cancellation);
            }
            times.Add((int)clock.Elapsed.TotalMicroseconds);
        }
        return times;
    }

    /// <summary>Suspended, so that what is published stays where it is.</summary>
    private static WebhookSubscription Subscription(int i) => new()
    {
        Metadata = new V1ObjectMeta { Name = $"s{i}", NamespaceProperty = Namespace },
        Spec = new WebhookSubscriptionSpec
        {
            Suspend = true,
            Endpoint = new EndpointSpec { Url = $"https://partner{i.ToString(CultureInfo.InvariantCulture)}.example/hooks" },
            Events = new EventsSpec { Types = ["bench.none"] },
        },
    };

    private static bool IsReady(WebhookSubscription subscription) =>
        subscription.Status?.Conditions?.Any(condition => condition is { Type: ConditionTypes.Ready, Status: "True" }) == true;

    private static async Task UntilAsync(Func<Task<bool>> condition, Stopwatch clock, CancellationToken cancellation)
    {
        while (!await condition())
        {
            if (clock.Elapsed > Patience)
                throw new TimeoutException($"Not all subscriptions are Ready after {Patience.TotalMinutes} minutes.");
            await Task.Delay(Poll, TimeProvider.System, cancellation);
        }
    }
}
