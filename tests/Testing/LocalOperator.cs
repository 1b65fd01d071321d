using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using WebhookOperator.Cli;
using WebhookOperator.Engine.Delivery;

namespace WebhookOperator.Tests.Testing;

/// <summary>The whole operator in this process, in local mode on a folder of its own, with ports of its own.</summary>
internal sealed class LocalOperator : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    private readonly TempFolder _folder = new();
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { UseProxy = false });
    private readonly ConcurrentQueue<AttemptReport> _reports = new();
    private RunningOperator _running = null!;
    private Settings _settings = null!;

    public Uri Api => _running.Api;

    public Uri Metrics => _running.Metrics;

    public string StorePath => _settings.StorePath;

    /// <summary>Every attempt whose outcome is durable.</summary>
    public IReadOnlyCollection<AttemptReport> Reports => _reports;

    /// <param name="manifests">YAML; may be several documents.</param>
    /// <param name="change">Settings beyond those for a receiver on the loopback interface.</param>
    public static async Task<LocalOperator> StartAsync(string manifests, Func<Settings, Settings>? change = null)
    {
        var local = new LocalOperator();
        Directory.CreateDirectory(local._folder.File("manifests"));
        await local.ApplyAsync("resources.yaml", manifests);
        var settings = new Settings
        {
            Manifests = local._folder.File("manifests"),
            StorePath = local._folder.File("webhooks.db"),
            Listen = new Uri("http://127.0.0.1:0"),
            Metrics = new Uri("http://127.0.0.1:0"),
            AllowHttp = true,
            AllowCidrs = [System.Net.IPNetwork.Parse("127.0.0.0/8")],
            LogLevel = Microsoft.Extensions.Logging.LogLevel.Critical,
        };
        local._settings = change?.Invoke(settings) ?? settings;
        await local.LaunchAsync();
        return local;
    }

    /// <summary>A subscription in the namespace acme.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="url">Its endpoint.</param>
    /// <param name="spec">More members of the spec, as flow or block YAML indented by two.</param>
    public static string Subscription(string name, Uri url, string spec = "") => $"""
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSubscription
        metadata: {"{"} name: {name}, namespace: acme {"}"}
        spec:
          endpoint: {"{"} url: "{url}" {"}"}
        {spec}
        ---

        """;

    /// <summary>Writes a manifest; it comes into force by itself.</summary>
    public Task ApplyAsync(string file, string yaml) => File.WriteAllTextAsync(Path.Combine(_folder.File("manifests"), file), yaml);

    /// <summary>Stops gracefully and starts again on the same store and, unless the settings say otherwise, new ports.</summary>
    public async Task RestartAsync(Func<Settings, Settings>? change = null)
    {
        await _running.DisposeAsync();
        _settings = change?.Invoke(_settings) ?? _settings;
        await LaunchAsync();
    }

    /// <summary>Publishes in binary mode, and gives the answer.</summary>
    public Task<Answered> PublishAsync(string body, string id, string type = "com.acme.test", string @namespace = "acme")
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Api, $"/v1/namespaces/{@namespace}/events"))
        {
            Content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue("application/json")),
        };
        request.Headers.Add("ce-specversion", "1.0");
        request.Headers.Add("ce-id", id);
        request.Headers.Add("ce-source", "/test");
        request.Headers.Add("ce-type", type);
        return SendAsync(request);
    }

    public Task<Answered> GetAsync(string path) => SendAsync(new HttpRequestMessage(HttpMethod.Get, new Uri(Api, path)));

    public Task<Answered> PostAsync(string path, string body, string contentType = "application/json") =>
        SendAsync(new HttpRequestMessage(HttpMethod.Post, new Uri(Api, path))
        {
            Content = new StringContent(body, Encoding.UTF8) { Headers = { ContentType = MediaTypeHeaderValue.Parse(contentType) } },
        });

    public async Task<Answered> SendAsync(HttpRequestMessage request)
    {
        using (request)
        {
            using var response = await _http.SendAsync(request, CancellationToken.None);
            var text = await response.Content.ReadAsStringAsync();
            return new Answered((int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, text, response.Headers);
        }
    }

    /// <summary>The text that Prometheus would scrape.</summary>
    public async Task<string> ScrapeAsync() =>
        (await SendAsync(new HttpRequestMessage(HttpMethod.Get, new Uri(Metrics, "/metrics")))).Text;

    /// <summary>Asks again and again until the answer is as wanted; fails after a deadline of 30 s.</summary>
    public static async Task UntilAsync(Func<Task<bool>> condition)
    {
        var clock = Stopwatch.StartNew();
        while (!await condition())
        {
            if (clock.Elapsed > Deadline)
                throw new TimeoutException($"Not reached within {Deadline.TotalSeconds} s.");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _running.DisposeAsync();
        _http.Dispose();
        _folder.Dispose();
    }

    private async Task LaunchAsync() =>
        _running = await OperatorHost.LaunchAsync(_settings, _reports.Enqueue, CancellationToken.None);
}

/// <summary>An answer of the API.</summary>
internal sealed record Answered(int Status, string? ContentType, string Text, HttpResponseHeaders Headers)
{
    public JsonNode Json => JsonNode.Parse(Text)!;

    public string Detail => (string)Json["detail"]!;
}
