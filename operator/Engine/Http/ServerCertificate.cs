using System.Globalization;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace WebhookOperator.Engine.Http;

/// <summary>A server's certificate was refused; the message tells every fault, with the names and dates that show it.</summary>
internal sealed class CertificateRefusedException(string message) : AuthenticationException(message);

/// <summary>Lets only certificates through that are trusted for the host, and says in words what is wrong with others.</summary>
internal static class ServerCertificate
{
    /// <summary>So many of a certificate's names are told.</summary>
    private const int NamesTold = 3;

    /// <summary>For <see cref="SslClientAuthenticationOptions.RemoteCertificateValidationCallback"/>: trusts what the system does.</summary>
    /// <exception cref="CertificateRefusedException">In place of a bare false, which would say less.</exception>
    public static bool Validate(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors) =>
        errors == SslPolicyErrors.None
        || Refuse(((SslStream)sender).TargetHostName, certificate as X509Certificate2, chain, errors, "which is not a trusted authority");

    /// <summary>Trusts these authorities alone: roots, and others, such as the one that issues for a cluster, without what stands above them.</summary>
    /// <inheritdoc cref="Validate(object, X509Certificate?, X509Chain?, SslPolicyErrors)" path="/exception"/>
    public static bool Validate(
        object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors, X509Certificate2Collection authorities) =>
        errors == SslPolicyErrors.None
        || (errors == SslPolicyErrors.RemoteCertificateChainErrors && EndsWith(chain!, authorities))
        || Refuse(((SslStream)sender).TargetHostName, certificate as X509Certificate2, chain, errors, "which endpoint.tls.caSecretRef does not trust");

    /// <summary>A chain whose one fault is that it stops at an authority which is no root.</summary>
    private static bool EndsWith(X509Chain chain, X509Certificate2Collection authorities)
    {
        var last = chain.ChainElements.Count - 1;
        for (var i = 0; i < last; i++)
            if (chain.ChainElements[i].ChainElementStatus.Any(s => s.Status != X509ChainStatusFlags.NoError))
                return false;
        return last >= 0
            && chain.ChainElements[last].ChainElementStatus.All(s => s.Status is X509ChainStatusFlags.PartialChain)
            && authorities.Any(a => a.RawDataMemory.Span.SequenceEqual(chain.ChainElements[last].Certificate.RawDataMemory.Span));
    }

    private static bool Refuse(string host, X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors, string distrust) =>
        throw new CertificateRefusedException(certificate is null
            ? "it showed no certificate."
            : $"its certificate {string.Join(", and ", Faults(host, certificate, chain, errors, distrust))}.");

    private static List<string> Faults(string host, X509Certificate2 certificate, X509Chain? chain, SslPolicyErrors errors, string distrust)
    {
        var faults = new List<string>();
        var statuses = chain?.ChainStatus ?? [];
        if (Has(statuses, X509ChainStatusFlags.NotTimeValid))
            faults.Add(WhenValid(certificate));
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
            faults.Add($"is for {Names(certificate)}, not for {host}");
        if (Has(statuses, X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain))
            faults.Add($"was issued by {SendFailure.Shorten(certificate.Issuer)}, {distrust}");
        if (faults.Count == 0)
            faults.Add($"is not valid: {string.Join(", ", statuses.Select(s => s.Status))}");
        return faults;
    }

    /// <summary>By the system's clock, which the chain was judged by too.</summary>
    private static string WhenValid(X509Certificate2 certificate)
    {
        var now = TimeProvider.System.GetUtcNow();
        return now > certificate.NotAfter ? $"expired on {Date(certificate.NotAfter)}"
            : now < certificate.NotBefore ? $"is not valid before {Date(certificate.NotBefore)}"
            : "was issued through a certificate that has expired or is not valid yet";
    }

    private static bool Has(X509ChainStatus[] statuses, X509ChainStatusFlags flags) => statuses.Any(s => (s.Status & flags) != 0);

    private static string Names(X509Certificate2 certificate)
    {
        var names = certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>()
            .SelectMany(e => e.EnumerateDnsNames().Concat(e.EnumerateIPAddresses().Select(a => a.ToString())))
            .Take(NamesTold + 1).ToList();
        return names.Count switch
        {
            0 => SendFailure.Shorten(certificate.Subject)!,
            > NamesTold => $"{SendFailure.Shorten(string.Join(", ", names.Take(NamesTold)))} and others",
            _ => SendFailure.Shorten(string.Join(", ", names))!,
        };
    }

    private static string Date(DateTime local) => local.ToUniversalTime().ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
}
