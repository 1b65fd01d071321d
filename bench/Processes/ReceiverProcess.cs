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

    /// <summary>Of this process, which sends, and of the receiver together.</summary>
    public TimeSpan ProcessorTimeOfEnds => Environment.CpuUsage.TotalTime + Process.ProcessorTime;

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
        using var response = await AskAsync(HttpMethod.Post, ReceiverProgram.ResetPath, cancellation);
    }

    public Task<Progress> ProgressAsync(CancellationToken cancellation) => GetAsync<Progress>(ReceiverProgram.ProgressPath, cancellation);

    public Task<Latencies> LatenciesAsync(CancellationToken cancellation) => GetAsync<Latencies>(ReceiverProgram.LatenciesPath, cancellation);

    public ValueTask DisposeAsync() => Process.DisposeAsync();

    private async Task<T> GetAsync<T>(string path, CancellationToken cancellation)
    {
        using var response = await AskAsync(HttpMethod.Get, path, cancellation);
        return (await response.Content.ReadFromJsonAsync<T>(cancellation))!;
    }

    private async Task<HttpResponseMessage> AskAsync(HttpMethod method, string path, CancellationToken cancellation)
    {
        try
        {
            using var request = new HttpRequestMessage(method, new Uri(Url, path));
            return (await _http.SendAsync(request, cancellation)).EnsureSuccessStatusCode();
        }
        catch (HttpRequestException) when (Process.HasExited)
        {
            throw new InvalidOperationException($"The receiver ended:\n{Process.Output}");
        }
    }
}
