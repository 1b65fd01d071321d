using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Http;

/// <summary>Sends one delivery as one HTTP request.</summary>
internal sealed class Sender : IDisposable
{
    /// <summary>Of a response body, for the delivery log.</summary>
    public const int KeptBytes = 4 * 1024;

    /// <summary>Of a response body, before the connection is given up instead.</summary>
    private const int ReadBytes = 16 * 1024;

    /// <summary>Visible ASCII, space and tab (RFC 9110, section 5.5).</summary>
    private static readonly SearchValues<char> Sendable = SearchValues.Create(
        [.. Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (char)c), '\t']);

    private readonly HttpMessageInvoker _guarded;
    private readonly HttpMessageInvoker _cluster;
    private readonly Destinations _destinations;
    private readonly TimeProvider _time;

    /// <param name="guard">Judges the address of every endpoint; those of cluster services as <see cref="AddressGuard.ForServices"/> says.</param>
    /// <param name="time">For the timestamp that is signed.</param>
    public Sender(AddressGuard guard, TimeProvider time)
    {
        var (guarded, cluster) = (new GuardedConnector(guard), new GuardedConnector(guard.ForServices()));
        _guarded = HttpTransport.New(guarded.ConnectAsync);
        _cluster = HttpTransport.New(cluster.ConnectAsync);
        _destinations = new Destinations(guarded, cluster, _guarded, time);
        _time = time;
    }

    /// <inheritdoc cref="Destinations.Count"/>
    public (int Transports, int Tokens) Held => _destinations.Count;

    /// <summary>
    /// Keeps what requests to the subscription need beyond one of them. To be told of each that is new or has
    /// changed; one that it was not told of is sent to all the same, with a connection and a token of its own.
    /// </summary>
    public void Keep(Subscription subscription) => _destinations.Keep(subscription.Uid, subscription.Endpoint);

    /// <summary>The subscription is gone.</summary>
    public void Forget(string uid) => _destinations.Keep(uid, null);

    /// <summary>
    /// Sends, and reads the answer. Once status and headers of an answer are there, the result stands, even if
    /// the body is then cut off by <paramref name="cancellation"/>.
    /// </summary>
    /// <exception cref="OperationCanceledException">Cancelled before an answer came.</exception>
    public Task<SendResult> SendAsync(Subscription subscription, PendingDelivery delivery, CancellationToken cancellation)
    {
        var endpoint = subscription.Endpoint
            ?? throw new InvalidOperationException($"{subscription.Name} has no endpoint; its lane must hold.");
        // Most endpoints have neither, and pay nothing for those that do.
        return endpoint is { Tls: null, OAuth2: null }
            ? SendAsync(endpoint, Invoker(endpoint), null, delivery, cancellation)
            : SendWithCredentialsAsync(endpoint, delivery, cancellation);
    }

    /// <summary>
    /// The 401 of a receiver ends the attempt, since an attempt is one request; the next has another token. The
    /// token is waited for through half the attempt's time at most, so that the request keeps the other.
    /// </summary>
    private async Task<SendResult> SendWithCredentialsAsync(Endpoint endpoint, PendingDelivery delivery, CancellationToken cancellation)
    {
        using var transport = endpoint.Tls is { } tls ? _destinations.Transport(endpoint, tls) : null;
        var invoker = transport?.Value.Invoker ?? Invoker(endpoint);
        if (endpoint.OAuth2 is not { } client)
            return await SendAsync(endpoint, invoker, null, delivery, cancellation);
        using var tokens = _destinations.Tokens(client);
        TokenAnswer answer;
        try
        {
            answer = await tokens.Value.GetAsync().WaitAsync(endpoint.Timeout / 2, _time, cancellation);
        }
        catch (TimeoutException)
        {
            return NoToken($"The token endpoint {client.TokenUrl.Authority} did not answer within {endpoint.Timeout.TotalSeconds / 2:0.###} s.");
        }
        if (!answer.Succeeded)
            return NoToken(answer.Fault);
        var result = await SendAsync(endpoint, invoker, answer.Token, delivery, cancellation);
        if (result.StatusCode != (int)HttpStatusCode.Unauthorized)
            return result;
        tokens.Value.Refuse(answer);
        return result with { Message = $"{result.Message} The next attempt uses another access token." };
    }

    private static SendResult NoToken(string fault) => new() { Error = ErrorClass.OAuth2, Message = fault };

    private HttpMessageInvoker Invoker(Endpoint endpoint) => endpoint.IsClusterService ? _cluster : _guarded;

    private async Task<SendResult> SendAsync(
        Endpoint endpoint, HttpMessageInvoker invoker, string? token, PendingDelivery delivery, CancellationToken cancellation)
    {
        if (!Payload.TryBuild(delivery.Event, endpoint.Format, out var payload, out var fault))
            return new SendResult { Error = ErrorClass.Payload, Message = fault };
        using var request = NewRequest(endpoint, token, delivery, payload);
        if (UnsendableHeader(request) is { } header)
            return new SendResult
            {
                Error = ErrorClass.Payload,
                Message = $"The header {header} has a value that HTTP can't carry: a line break, another control character, or not ASCII.",
            };
        HttpResponseMessage response;
        try
        {
            response = await invoker.SendAsync(request, cancellation);
        }
        catch (HttpRequestException e)
        {
            cancellation.ThrowIfCancellationRequested();
            return SendFailure.Of(e, endpoint.Url);
        }
        using (response)
        {
            var body = await ReadBodyAsync(response, cancellation);
            return response.IsSuccessStatusCode
                ? new SendResult { StatusCode = (int)response.StatusCode, Body = body }
                : new SendResult
                {
                    StatusCode = (int)response.StatusCode,
                    Error = ErrorClass.HttpStatus,
                    Message = Describe(response),
                    RetryAfter = RetryAfter(response),
                    Body = body,
                };
        }
    }

    public void Dispose()
    {
        _destinations.Dispose();
        _guarded.Dispose();
        _cluster.Dispose();
    }

    private HttpRequestMessage NewRequest(Endpoint endpoint, string? token, PendingDelivery delivery, Payload payload)
    {
        var id = delivery.Event.Id.ToString();
        var timestamp = _time.GetUtcNow().ToUnixTimeSeconds();
        var content = new ReadOnlyMemoryContent(payload.Body);
        var request = HttpTransport.NewRequest(endpoint.Url, content);
        if (payload.ContentType is not null)
            content.Headers.TryAddWithoutValidation("content-type", payload.ContentType);
        var headers = request.Headers;
        headers.TryAddWithoutValidation("user-agent", HttpTransport.UserAgent);
        headers.TryAddWithoutValidation("webhook-id", id);
        headers.TryAddWithoutValidation("webhook-timestamp", timestamp.ToString(CultureInfo.InvariantCulture));
        if (!endpoint.SigningKeys.IsEmpty)
            headers.TryAddWithoutValidation("webhook-signature", Signer.Sign(endpoint.SigningKeys, id, timestamp, payload.Body.Span));
        foreach (var (name, value) in payload.Headers)
            headers.TryAddWithoutValidation(name, value);
        foreach (var (name, value) in delivery.Event.Event.Extensions)
            if (name is "traceparent" or "tracestate" && IsSendable(value))
                headers.TryAddWithoutValidation(name, value);
        if (token is not null)
            headers.TryAddWithoutValidation("authorization", $"Bearer {token}");
        foreach (var (name, value) in endpoint.Headers)
            if (!ReservedHeaders.Contains(name) && !headers.TryAddWithoutValidation(name, value))
                content.Headers.TryAddWithoutValidation(name, value);
        return request;
    }

    /// <summary>
    /// A value with a line break would add lines to the request; the event's content type and the subscription's
    /// own headers come from outside.
    /// </summary>
    private static string? UnsendableHeader(HttpRequestMessage request) =>
        UnsendableHeader(request.Headers.NonValidated) ?? UnsendableHeader(request.Content!.Headers.NonValidated);

    private static string? UnsendableHeader(HttpHeadersNonValidated headers)
    {
        foreach (var (name, values) in headers)
            foreach (var value in values)
                if (!IsSendable(value))
                    return name;
        return null;
    }

    private static bool IsSendable(string value) => value.AsSpan().IndexOfAnyExcept(Sendable) < 0;

    /// <summary>What the receiver has to say, as far as it says so in time and briefly.</summary>
    private static async ValueTask<ReadOnlyMemory<byte>> ReadBodyAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        // The first has none, and asking for its length costs more than it would seem.
        if (response.StatusCode == HttpStatusCode.NoContent || response.Content.Headers.ContentLength == 0)
            return default;
        var buffer = ArrayPool<byte>.Shared.Rent(ReadBytes);
        var length = 0;
        try
        {
            using var stream = await response.Content.ReadAsStreamAsync(cancellation);
            while (length < ReadBytes)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(length, ReadBytes - length), cancellation);
                if (read == 0)
                    break;
                length += read;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or HttpRequestException)
        {
            // The answer is there; that its body breaks off changes nothing.
        }
        var kept = length == 0 ? null : buffer.AsSpan(0, Math.Min(length, KeptBytes)).ToArray();
        ArrayPool<byte>.Shared.Return(buffer);
        return kept;
    }

    private static string Describe(HttpResponseMessage response)
    {
        var status = $"The receiver answered {(int)response.StatusCode} {SendFailure.Shorten(response.ReasonPhrase)}".TrimEnd();
        return (int)response.StatusCode is >= 300 and < 400 && response.Headers.Location is { } location
            ? $"{status} to {SendFailure.Shorten(WithoutQuery(location))}; redirects are not followed, so the subscription must name the final URL."
            : $"{status}.";
    }

    private static string WithoutQuery(Uri location) => location.IsAbsoluteUri
        ? location.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped)
        : location.OriginalString.Split('?', '#')[0];

    private TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        var wait = response.Headers.RetryAfter switch
        {
            { Delta: { } delta } => delta,
            { Date: { } date } => date - _time.GetUtcNow(),
            _ => TimeSpan.Zero,
        };
        return wait > TimeSpan.Zero ? wait : null;
    }
}
