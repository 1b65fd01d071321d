using System.Formats.Asn1;
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

    /// <summary>A self-signed certificate with names that no honest authority would write.</summary>
    /// <param name="common">The common name of subject and issuer, any text.</param>
    /// <param name="host">The DNS name that it is for, any ASCII characters.</param>
    public static X509Certificate2 Named(string common, string host)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName(common);
        var request = new CertificateRequest(name.Build(), key, HashAlgorithmName.SHA256);
        var names = new AsnWriter(AsnEncodingRules.DER);
        using (names.PushSequence())
            names.WriteCharacterString(UniversalTagNumber.IA5String, host, new Asn1Tag(TagClass.ContextSpecific, 2));
        request.CertificateExtensions.Add(new X509Extension("2.5.29.17", names.Encode(), critical: false));
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddYears(-1), now.AddYears(10));
    }
}
