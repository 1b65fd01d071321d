using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Http;

/// <summary>Sends one delivery as one HTTP request. Follows no redirect, uses no proxy, keeps no cookie, unpacks nothing.</summary>
internal sealed class Sender : IDisposable
{
    /// <summary>Of a response body, for the delivery log.</summary>
    public const int KeptBytes = 4 * 1024;

    /// <summary>Of a response body, before the connection is given up instead.</summary>
    private const int ReadBytes = 16 * 1024;

    /// <summary>A connection is made anew after this long, so that a change of DNS is followed.</summary>
    private static readonly TimeSpan ConnectionLifetime = TimeSpan.FromMinutes(5);

    /// <summary>Visible ASCII, space and tab (RFC 9110, section 5.5).</summary>
    private static readonly SearchValues<char> Sendable = SearchValues.Create(
        [.. Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (char)c), '\t']);

    private static readonly string UserAgent =
        $"WebhookOperator/{typeof(Sender).Assembly.GetName().Version!.ToString(3)}";

    private readonly HttpMessageInvoker _guarded;
    private readonly HttpMessageInvoker _cluster;
    private readonly TimeProvider _time;

    /// <param name="guard">Judges the address of every endpoint that is not a cluster service.</param>
    /// <param name="time">For the timestamp that is signed.</param>
    public Sender(AddressGuard guard, TimeProvider time)
    {
        _guarded = NewInvoker(new GuardedConnector(guard));
        _cluster = NewInvoker(new GuardedConnector(null));
        _time = time;
    }

    /// <summary>
    /// Sends, and reads the answer. Once status and headers of an answer are there, the result stands, even if
    /// the body is then cut off by <paramref name="cancellation"/>.
    /// </summary>
    /// <exception cref="OperationCanceledException">Cancelled before an answer came.</exception>
    public async Task<SendResult> SendAsync(Subscription subscription, PendingDelivery delivery, CancellationToken cancellation)
    {
        var endpoint = subscription.Endpoint
            ?? throw new InvalidOperationException($"{subscription.Name} has no endpoint; its lane must hold.");
        if (!Payload.TryBuild(delivery.Event, endpoint.Format, out var payload, out var fault))
            return new SendResult { Error = ErrorClass.Payload, Message = fault };
        using var request = NewRequest(endpoint, delivery, payload);
        if (UnsendableHeader(request) is { } header)
            return new SendResult
            {
                Error = ErrorClass.Payload,
                Message = $"The header {header} has a value that HTTP can't carry: a line break, another control character, or not ASCII.",
            };
        HttpResponseMessage response;
        try
        {
            response = await (endpoint.IsClusterService ? _cluster : _guarded).SendAsync(request, cancellation);
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
        _guarded.Dispose();
        _cluster.Dispose();
    }

    private static HttpMessageInvoker NewInvoker(GuardedConnector connector) => new(new SocketsHttpHandler
    {
        ActivityHeadersPropagator = null,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectCallback = connector.ConnectAsync,
        EnableMultipleHttp2Connections = true,
        MaxResponseDrainSize = 0,
        PooledConnectionLifetime = ConnectionLifetime,
        SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = ServerCertificate.Validate },
        UseCookies = false,
        UseProxy = false,
    });

    private HttpRequestMessage NewRequest(Endpoint endpoint, PendingDelivery delivery, Payload payload)
    {
        var id = delivery.Event.Id.ToString();
        var timestamp = _time.GetUtcNow().ToUnixTimeSeconds();
        var request = new HttpRequestMessage(HttpMethod.Post, endpoint.Url)
        {
            Content = new ReadOnlyMemoryContent(payload.Body),
            Version = endpoint.Url.Scheme == Uri.UriSchemeHttps ? HttpVersion.Version20 : HttpVersion.Version11,
            VersionPolicy = HttpVersionPolicy.RequestVersionOrLower,
        };
        if (payload.ContentType is not null)
            request.Content.Headers.TryAddWithoutValidation("content-type", payload.ContentType);
        var headers = request.Headers;
        headers.TryAddWithoutValidation("user-agent", UserAgent);
        headers.TryAddWithoutValidation("webhook-id", id);
        headers.TryAddWithoutValidation("webhook-timestamp", timestamp.ToString(CultureInfo.InvariantCulture));
        if (!endpoint.SigningKeys.IsEmpty)
            headers.TryAddWithoutValidation("webhook-signature", Signer.Sign(endpoint.SigningKeys, id, timestamp, payload.Body.Span));
        foreach (var (name, value) in payload.Headers)
            headers.TryAddWithoutValidation(name, value);
        foreach (var (name, value) in delivery.Event.Event.Extensions)
            if (name is "traceparent" or "tracestate" && IsSendable(value))
                headers.TryAddWithoutValidation(name, value);
        foreach (var (name, value) in endpoint.Headers)
            if (!ReservedHeaders.Contains(name) && !headers.TryAddWithoutValidation(name, value))
                request.Content.Headers.TryAddWithoutValidation(name, value);
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
    private static async Task<ReadOnlyMemory<byte>> ReadBodyAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        if (response.Content.Headers.ContentLength == 0)
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
