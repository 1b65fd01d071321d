using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using NSec.Cryptography;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Http;

/// <summary>What a receiver finds when it checks a request.</summary>
internal enum SignatureVerdict
{
    Valid,

    /// <summary>webhook-id, webhook-timestamp or webhook-signature is absent.</summary>
    MissingHeader,

    /// <summary>The timestamp is not unix seconds.</summary>
    MalformedTimestamp,

    /// <summary>Older or newer than the tolerance: a replay, or a clock that is off.</summary>
    TimestampOutOfTolerance,

    /// <summary>No signature was made with one of the keys over these bytes.</summary>
    NoMatch,
}

/// <summary>The receiver's side of Standard Webhooks 1.0.0, in constant time; used to check what the program itself sends.</summary>
internal sealed class SignatureVerifier
{
    /// <summary>Either way.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);

    private readonly ImmutableArray<SigningKey> _secrets;
    private readonly ImmutableArray<PublicKey> _publicKeys;

    private SignatureVerifier(ImmutableArray<SigningKey> secrets, ImmutableArray<PublicKey> publicKeys)
    {
        _secrets = secrets;
        _publicKeys = publicKeys;
    }

    /// <param name="keys"><c>whsec_…</c> or <c>whpk_…</c>; one of them must fit.</param>
    /// <param name="verifier">Verifies with all of them.</param>
    /// <param name="error">What is wrong with the first bad key; never shows it.</param>
    public static bool TryCreate(
        IEnumerable<string> keys, [NotNullWhen(true)] out SignatureVerifier? verifier, [NotNullWhen(false)] out string? error)
    {
        verifier = null;
        var secrets = ImmutableArray.CreateBuilder<SigningKey>();
        var publicKeys = ImmutableArray.CreateBuilder<PublicKey>();
        foreach (var text in keys)
        {
            if (text.StartsWith(SigningKey.PublicPrefix, StringComparison.Ordinal))
            {
                if (ParsePublic(text) is not { } publicKey)
                {
                    error = $"is not the base64 of 32 bytes after {SigningKey.PublicPrefix}";
                    return false;
                }
                publicKeys.Add(publicKey);
            }
            else if (SigningKey.TryParse(text, SigningAlgorithm.HmacSha256, out var secret, out error))
            {
                secrets.Add(secret);
            }
            else
            {
                return false;
            }
        }
        verifier = new SignatureVerifier(secrets.ToImmutable(), publicKeys.ToImmutable());
        error = null;
        return true;
    }

    /// <param name="id">The header <c>webhook-id</c>, or null.</param>
    /// <param name="timestamp">The header <c>webhook-timestamp</c>, or null.</param>
    /// <param name="signatures">The header <c>webhook-signature</c>, or null.</param>
    /// <param name="body">The bytes as they came.</param>
    /// <param name="now">The receiver's time.</param>
    public SignatureVerdict Verify(string? id, string? timestamp, string? signatures, ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        if (string.IsNullOrEmpty(id) || string.IsNullOrEmpty(timestamp) || string.IsNullOrEmpty(signatures))
            return SignatureVerdict.MissingHeader;
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
            return SignatureVerdict.MalformedTimestamp;
        if (Math.Abs(now.ToUnixTimeSeconds() - seconds) > Tolerance.TotalSeconds)
            return SignatureVerdict.TimestampOutOfTolerance;
        byte[] content = [.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body];
        foreach (var signature in signatures.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            if (Matches(signature, content))
                return SignatureVerdict.Valid;
        return SignatureVerdict.NoMatch;
    }

    private bool Matches(string signature, ReadOnlySpan<byte> content)
    {
        var comma = signature.IndexOf(',', StringComparison.Ordinal);
        if (comma < 0 || SigningKey.Decode(signature.AsSpan(comma + 1)) is not { } bytes)
            return false;
        var matches = false;
        if (signature.AsSpan(0, comma) is "v1")
            foreach (var secret in _secrets)
                matches |= CryptographicOperations.FixedTimeEquals(HMACSHA256.HashData(secret.Material.Span, content), bytes);
        else if (signature.AsSpan(0, comma) is "v1a" && bytes.Length == SignatureAlgorithm.Ed25519.SignatureSize)
            foreach (var publicKey in _publicKeys)
                matches |= SignatureAlgorithm.Ed25519.Verify(publicKey, content, bytes);
        return matches;
    }

    private static PublicKey? ParsePublic(string text) =>
        SigningKey.Decode(text.AsSpan(SigningKey.PublicPrefix.Length)) is { } bytes
        && PublicKey.TryImport(SignatureAlgorithm.Ed25519, bytes, KeyBlobFormat.RawPublicKey, out var key) ? key : null;
}
