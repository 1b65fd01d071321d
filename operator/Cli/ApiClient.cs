using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace WebhookOperator.Cli;

/// <summary>Calls the HTTP API of a running operator, and turns each failure into a sentence.</summary>
internal sealed class ApiClient : IDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(100);

    private readonly HttpMessageInvoker _http;
    private readonly Uri _server;
    private readonly string? _token;
    private readonly TimeSpan _patience;

    /// <param name="server">Where the operator is.</param>
    /// <param name="token">For the header Authorization; null for none.</param>
    /// <param name="patience">For one whole answer. Default: 100 s.</param>
    public ApiClient(Uri server, string? token, TimeSpan? patience = null)
    {
        _http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = ConnectTimeout,
            // A proxy, if the environment names one, can't reach this machine's loopback.
            UseProxy = !server.IsLoopback,
        });
        _server = new Uri(server.AbsoluteUri.TrimEnd('/') + "/");
        _token = token;
        _patience = patience ?? DefaultPatience;
    }

    public void Dispose() => _http.Dispose();

    /// <param name="path">Relative, segments escaped.</param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="VerbFailedException">No answer, or not one of 2xx with JSON.</exception>
    public Task<JsonNode> GetAsync(string path, CancellationToken cancellation) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Get, path), cancellation);

    /// <inheritdoc cref="GetAsync"/>
    public Task<JsonNode> PostAsync(string path, JsonNode? body, CancellationToken cancellation) =>
        SendAsync(
            new HttpRequestMessage(HttpMethod.Post, path)
            {
                Content = new StringContent(body?.ToJsonString() ?? "{}", Encoding.UTF8, "application/json"),
            },
            cancellation);

    /// <param name="request">Its address is relative to the server.</param>
    /// <param name="cancellation">Ends the call.</param>
    /// <exception cref="VerbFailedException">No answer, or not one of 2xx with JSON.</exception>
    public async Task<JsonNode> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        using (request)
        {
            request.RequestUri = new Uri(_server, request.RequestUri!);
            if (_token is not null)
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _token);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(_patience);
            try
            {
                using var response = await _http.SendAsync(request, limit.Token);
                var body = await response.Content.ReadAsStringAsync(limit.Token);
                return response.IsSuccessStatusCode
                    ? JsonNode.Parse(body) ?? throw new VerbFailedException($"{request.RequestUri} answered with nothing.")
                    : throw new VerbFailedException(Refusal(response, body), transient: IsTransient(response.StatusCode));
            }
            catch (HttpRequestException e)
            {
                throw new VerbFailedException(Unreachable(e), transient: true);
            }
            catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
            {
                // No connection is what the address of a pod that is gone looks like for a while.
                throw new VerbFailedException(
                    e.InnerException is TimeoutException
                        ? $"{_server} can't be reached: no connection within {ConnectTimeout.TotalSeconds} s. Check --server and the network in between."
                        : $"{_server} did not answer within {_patience.TotalSeconds} s.",
                    transient: true);
            }
            catch (JsonException)
            {
                throw new VerbFailedException($"{request.RequestUri} answered, but not with JSON: is it a webhook-operator? "
                    + "Check --server.");
            }
        }
    }

    private static bool IsTransient(HttpStatusCode status) => status is HttpStatusCode.TooManyRequests
        or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    private string Unreachable(HttpRequestException e)
    {
        var why = e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionRefused } ? "connection refused" : e.Message;
        return $"No operator answers at {_server} ({why}). Start one with '{CommandLine.Program} run --manifests DIR', or name "
            + $"another with --server or {ClientOptions.ServerVariable}.";
    }

    /// <summary>The detail of the problem (RFC 9457) that came, or else what is known of the answer.</summary>
    private string Refusal(HttpResponseMessage response, string body)
    {
        var status = $"{(int)response.StatusCode} {response.ReasonPhrase}";
        var wait = response.Headers.RetryAfter?.Delta is { } delta ? $" Try again in {delta.TotalSeconds:0} s." : "";
        var token = response.StatusCode == HttpStatusCode.Unauthorized && _token is null
            ? " Give a token with --token-file." : "";
        try
        {
            if (JsonNode.Parse(body) is JsonObject problem && (problem["detail"] ?? problem["title"]) is { } detail)
                return $"The operator answered {status}: {detail}{wait}{token}";
        }
        catch (JsonException)
        {
            // Not ours: a proxy, or another program.
        }
        return $"{_server} answered {status} without saying why: is it a webhook-operator? Check --server.{wait}{token}";
    }
}
