using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// Certificates and keys in PEM (RFC 7468), as people put them into Secrets. Errors are to be read after the
/// place that the text is from, and never hold a part of it.
/// </summary>
internal static class PemCertificates
{
    private const string CertificateLabel = "CERTIFICATE";
    private const string RsaOid = "1.2.840.113549.1.1.1";
    private const string EllipticCurveOid = "1.2.840.10045.2.1";

    /// <param name="pem">May hold other things besides, such as comments.</param>
    /// <param name="certificates">In the order of the text; at least one. The caller disposes of them.</param>
    /// <param name="error">What is wrong.</param>
    public static bool TryRead(
        string pem, [NotNullWhen(true)] out X509Certificate2Collection? certificates, [NotNullWhen(false)] out string? error)
    {
        var read = new X509Certificate2Collection();
        certificates = null;
        error = null;
        var rest = pem.AsSpan();
        while (error is null && PemEncoding.TryFind(rest, out var fields))
        {
            if (rest[fields.Label].SequenceEqual(CertificateLabel))
            {
                try
                {
                    read.Add(X509CertificateLoader.LoadCertificate(Convert.FromBase64String(rest[fields.Base64Data].ToString())));
                }
                catch (CryptographicException)
                {
                    error = $"holds a certificate that can't be read: number {read.Count + 1}";
                }
            }
            rest = rest[fields.Location.End..];
        }
        // What is not well-formed is not found at all, and a bundle without it would be another one.
        if (error is null && pem.AsSpan().Count($"-----BEGIN {CertificateLabel}-----") is var begun && begun > read.Count)
            error = $"begins {Certificates(begun)}, of which {begun - read.Count} can't be read: cut off, or not base64";
        else if (error is null && read.Count == 0)
            error = $"holds no certificate in PEM, which begins with -----BEGIN {CertificateLabel}-----";
        if (error is null)
            certificates = read;
        else
            read.Dispose();
        return error is null;
    }

    /// <param name="certificate">Whose key it is.</param>
    /// <param name="pem">PKCS#8, PKCS#1 or SEC 1, not encrypted.</param>
    /// <param name="identity">The certificate with its key. The caller disposes of it.</param>
    /// <param name="error">What is wrong.</param>
    public static bool TryAddKey(
        X509Certificate2 certificate, string pem, [NotNullWhen(true)] out X509Certificate2? identity, [NotNullWhen(false)] out string? error)
    {
        identity = null;
        error = null;
        if (IsEncrypted(pem))
        {
            error = "is encrypted; store it without a passphrase";
            return false;
        }
        if (!HasKey(pem))
        {
            error = "holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----, -----BEGIN RSA PRIVATE KEY----- or "
                + "-----BEGIN EC PRIVATE KEY-----";
            return false;
        }
        var algorithm = certificate.PublicKey.Oid.Value;
        if (algorithm is not (RsaOid or EllipticCurveOid))
        {
            error = $"is for a certificate of the algorithm {certificate.PublicKey.Oid.FriendlyName ?? algorithm}; it must be RSA or of an elliptic curve (ECDSA)";
            return false;
        }
        using var rsa = RSA.Create();
        using var curve = ECDsa.Create();
        var isRsa = TryImport(rsa, pem);
        if (!isRsa && !TryImport(curve, pem))
        {
            error = "holds a private key that can't be read";
            return false;
        }
        try
        {
            if (isRsa == algorithm is RsaOid)
                identity = isRsa ? certificate.CopyWithPrivateKey(rsa) : certificate.CopyWithPrivateKey(curve);
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            // It is the key of another certificate.
        }
        error = identity is null ? "is not the key of the first certificate" : null;
        return identity is not null;
    }

    public static void Dispose(this X509Certificate2Collection certificates)
    {
        foreach (var certificate in certificates)
            certificate.Dispose();
    }

    /// <summary>PKCS#8 says so in its label, the older forms in a line of their own (RFC 1421).</summary>
    private static bool IsEncrypted(string pem) =>
        pem.Contains("-----BEGIN ENCRYPTED PRIVATE KEY-----", StringComparison.Ordinal)
        || pem.Contains("Proc-Type: 4,ENCRYPTED", StringComparison.Ordinal);

    private static bool HasKey(string pem) =>
        pem.Contains("-----BEGIN PRIVATE KEY-----", StringComparison.Ordinal)
        || pem.Contains("-----BEGIN RSA PRIVATE KEY-----", StringComparison.Ordinal)
        || pem.Contains("-----BEGIN EC PRIVATE KEY-----", StringComparison.Ordinal);

    private static bool TryImport(AsymmetricAlgorithm algorithm, string pem)
    {
        try
        {
            algorithm.ImportFromPem(pem);
            return true;
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            return false;
        }
    }

    private static string Certificates(int count) => count == 1 ? "1 certificate" : $"{count} certificates";
}
