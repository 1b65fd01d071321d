using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using NSec.Cryptography;
using IncrementalHash = System.Security.Cryptography.IncrementalHash;

namespace WebhookOperator.Engine.Routing;

internal enum SigningAlgorithm
{
    /// <summary>Symmetric; signatures are <c>v1,…</c> and secrets <c>whsec_…</c>.</summary>
    HmacSha256,

    /// <summary>Asymmetric; signatures are <c>v1a,…</c>, private keys <c>whsk_…</c> and public ones <c>whpk_…</c>.</summary>
    Ed25519,
}

/// <summary>
/// A key that signs, in the forms of Standard Webhooks 1.0.0. Its text form and its bytes reach no log:
/// <see cref="ToString"/> gives the id alone, and no error repeats what was given.
/// </summary>
internal sealed class SigningKey
{
    public const string HmacPrefix = "whsec_";
    public const string PrivatePrefix = "whsk_";
    public const string PublicPrefix = "whpk_";

    private const int ShortestSecret = 24;
    private const int LongestSecret = 64;
    private const int GeneratedSecret = 32;
    private const int SeedLength = 32;

    /// <summary>Ready for the next message; null where the last is still being worked on. To set one up takes longer than to use it.</summary>
    private IncrementalHash? _mac;

    private SigningKey(SigningAlgorithm algorithm, byte[] material, Key? privateKey)
    {
        Algorithm = algorithm;
        Material = material;
        PrivateKey = privateKey;
        var visible = privateKey?.PublicKey.Export(KeyBlobFormat.RawPublicKey) ?? material;
        PublicKey = privateKey is null ? null : PublicPrefix + Convert.ToBase64String(visible);
        Id = Convert.ToHexStringLower(SHA256.HashData(visible).AsSpan(0, 6));
    }

    public SigningAlgorithm Algorithm { get; }

    /// <summary>HMAC: the decoded secret. Ed25519: the 32-byte seed.</summary>
    public ReadOnlyMemory<byte> Material { get; }

    /// <summary>Ed25519 only.</summary>
    public Key? PrivateKey { get; }

    /// <summary>Names the key without telling it: the first 12 hex digits of a SHA-256 over the secret or the public key.</summary>
    public string Id { get; }

    /// <summary>Ed25519 only: <c>whpk_…</c>, for the receiver.</summary>
    public string? PublicKey { get; }

    /// <summary>HMAC-SHA256 with this key. From any thread.</summary>
    /// <param name="content">All that is signed.</param>
    /// <param name="mac">Gets 32 bytes.</param>
    /// <returns>32.</returns>
    public int Mac(ReadOnlySpan<byte> content, Span<byte> mac)
    {
        var hash = Interlocked.Exchange(ref _mac, null) ?? IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, Material.Span);
        hash.AppendData(content);
        var length = hash.GetHashAndReset(mac);
        Interlocked.Exchange(ref _mac, hash)?.Dispose();
        return length;
    }

    /// <summary>A new key from the system's random source.</summary>
    public static SigningKey Generate(SigningAlgorithm algorithm) => algorithm switch
    {
        SigningAlgorithm.HmacSha256 => new SigningKey(algorithm, RandomNumberGenerator.GetBytes(GeneratedSecret), null),
        _ => OfSeed(RandomNumberGenerator.GetBytes(SeedLength)),
    };

    /// <summary>Reads <c>whsec_…</c> (the prefix may be left out) or <c>whsk_…</c>; base64 with or without padding.</summary>
    /// <param name="text">As kept in a Secret; white space around it is ignored.</param>
    /// <param name="algorithm">What the key is to be used for.</param>
    /// <param name="key">The key.</param>
    /// <param name="error">What is wrong and what would be right, as the end of a sentence.</param>
    public static bool TryParse(
        string text, SigningAlgorithm algorithm, [NotNullWhen(true)] out SigningKey? key, [NotNullWhen(false)] out string? error)
    {
        text = text.Trim();
        (key, error) = algorithm == SigningAlgorithm.HmacSha256 ? ParseHmac(text) : ParseEd25519(text);
        return key is not null;
    }

    /// <summary>The form that <see cref="TryParse"/> reads; to be kept in a Secret and nowhere else.</summary>
    public string ToSecretText() => Algorithm == SigningAlgorithm.HmacSha256
        ? HmacPrefix + Convert.ToBase64String(Material.Span)
        : PrivatePrefix + Convert.ToBase64String([.. Material.Span, .. PrivateKey!.PublicKey.Export(KeyBlobFormat.RawPublicKey)]);

    public override string ToString() => Id;

    /// <summary>Decodes base64 with or without padding; null if it is something else.</summary>
    internal static byte[]? Decode(ReadOnlySpan<char> base64)
    {
        var trimmed = base64.TrimEnd('=');
        if (trimmed.Length % 4 == 1)
            return null;
        var padded = trimmed.ToString().PadRight((trimmed.Length + 3) / 4 * 4, '=');
        var bytes = new byte[padded.Length / 4 * 3];
        return Convert.TryFromBase64String(padded, bytes, out var length) ? bytes[..length] : null;
    }

    private static (SigningKey?, string?) ParseHmac(string text)
    {
        if (text.StartsWith(PrivatePrefix, StringComparison.Ordinal) || text.StartsWith(PublicPrefix, StringComparison.Ordinal))
            return (null, $"is an Ed25519 key ({text[..5]}…), but the algorithm is HmacSha256, which takes {HmacPrefix}…");
        var encoded = text.StartsWith(HmacPrefix, StringComparison.Ordinal) ? text.AsSpan(HmacPrefix.Length) : text;
        if (Decode(encoded) is not { } bytes)
            return (null, $"is not base64; it must be {HmacPrefix} and the base64 of {ShortestSecret} to {LongestSecret} random bytes");
        return bytes.Length is < ShortestSecret or > LongestSecret
            ? (null, $"is {bytes.Length} bytes long; a secret must have {ShortestSecret} to {LongestSecret} bytes")
            : (new SigningKey(SigningAlgorithm.HmacSha256, bytes, null), null);
    }

    private static (SigningKey?, string?) ParseEd25519(string text)
    {
        if (text.StartsWith(PublicPrefix, StringComparison.Ordinal))
            return (null, $"is a public key, which can't sign; it must be the private key, {PrivatePrefix}…");
        if (!text.StartsWith(PrivatePrefix, StringComparison.Ordinal))
            return (null, $"is no Ed25519 key; it must be {PrivatePrefix} and the base64 of the 32-byte seed and the 32-byte public key");
        if (Decode(text.AsSpan(PrivatePrefix.Length)) is not { Length: 2 * SeedLength } bytes)
            return (null, $"is not the base64 of 64 bytes; after {PrivatePrefix} come the 32-byte seed and the 32-byte public key");
        var key = OfSeed(bytes[..SeedLength]);
        return key.PrivateKey!.PublicKey.Export(KeyBlobFormat.RawPublicKey).AsSpan().SequenceEqual(bytes.AsSpan(SeedLength))
            ? (key, null)
            : (null, "has a public half that does not belong to its seed; one of the two was damaged");
    }

    private static SigningKey OfSeed(byte[] seed) => new(
        SigningAlgorithm.Ed25519, seed, Key.Import(SignatureAlgorithm.Ed25519, seed, KeyBlobFormat.RawPrivateKey));
}
