using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Http;

/// <summary>Connections by TLS with settings of their own, and the certificates that they are made with.</summary>
internal sealed class TlsTransport : IDisposable
{
    private static readonly List<SslApplicationProtocol> Protocols = [SslApplicationProtocol.Http2, SslApplicationProtocol.Http11];

    private readonly GuardedConnector _connector;
    private readonly X509Certificate2Collection _authorities = [];
    private readonly X509Certificate2Collection _chain = [];
    private readonly X509Certificate2? _identity;
    private readonly SslStreamCertificateContext? _presented;
    private readonly RemoteCertificateValidationCallback _validate;
    private readonly string? _serverName;

    /// <param name="connector">Opens the connections.</param>
    /// <param name="settings">Found usable when they were made.</param>
    /// <exception cref="CryptographicException">They are not.</exception>
    public TlsTransport(GuardedConnector connector, TlsSettings settings)
    {
        _connector = connector;
        _serverName = settings.ServerName;
        _validate = ServerCertificate.Validate;
        if (settings.Authorities is { } authorities)
        {
            if (!PemCertificates.TryRead(authorities, out var read, out var error))
                throw new CryptographicException($"The authorities' text {error}.");
            _authorities = read;
            _validate = (sender, certificate, chain, errors) => ServerCertificate.Validate(sender, certificate, chain, errors, read);
        }
        if (settings is { Certificate: { } certificate, Key: { } key })
        {
            if (!PemCertificates.TryRead(certificate, out var chain, out var error))
                throw new CryptographicException($"The client certificate's text {error}.");
            _chain = chain;
            if (!PemCertificates.TryAddKey(chain[0], key, out _identity, out error))
                throw new CryptographicException($"The client certificate's key {error}.");
            _presented = SslStreamCertificateContext.Create(_identity, chain, offline: true);
        }
        Invoker = HttpTransport.New(ConnectAsync);
    }

    public HttpMessageInvoker Invoker { get; }

    /// <summary>Not before the last request has ended.</summary>
    public void Dispose()
    {
        Invoker.Dispose();
        _authorities.Dispose();
        _chain.Dispose();
        _identity?.Dispose();
    }

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        // The handler would take the name to verify from the URL, so TLS is done here.
        var tls = new SslStream(await _connector.ConnectAsync(context, cancellation));
        try
        {
            await tls.AuthenticateAsClientAsync(Options(_serverName ?? context.DnsEndPoint.Host), cancellation);
            return tls;
        }
        catch (Exception e)
        {
            await tls.DisposeAsync();
            if (e is IOException)
                throw new AuthenticationException(e.Message, e);
            throw;
        }
    }

    private SslClientAuthenticationOptions Options(string host)
    {
        var policy = HttpTransport.NewChainPolicy();
        if (_authorities.Count > 0)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(_authorities);
        }
        return new SslClientAuthenticationOptions
        {
            // A session that is resumed was set up with whatever was in force then.
            AllowTlsResume = false,
            ApplicationProtocols = Protocols,
            CertificateChainPolicy = policy,
            ClientCertificateContext = _presented,
            RemoteCertificateValidationCallback = _validate,
            TargetHost = host,
        };
    }
}
