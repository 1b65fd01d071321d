using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Http;

/// <summary>Tells a failed request in one word and one sentence. Neither holds more of the URL than host and port.</summary>
internal static class SendFailure
{
    private const int LongestQuote = 200;

    public static SendResult Of(HttpRequestException exception, Uri url)
    {
        for (Exception? e = exception; e is not null; e = e.InnerException)
        {
            switch (e)
            {
                case AddressBlockedException:
                    return Failed(ErrorClass.AddressBlocked, e.Message);
                case AuthenticationException or CryptographicException:
                    return Failed(ErrorClass.Tls, $"TLS with {url.Authority} failed: {TlsReason(e)}");
                case SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain or SocketError.NoRecovery }:
                    return Failed(ErrorClass.Dns, $"The name {url.IdnHost} could not be resolved: {e.Message}.");
                case SocketException { SocketErrorCode: SocketError.ConnectionRefused }:
                    return Failed(ErrorClass.ConnectionRefused, $"{url.Authority} refused the connection: nothing listens there.");
                case SocketException { SocketErrorCode: not (SocketError.ConnectionReset or SocketError.Shutdown) }:
                    return Failed(ErrorClass.ConnectionFailed, $"The connection to {url.Authority} failed: {e.Message}.");
            }
        }
        var reason = exception.HttpRequestError switch
        {
            _ when IsUnanswered(exception) => url.Scheme == Uri.UriSchemeHttps
                // In TLS 1.3 the client is done before the server has looked at its certificate.
                ? "the server closed it without an answer, which may mean that it wants a client certificate, or another one"
                : "the server closed it without an answer",
            HttpRequestError.InvalidResponse => "the answer was not HTTP",
            HttpRequestError.ConfigurationLimitExceeded => "the answer's headers are larger than 64 KiB",
            HttpRequestError.SecureConnectionError => "TLS could not be established; the server may not speak https on this port",
            _ => (exception.InnerException ?? exception).Message,
        };
        return Failed(
            exception.HttpRequestError == HttpRequestError.SecureConnectionError ? ErrorClass.Tls : ErrorClass.ConnectionFailed,
            $"The connection to {url.Authority} failed: {reason.TrimEnd('.')}.");
    }

    /// <summary>Closed or reset before the first of an answer, which in HTTP/2 are the server's settings.</summary>
    private static bool IsUnanswered(HttpRequestException exception)
    {
        for (Exception? e = exception; e is not null; e = e.InnerException)
            if (e is SocketException or HttpIOException { HttpRequestError: HttpRequestError.ResponseEnded }
                || e.Message.StartsWith("An HTTP/2 connection could not be established", StringComparison.Ordinal))
                return true;
        return exception.HttpRequestError == HttpRequestError.ResponseEnded;
    }

    /// <summary>The beginning of what a receiver said, which may be long. Never ends within a surrogate pair.</summary>
    public static string? Shorten(string? text)
    {
        if (text is null || text.Length <= LongestQuote)
            return text;
        var end = char.IsHighSurrogate(text[LongestQuote - 1]) ? LongestQuote - 1 : LongestQuote;
        return $"{text.AsSpan(0, end)}…";
    }

    private static SendResult Failed(ErrorClass error, string message) => new() { Error = error, Message = message };

    private static string TlsReason(Exception e)
    {
        if (e is CertificateRefusedException)
            return e.Message;
        if (e.Message.StartsWith("Cannot determine the frame size", StringComparison.Ordinal))
            return "the answer was not TLS, so the server does not speak https on this port.";
        while (e.InnerException is { } inner)
            e = inner;
        // OpenSSL's own words stand behind its code and the names of its parts.
        var words = e.Message[(e.Message.LastIndexOf("::", StringComparison.Ordinal) is var colons and >= 0 ? colons + 2 : 0)..].TrimEnd('.');
        // What a server has to say of certificates is about the client's.
        return words.Contains("alert", StringComparison.Ordinal) && (words.Contains("certificate", StringComparison.Ordinal) || words.Contains("unknown ca", StringComparison.Ordinal))
            ? $"the server does not accept the client certificate, or misses one ({words})."
            : $"{words}.";
    }
}
