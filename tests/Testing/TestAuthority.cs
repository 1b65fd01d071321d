using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace WebhookOperator.Tests.Testing;

/// <summary>A certificate authority of the test's own: issues certificates of every kind, good and bad.</summary>
internal sealed class TestAuthority : IDisposable
{
    private static readonly Oid ServerAuthentication = new("1.3.6.1.5.5.7.3.1");
    private static readonly Oid ClientAuthentication = new("1.3.6.1.5.5.7.3.2");

    private TestAuthority(X509Certificate2 certificate) => Certificate = certificate;

    /// <summary>With its key.</summary>
    public X509Certificate2 Certificate { get; }

    public string Pem => Certificate.ExportCertificatePem();

    public static TestAuthority Root(string name = "Test Root")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var now = TimeProvider.System.GetUtcNow();
        return new TestAuthority(Request(name, key).CreateSelfSigned(now.AddYears(-20), now.AddYears(20)));
    }

    /// <summary>An authority that this one vouches for.</summary>
    public TestAuthority Intermediate(string name = "Test Issuing")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var issued = Issue(Request(name, key), null, null);
        return new TestAuthority(issued.CopyWithPrivateKey(key));
    }

    /// <summary>For a server, with its key.</summary>
    /// <param name="host">The DNS name that it is for.</param>
    /// <param name="notAfter">In ten years if left out.</param>
    /// <param name="download">Where it says that its issuer's certificate can be had.</param>
    public X509Certificate2 Server(string host, DateTimeOffset? notAfter = null, Uri? download = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(host);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([ServerAuthentication], critical: false));
        if (download is not null)
            request.CertificateExtensions.Add(new X509AuthorityInformationAccessExtension(null, [download.ToString()]));
        using var issued = Issue(request, null, notAfter);
        return issued.CopyWithPrivateKey(key);
    }

    /// <summary>For a client, with a key of an elliptic curve unless another is given.</summary>
    public ClientIdentity Client(string name, AsymmetricAlgorithm? key = null, DateTimeOffset? notBefore = null, DateTimeOffset? notAfter = null)
    {
        key ??= ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = key is RSA rsa
            ? new CertificateRequest($"CN={name}", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new CertificateRequest($"CN={name}", (ECDsa)key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([ClientAuthentication], critical: false));
        using var issued = Issue(request, notBefore, notAfter);
        return new ClientIdentity(issued.ExportCertificatePem(), key);
    }

    public void Dispose() => Certificate.Dispose();

    private static CertificateRequest Request(string name, ECDsa key)
    {
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        return request;
    }

    private X509Certificate2 Issue(CertificateRequest request, DateTimeOffset? notBefore, DateTimeOffset? notAfter)
    {
        var now = TimeProvider.System.GetUtcNow();
        using var key = Certificate.GetECDsaPrivateKey()!;
        return request.Create(
            Certificate.SubjectName, X509SignatureGenerator.CreateForECDsa(key), notBefore ?? now.AddYears(-10), notAfter ?? now.AddYears(10),
            RandomNumberGenerator.GetBytes(16));
    }
}

/// <summary>A client's certificate and its key, as PEM for a Secret.</summary>
internal sealed record ClientIdentity(string CertificatePem, AsymmetricAlgorithm Key)
{
    public string Pkcs8 => Key.ExportPkcs8PrivateKeyPem();

    /// <summary>The older form of its kind: PKCS#1 or SEC 1.</summary>
    public string Traditional => Key is RSA rsa ? rsa.ExportRSAPrivateKeyPem() : ((ECDsa)Key).ExportECPrivateKeyPem();

    public string Encrypted => Key.ExportEncryptedPkcs8PrivateKeyPem(
        "passphrase", new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000));
}
