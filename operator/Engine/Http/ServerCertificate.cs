using System.Globalization;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace WebhookOperator.Engine.Http;

/// <summary>A receiver's certificate was refused; the message tells every fault, with the names and dates that show it.</summary>
internal sealed class CertificateRefusedException(string message) : AuthenticationException(message);

/// <summary>Lets only certificates through that the system trusts for the host, and says in words what is wrong with others.</summary>
internal static class ServerCertificate
{
    /// <summary>So many of a certificate's names are told.</summary>
    private const int NamesTold = 3;

    /// <summary>For <see cref="SslClientAuthenticationOptions.RemoteCertificateValidationCallback"/>.</summary>
    /// <exception cref="CertificateRefusedException">In place of a bare false, which would say less.</exception>
    public static bool Validate(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors) =>
        errors == SslPolicyErrors.None || Refuse(((SslStream)sender).TargetHostName, certificate as X509Certificate2, chain, errors);

    private static bool Refuse(string host, X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors) =>
        throw new CertificateRefusedException(certificate is null
            ? "the receiver showed no certificate."
            : $"the receiver's certificate {string.Join(", and ", Faults(host, certificate, chain, errors))}.");

    private static List<string> Faults(string host, X509Certificate2 certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        var faults = new List<string>();
        var statuses = chain?.ChainStatus ?? [];
        if (Has(statuses, X509ChainStatusFlags.NotTimeValid))
            faults.Add(WhenValid(certificate, chain!.ChainPolicy.VerificationTime));
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
            faults.Add($"is for {Names(certificate)}, not for {host}");
        if (Has(statuses, X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain))
            faults.Add($"was issued by {SendFailure.Shorten(certificate.Issuer)}, which is not a trusted authority");
        if (faults.Count == 0)
            faults.Add($"is not valid: {string.Join(", ", statuses.Select(s => s.Status))}");
        return faults;
    }

    private static string WhenValid(X509Certificate2 certificate, DateTime now) =>
        now > certificate.NotAfter ? $"expired on {Date(certificate.NotAfter)}"
        : now < certificate.NotBefore ? $"is not valid before {Date(certificate.NotBefore)}"
        : "was issued through a certificate that has expired or is not valid yet";

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
