using System.Globalization;
using System.Security.Cryptography.X509Certificates;
using WebhookOperator.Api;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Reconcile;

/// <summary>Resolves those parts of an endpoint's spec that take more than a header: OAuth2 and TLS.</summary>
internal static class DestinationAuth
{
    /// <summary>The keys of a Secret of type kubernetes.io/tls.</summary>
    private const string CertificateKey = "tls.crt";
    private const string PrivateKey = "tls.key";

    /// <summary>Null if the spec has none, or there is an obstacle, which the resolution then holds.</summary>
    /// <param name="spec">As the checks let it through.</param>
    /// <param name="resolution">Looks up the client secret.</param>
    /// <param name="allowHttp">Whether the token endpoint may be reached by plain http.</param>
    public static OAuth2Client? OAuth2(OAuth2Spec? spec, Resolution resolution, bool allowHttp)
    {
        if (spec is null)
            return null;
        var url = new Uri(spec.TokenUrl!);
        if (url.Scheme != Uri.UriSchemeHttps && !allowHttp)
        {
            resolution.Fail("InsecureTokenUrl",
                "spec.endpoint.auth.oauth2.tokenUrl must be https, since the client secret is sent there; plain http only if the operator runs with --allow-http.",
                stalled: true);
        }
        var secret = resolution.Text(spec.ClientSecretRef!);
        if (secret is { Length: 0 })
        {
            resolution.FailSecret("EmptyClientSecret",
                $"The key {spec.ClientSecretRef!.Key} of the Secret {spec.ClientSecretRef.Name} is empty; it must hold the client secret.", stalled: true);
        }
        return string.IsNullOrEmpty(secret) ? null : new OAuth2Client(
            url, spec.ClientId!, secret, spec.Scopes is { Count: > 0 } scopes ? string.Join(' ', scopes) : null, spec.Audience);
    }

    /// <summary>Null if the spec has nothing of it, or there is an obstacle, which the resolution then holds.</summary>
    /// <param name="spec">As the checks let it through.</param>
    /// <param name="url">The receiver's; null if it can't be resolved.</param>
    /// <param name="resolution">Looks up what the spec names.</param>
    /// <param name="now">The client's certificate must be valid then; a time at which that changes is told to the resolution.</param>
    public static TlsSettings? Tls(TlsSpec? spec, Uri? url, Resolution resolution, DateTimeOffset now)
    {
        if (spec is null or { CaSecretRef: null, ClientCertificateSecretRef: null, ServerName: null })
            return null;
        // A URL in the spec itself has been checked.
        if (url is not null && url.Scheme != Uri.UriSchemeHttps)
            resolution.Fail("InvalidSpec", "spec.endpoint.tls must be left out where the receiver is reached by http; use https for the endpoint.", stalled: true);
        var authorities = spec.CaSecretRef is { } ca ? Authorities(ca, resolution) : null;
        var (certificate, key) = spec.ClientCertificateSecretRef?.Name is { } name ? Client(name, resolution, now) : (null, null);
        return new TlsSettings(authorities, certificate, key, spec.ServerName);
    }

    private static string? Authorities(SecretKeyReference reference, Resolution resolution)
    {
        if (resolution.Text(reference) is not { } pem)
            return null;
        if (PemCertificates.TryRead(pem, out var certificates, out var error))
            certificates.Dispose();
        else
            resolution.FailSecret("InvalidCertificate", Told(reference, error), stalled: true);
        return pem;
    }

    private static (string? Certificate, string? Key) Client(string secret, Resolution resolution, DateTimeOffset now)
    {
        var certificateAt = new SecretKeyReference { Name = secret, Key = CertificateKey };
        var keyAt = new SecretKeyReference { Name = secret, Key = PrivateKey };
        if (resolution.Text(certificateAt) is not { } certificate || resolution.Text(keyAt) is not { } key)
            return (null, null);
        if (!PemCertificates.TryRead(certificate, out var chain, out var error))
        {
            resolution.FailSecret("InvalidCertificate", Told(certificateAt, error), stalled: true);
            return (null, null);
        }
        if (PemCertificates.TryAddKey(chain[0], key, out var identity, out error))
            identity.Dispose();
        else
            resolution.FailSecret("InvalidPrivateKey", Told(keyAt, error), stalled: true);
        CheckTime(chain[0], certificateAt, resolution, now);
        chain.Dispose();
        return (certificate, key);
    }

    private static void CheckTime(X509Certificate2 certificate, SecretKeyReference at, Resolution resolution, DateTimeOffset now)
    {
        var (from, to) = (Utc(certificate.NotBefore), Utc(certificate.NotAfter));
        if (now > to)
            resolution.FailSecret("CertificateExpired", Told(at, $"holds a certificate that expired on {Text(to)}"), stalled: true);
        else if (now < from)
            resolution.FailSecret("CertificateNotYetValid", Told(at, $"holds a certificate that is not valid before {Text(from)}"), stalled: false);
        if (now <= to)
            resolution.LookAgainAt(now < from ? from : to + TimeSpan.FromSeconds(1));
    }

    private static string Told(SecretKeyReference at, string error) => $"The key {at.Key} of the Secret {at.Name} {error}.";

    private static DateTimeOffset Utc(DateTime local) => new(local.ToUniversalTime());

    private static string Text(DateTimeOffset time) => time.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
