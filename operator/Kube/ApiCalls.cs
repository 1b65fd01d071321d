using System.Net;
using System.Net.Http.Headers;
using k8s;

namespace WebhookOperator.Kube;

/// <summary>
/// Requests to the API server whose answers are read as bytes: over the connections and with the credentials of
/// a client, which must be a <see cref="Kubernetes"/>.
/// </summary>
internal sealed class ApiCalls(IKubernetes client, TimeProvider time)
{
    public static readonly MediaTypeHeaderValue Json = new("application/json");
    public static readonly MediaTypeHeaderValue MergePatch = new("application/merge-patch+json");
    public static readonly MediaTypeHeaderValue ApplyPatch = new("application/apply-patch+yaml");

    private const int MaxErrorBytes = 64 * 1024;

    private readonly Kubernetes _client = (Kubernetes)client;

    public Uri Server => _client.BaseUri;

    /// <summary>Sends, and returns as soon as the headers of a success are there. The caller disposes of the answer.</summary>
    /// <param name="path">Relative to the address of the server, with the query.</param>
    /// <exception cref="KubeApiException">The answer is no success.</exception>
    /// <exception cref="HttpRequestException">No answer came.</exception>
    public async Task<HttpResponseMessage> OpenAsync(
        HttpMethod method, string path, byte[]? body, MediaTypeHeaderValue? type, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, new Uri(_client.BaseUri, path)) { Version = HttpVersion.Version20 };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        if (body is not null)
            request.Content = new ByteArrayContent(body) { Headers = { ContentType = type ?? Json } };
        if (_client.Credentials is { } credentials)
            await credentials.ProcessHttpRequestAsync(request, cancellation);
        var response = await _client.HttpClient.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
        {
            var text = await ReadSomeAsync(response, cancellation);
            var after = response.Headers.RetryAfter;
            var wait = after?.Delta ?? (after?.Date is { } date ? date - time.GetUtcNow() : null);
            throw KubeApiException.From($"{method} {path.Split('?')[0]}", response.StatusCode, text, wait > TimeSpan.Zero ? wait : null);
        }
    }

    /// <summary>One request and its whole answer, within a time.</summary>
    /// <exception cref="TimeoutException">Not within the limit; the server may have done it all the same.</exception>
    /// <inheritdoc cref="OpenAsync"/>
    public async Task<T> SendAsync<T>(
        HttpMethod method, string path, byte[]? body, MediaTypeHeaderValue? type, TimeSpan limit, CancellationToken cancellation)
    {
        using var timer = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timer.Token);
        try
        {
            using var response = await OpenAsync(method, path, body, type, either.Token);
            var bytes = await response.Content.ReadAsByteArrayAsync(either.Token);
            return KubeJson.Read<T>(bytes) ?? throw new HttpRequestException($"{method} {path} was answered with nothing.");
        }
        catch (OperationCanceledException) when (timer.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"{method} {path.Split('?')[0]}: no answer within {limit.TotalSeconds} s");
        }
    }

    private static async Task<byte[]> ReadSomeAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(cancellation);
        var buffer = new byte[MaxErrorBytes];
        var length = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation);
        return buffer[..length];
    }
}
