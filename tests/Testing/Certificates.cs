using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace WebhookOperator.Tests.Testing;

/// <summary>Server certificates that no one trusts, made on the spot.</summary>
internal static class Certificates
{
    /// <summary>A self-signed certificate.</summary>
    /// <param name="host">The DNS name that it is for.</param>
    /// <param name="notAfter">In the past for one that has expired; in ten years if left out.</param>
    public static X509Certificate2 SelfSigned(string host, DateTimeOffset? notAfter = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(host);
        request.CertificateExtensions.Add(names.Build());
        var end = notAfter ?? TimeProvider.System.GetUtcNow().AddYears(10);
        return request.CreateSelfSigned(end.AddYears(-20), end);
    }
}
