using System.Net.Sockets;
using System.Security.Authentication;
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
                case AuthenticationException:
                    return Failed(ErrorClass.Tls, $"TLS with {url.Authority} failed: {TlsReason(e)}");
                case SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain or SocketError.NoRecovery }:
                    return Failed(ErrorClass.Dns, $"The name {url.IdnHost} could not be resolved: {e.Message}.");
                case SocketException { SocketErrorCode: SocketError.ConnectionRefused }:
                    return Failed(ErrorClass.ConnectionRefused, $"{url.Authority} refused the connection: nothing listens there.");
                case SocketException:
                    return Failed(ErrorClass.ConnectionFailed, $"The connection to {url.Authority} failed: {e.Message}.");
            }
        }
        var reason = exception.HttpRequestError switch
        {
            HttpRequestError.InvalidResponse => "the answer was not HTTP",
            HttpRequestError.ResponseEnded => "the receiver closed it without an answer",
            HttpRequestError.ConfigurationLimitExceeded => "the answer's headers are larger than 64 KiB",
            HttpRequestError.SecureConnectionError => "TLS could not be established; the receiver may not speak https on this port",
            _ => (exception.InnerException ?? exception).Message,
        };
        return Failed(
            exception.HttpRequestError == HttpRequestError.SecureConnectionError ? ErrorClass.Tls : ErrorClass.ConnectionFailed,
            $"The connection to {url.Authority} failed: {reason.TrimEnd('.')}.");
    }

    /// <summary>The beginning of what a receiver said, which may be long.</summary>
    public static string? Shorten(string? text) => text?.Length > LongestQuote ? $"{text.AsSpan(0, LongestQuote)}…" : text;

    private static SendResult Failed(ErrorClass error, string message) => new() { Error = error, Message = message };

    private static string TlsReason(Exception e) => e switch
    {
        CertificateRefusedException => e.Message,
        _ when e.Message.StartsWith("Cannot determine the frame size", StringComparison.Ordinal) =>
            "the answer was not TLS, so the receiver does not speak https on this port.",
        _ => $"{(e.InnerException?.Message ?? e.Message).TrimEnd('.')}.",
    };
}
