using System.Text.Json;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Engine.Http;

/// <summary>The published test vectors of Standard Webhooks 1.0.0, in <c>tests/vectors</c>.</summary>
internal static class Vectors
{
    private static readonly JsonElement Root = JsonDocument.Parse(
        File.ReadAllBytes(Path.Combine(Repository.Root, "tests", "vectors", "standard-webhooks.json"))).RootElement;

    public static IReadOnlyDictionary<string, Vector> Valid { get; } =
        Root.GetProperty("valid").Deserialize<Vector[]>(JsonSerializerOptions.Web)!.ToDictionary(v => v.Name);

    public static string[] InvalidSignatures { get; } = Root.GetProperty("invalid_signatures_for_hmac_a").Deserialize<string[]>()!;

    public static string[] InvalidSecrets { get; } = Root.GetProperty("invalid_secrets").Deserialize<string[]>()!;
}

/// <param name="PublicKey">Ed25519 only.</param>
internal sealed record Vector(string Name, string Secret, string? PublicKey, string Id, long Timestamp, string Body, string Signature)
{
    public SigningKey ToKey() => SigningKey.TryParse(
        Secret, PublicKey is null ? SigningAlgorithm.HmacSha256 : SigningAlgorithm.Ed25519, out var key, out var error)
        ? key
        : throw new FormatException(error);

    /// <summary>What the receiver is given.</summary>
    public string VerificationKey() => PublicKey ?? Secret;
}
