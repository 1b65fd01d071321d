namespace WebhookOperator.Engine.Routing;

internal enum SigningAlgorithm
{
    /// <summary>Symmetric; signatures are <c>v1,…</c> and secrets <c>whsec_…</c>.</summary>
    HmacSha256,

    /// <summary>Asymmetric; signatures are <c>v1a,…</c>, private keys <c>whsk_…</c> and public ones <c>whpk_…</c>.</summary>
    Ed25519,
}

/// <summary>A key that signs. Its text form and its bytes reach no log: <see cref="ToString"/> gives the id alone.</summary>
internal sealed class SigningKey
{
    private SigningKey(SigningAlgorithm algorithm, byte[] material, string id, string? publicKey)
    {
        Algorithm = algorithm;
        Material = material;
        Id = id;
        PublicKey = publicKey;
    }

    public SigningAlgorithm Algorithm { get; }

    /// <summary>HMAC: the decoded secret. Ed25519: the 32-byte seed.</summary>
    public ReadOnlyMemory<byte> Material { get; }

    /// <summary>Names the key without telling it: the first 12 hex digits of a SHA-256 over it.</summary>
    public string Id { get; }

    /// <summary>Ed25519 only: <c>whpk_…</c>, for the receiver.</summary>
    public string? PublicKey { get; }

    public override string ToString() => Id;
}
