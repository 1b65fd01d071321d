using System.Net.Http.Json;
using WebhookOperator.Bench.Receiving;

namespace WebhookOperator.Bench.Processes;

/// <summary>This program once more, as the receiver of all that is sent.</summary>
internal sealed class ReceiverProcess : IAsyncDisposable
{
    private readonly HttpMessageInvoker _http;

    private ReceiverProcess(HttpMessageInvoker http, ChildProcess process, Uri url) => (_http, Process, Url) = (http, process, url);

    public ChildProcess Process { get; }

    public Uri Url { get; }

    /// <summary>Arrivals here are counted, and timed where the body has a stamp.</summary>
    public Uri Hook => new(Url, ReceiverProgram.HookPath);

    /// <param name="http">For questions to it.</param>
    /// <param name="signingKey">With which it checks signatures.</param>
    public static async Task<ReceiverProcess> StartAsync(HttpMessageInvoker http, string signingKey)
    {
        var process = new ChildProcess(typeof(ReceiverProcess).Assembly.Location, ReceiverProgram.Verb, signingKey);
        return new ReceiverProcess(http, process, new Uri(await process.FirstLine));
    }

    /// <summary>Forgets what has arrived; what was stamped before this call is not timed any more.</summary>
    public async Task ResetAsync(CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Url, ReceiverProgram.ResetPath));
        using var response = await _http.SendAsync(request, cancellation);
        response.EnsureSuccessStatusCode();
    }

    public Task<Progress> ProgressAsync(CancellationToken cancellation) => GetAsync<Progress>(ReceiverProgram.ProgressPath, cancellation);

    public Task<Latencies> LatenciesAsync(CancellationToken cancellation) => GetAsync<Latencies>(ReceiverProgram.LatenciesPath, cancellation);

    public ValueTask DisposeAsync() => Process.DisposeAsync();

    private async Task<T> GetAsync<T>(string path, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(Url, path));
        using var response = await _http.SendAsync(request, cancellation);
        return (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<T>(cancellation))!;
    }
}
