using System.Diagnostics;
using System.Globalization;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Bench.Processes;

/// <summary>The real program, with a store of its own.</summary>
internal sealed class OperatorProcess : IAsyncDisposable
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(10);

    private readonly HttpMessageInvoker _http;
    private readonly ChildProcess _child;

    private OperatorProcess(HttpMessageInvoker http, ChildProcess child, Uri api, Uri metrics)
    {
        (_http, _child) = (http, child);
        Api = api;
        Metrics = new Uri(metrics, "/metrics");
    }

    public Uri Api { get; }

    public Uri Metrics { get; }

    /// <summary>From the start of the process until it said that it is ready.</summary>
    public TimeSpan TimeToReady { get; private set; }

    public ChildProcess Process => _child;

    /// <summary>In local mode.</summary>
    /// <param name="http">For probes and metrics.</param>
    /// <param name="folder">Holds the folder <c>manifests</c>, and the store, which may be there already.</param>
    /// <param name="cancellation">Ends the wait, and then the process too.</param>
    public static Task<OperatorProcess> StartAsync(HttpMessageInvoker http, string folder, CancellationToken cancellation) =>
        StartAsync(http, folder, ["--manifests", Path.Combine(folder, "manifests")], SqliteIn(folder), new Dictionary<string, string>(), cancellation);

    /// <summary>In local mode, on PostgreSQL.</summary>
    /// <param name="http">For probes and metrics.</param>
    /// <param name="folder">Holds the folder <c>manifests</c>.</param>
    /// <param name="own">The folder of this replica.</param>
    /// <param name="database">A connection string.</param>
    /// <param name="cancellation">Ends the wait, and then the process too.</param>
    public static Task<OperatorProcess> StartOnPostgresAsync(
        HttpMessageInvoker http, string folder, string own, string database, CancellationToken cancellation) =>
        StartAsync(
            http, own, ["--manifests", Path.Combine(folder, "manifests")], "postgres",
            new Dictionary<string, string> { [Settings.PostgresVariable] = database }, cancellation);

    /// <summary>In cluster mode, for one namespace, with a Lease of its own.</summary>
    /// <param name="http">For probes and metrics.</param>
    /// <param name="folder">For the store.</param>
    /// <param name="kubeconfig">The way to the API server.</param>
    /// <param name="namespace">Also the name of the Lease.</param>
    /// <param name="cancellation">Ends the wait, and then the process too.</param>
    public static Task<OperatorProcess> StartInClusterAsync(
        HttpMessageInvoker http, string folder, string kubeconfig, string @namespace, CancellationToken cancellation) =>
        StartAsync(
            http, Directory.CreateDirectory(folder).FullName, ["--namespace", @namespace, "--lease-name", @namespace, "--lease-namespace", @namespace],
            SqliteIn(folder), new Dictionary<string, string> { ["KUBECONFIG"] = kubeconfig }, cancellation);

    private static async Task<OperatorProcess> StartAsync(
        HttpMessageInvoker http, string folder, string[] resources, string store, IReadOnlyDictionary<string, string> variables,
        CancellationToken cancellation)
    {
        var api = new Uri($"http://127.0.0.1:{Ports.Free()}");
        var metrics = new Uri($"http://127.0.0.1:{Ports.Free()}");
        var start = Stopwatch.GetTimestamp();
        var child = new ChildProcess(
            typeof(Settings).Assembly.Location,
            [
                "run", .. resources, "--store", store,
                "--listen", api.ToString(), "--metrics", metrics.ToString(), "--allow-http", "--allow-cidr", "127.0.0.0/8",
                "--log-level", "Warning",
            ], variables, folder);
        var started = new OperatorProcess(http, child, api, metrics);
        try
        {
            await started.WaitUntilReadyAsync(new Uri(metrics, "/readyz"), cancellation);
        }
        catch
        {
            await child.DisposeAsync();
            throw;
        }
        started.TimeToReady = Stopwatch.GetElapsedTime(start);
        return started;
    }

    /// <summary>The sum over all subscriptions, as the operator tells it.</summary>
    public Task<long> PendingAsync(CancellationToken cancellation) => SumAsync("webhook_deliveries_pending{", cancellation);

    /// <summary>Of all series whose line starts so.</summary>
    public async Task<long> SumAsync(string start, CancellationToken cancellation)
    {
        var sum = 0.0;
        foreach (var line in (await ScrapeAsync(cancellation)).Split('\n'))
            if (line.StartsWith(start, StringComparison.Ordinal))
                sum += double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);
        return (long)sum;
    }

    public async Task<string> ScrapeAsync(CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Metrics);
        using var response = await _http.SendAsync(request, cancellation);
        return await response.EnsureSuccessStatusCode().Content.ReadAsStringAsync(cancellation);
    }

    public Task StopAsync() => _child.StopAsync(StopGrace);

    /// <summary>SIGKILL: what it had under way is of no more interest.</summary>
    public ValueTask DisposeAsync() => _child.DisposeAsync();

    private static string SqliteIn(string folder) => "sqlite:" + Path.Combine(Path.GetFullPath(folder), "webhooks.db");

    private async Task WaitUntilReadyAsync(Uri probe, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (!await AnswersAsync(probe, cancellation))
        {
            if (_child.HasExited)
                throw new InvalidOperationException($"The operator ended before it was ready:\n{_child.Output}");
            if (clock.Elapsed > ReadyDeadline)
                throw new TimeoutException($"The operator was not ready within {ReadyDeadline.TotalSeconds} s:\n{_child.Output}");
            await Task.Delay(Poll, TimeProvider.System, cancellation);
        }
    }

    private async Task<bool> AnswersAsync(Uri probe, CancellationToken cancellation)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, probe);
            using var response = await _http.SendAsync(request, cancellation);
            return response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
