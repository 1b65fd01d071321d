using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Engine.Routing;

/// <summary>
/// What to trust, present and expect in TLS with a receiver, where the system's ways won't do: PEM as it stands
/// in Secrets, read before and found usable. Subscriptions with equal ones share connections.
/// </summary>
internal sealed class TlsSettings : IEquatable<TlsSettings>
{
    private readonly string _digest;

    /// <param name="authorities">Certificates that are trusted instead of the system's; null to trust those.</param>
    /// <param name="certificate">The client's certificate and then those that vouch for it; null to present none.</param>
    /// <param name="key">The private key of the client's certificate; null if and only if there is none.</param>
    /// <param name="serverName">What is asked for by SNI and must be in the receiver's certificate; null for the URL's host.</param>
    public TlsSettings(string? authorities, string? certificate, string? key, string? serverName)
    {
        Authorities = authorities;
        Certificate = certificate;
        Key = key;
        ServerName = serverName;
        _digest = Digest(authorities, certificate, key, serverName);
    }

    public string? Authorities { get; }

    public string? Certificate { get; }

    public string? Key { get; }

    public string? ServerName { get; }

    /// <summary>Compares digests, since each attempt looks up by it and bundles of authorities may be large.</summary>
    public bool Equals(TlsSettings? other) => other is not null && _digest == other._digest;

    public override bool Equals(object? obj) => Equals(obj as TlsSettings);

    public override int GetHashCode() => _digest.GetHashCode(StringComparison.Ordinal);

    private static string Digest(params ReadOnlySpan<string?> parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var part in parts)
        {
            // Length first, so that no two lists of parts read the same; -1 tells null from empty.
            var bytes = part is null ? [] : Encoding.UTF8.GetBytes(part);
            hash.AppendData(BitConverter.GetBytes(part is null ? -1 : bytes.Length));
            hash.AppendData(bytes);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
