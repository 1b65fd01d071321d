using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace WebhookOperator.Engine.Http;

/// <summary>HTTP as every request of the engine needs it: follows no redirect, uses no proxy, keeps no cookie, unpacks nothing.</summary>
internal static class HttpTransport
{
    /// <summary>A connection is made anew after this long, so that a change of DNS is followed.</summary>
    private static readonly TimeSpan ConnectionLifetime = TimeSpan.FromMinutes(5);

    /// <summary>The purpose that a server's certificate must be fit for (RFC 5280, 4.2.1.12).</summary>
    private static readonly Oid ServerAuthentication = new("1.3.6.1.5.5.7.3.1");

    public static string UserAgent { get; } =
        $"WebhookOperator/{typeof(HttpTransport).Assembly.GetName().Version!.ToString(3)}";

    /// <summary>The first in HTTP/2 that the server speaks for https; 1.1 without TLS.</summary>
    public static HttpRequestMessage NewRequest(Uri url, HttpContent content) => new(HttpMethod.Post, url)
    {
        Content = content,
        Version = url.Scheme == Uri.UriSchemeHttps ? HttpVersion.Version20 : HttpVersion.Version11,
        VersionPolicy = HttpVersionPolicy.RequestVersionOrLower,
    };

    /// <param name="connect">Opens a connection. Where it gives an <see cref="SslStream"/>, TLS is its own; else it is the system's.</param>
    public static HttpMessageInvoker New(Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>> connect) => new(new SocketsHttpHandler
    {
        ActivityHeadersPropagator = null,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectCallback = connect,
        EnableMultipleHttp2Connections = true,
        MaxResponseDrainSize = 0,
        PooledConnectionLifetime = ConnectionLifetime,
        SslOptions = new SslClientAuthenticationOptions
        {
            CertificateChainPolicy = NewChainPolicy(),
            RemoteCertificateValidationCallback = ServerCertificate.Validate,
        },
        UseCookies = false,
        UseProxy = false,
    });

    /// <summary>
    /// How certificates are judged. Missing ones are not downloaded: the links are in the server's own
    /// certificate, and requests to them would pass by the address guard.
    /// </summary>
    public static X509ChainPolicy NewChainPolicy() => new()
    {
        ApplicationPolicy = { ServerAuthentication },
        DisableCertificateDownloads = true,
        RevocationMode = X509RevocationMode.NoCheck,
    };
}
