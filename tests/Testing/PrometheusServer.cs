using System.Globalization;
using System.Text.Json.Nodes;

namespace WebhookOperator.Tests.Testing;

/// <summary>A real Prometheus with a folder and a port of its own.</summary>
internal sealed class PrometheusServer : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { UseProxy = false });
    private readonly Uri _url = new($"http://127.0.0.1:{Ports.Free()}");
    private ChildProcess? _process;

    /// <param name="target">Whose <c>/metrics</c> to scrape, twice a second, under the job <c>webhook-operator</c>.</param>
    /// <param name="rules">A file of rules.</param>
    public static async Task<PrometheusServer> StartAsync(Uri target, string rules)
    {
        var server = new PrometheusServer();
        var config = server._folder.File("prometheus.yaml");
        // As the chart has it: the operator's own label namespace must not give way to that of its pod.
        await File.WriteAllTextAsync(config, $"""
            global: {"{"} scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s {"}"}
            rule_files: [ {rules} ]
            scrape_configs:
              - job_name: webhook-operator
                honor_labels: true
                static_configs: [ {"{"} targets: [ "{target.Authority}" ] {"}"} ]
            """);
        server._process = await ChildProcess.StartAsync(await DebianProgram.Prometheus.PathAsync(),
        [
            $"--config.file={config}", $"--storage.tsdb.path={server._folder.File("data")}",
            $"--web.listen-address={server._url.Authority}", "--log.level=error",
        ]);
        await server.UntilAsync(async () => await server.AnswersAsync(), "Prometheus is ready");
        return server;
    }

    /// <summary>What <c>/api/v1/…</c> answers under <c>data</c>; throws with its words if it is an error.</summary>
    public async Task<JsonNode> GetAsync(string path, params (string Name, string Value)[] query)
    {
        var parameters = string.Join('&', query.Select(p => $"{p.Name}={Uri.EscapeDataString(p.Value)}"));
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_url, $"/api/v1/{path}?{parameters}"));
        using var response = await _http.SendAsync(request, CancellationToken.None);
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        return (string?)answer["status"] == "success" ? answer["data"]!
            : throw new InvalidOperationException($"{answer["error"]} in {string.Join(' ', query.Select(p => p.Value))}");
    }

    /// <summary>The series that an instant query gives now.</summary>
    public async Task<IReadOnlyList<JsonNode>> QueryAsync(string expression)
    {
        var data = await GetAsync("query", ("query", expression));
        return [.. data["result"]!.AsArray().Select(series => series!)];
    }

    /// <summary>The series that a query gives over the last minutes.</summary>
    public async Task<IReadOnlyList<JsonNode>> QueryRangeAsync(string expression)
    {
        var now = TimeProvider.System.GetUtcNow();
        var data = await GetAsync("query_range", ("query", expression), ("step", "1"),
            ("start", Seconds(now.AddMinutes(-5))), ("end", Seconds(now)));
        return [.. data["result"]!.AsArray().Select(series => series!)];

        static string Seconds(DateTimeOffset time) => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
    }

    public Task UntilAsync(Func<Task<bool>> condition, string what) => Wait.UntilAsync(
        async () => !_process!.HasExited && await condition(),
        () => _process!.HasExited ? $"{what}; Prometheus has ended:\n{_process.Output}" : what);

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
            await _process.DisposeAsync();
        _http.Dispose();
        _folder.Dispose();
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_url, "/-/ready"));
            using var response = await _http.SendAsync(request, CancellationToken.None);
            return response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
