using System.Net.Sockets;
using System.Security.Authentication;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Http;

/// <summary>Tells a failed request in one word and one sentence. Neither holds more of the URL than host and port.</summary>
internal static class SendFailure
{
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
            HttpRequestError.SecureConnectionError => "TLS could not be established; does the receiver speak https on this port?",
            _ => (exception.InnerException ?? exception).Message,
        };
        return Failed(
            exception.HttpRequestError == HttpRequestError.SecureConnectionError ? ErrorClass.Tls : ErrorClass.ConnectionFailed,
            $"The connection to {url.Authority} failed: {reason.TrimEnd('.')}.");
    }

    private static SendResult Failed(ErrorClass error, string message) => new() { Error = error, Message = message };

    private static string TlsReason(Exception e) => e.Message switch
    {
        var m when m.Contains("NotTimeValid", StringComparison.Ordinal) => "the certificate has expired or is not valid yet.",
        var m when m.Contains("RemoteCertificateNameMismatch", StringComparison.Ordinal) => "the certificate is for another host name.",
        var m when m.Contains("UntrustedRoot", StringComparison.Ordinal) || m.Contains("PartialChain", StringComparison.Ordinal) =>
            "the certificate was not issued by a trusted authority.",
        var m => $"{(e.InnerException?.Message ?? m).TrimEnd('.')}.",
    };
}
