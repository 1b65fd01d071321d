using System.Buffers;
using System.Buffers.Text;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using NSec.Cryptography;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// Signs as Standard Webhooks 1.0.0 says: over <c>id.timestamp.body</c>, the bytes as they are sent, once with
/// each active key, so that receivers which know only the old or only the new one both verify.
/// </summary>
internal static class Signer
{
    /// <summary>The header <c>webhook-signature</c>: space-separated, in the order of the keys.</summary>
    /// <param name="keys">At least one.</param>
    /// <param name="id">The header <c>webhook-id</c>.</param>
    /// <param name="timestamp">The header <c>webhook-timestamp</c>, unix seconds.</param>
    /// <param name="body">The request's body.</param>
    public static string Sign(ImmutableArray<SigningKey> keys, string id, long timestamp, ReadOnlySpan<byte> body)
    {
        var prefix = id.Length + 1 + 20 + 1;
        var content = ArrayPool<byte>.Shared.Rent(prefix + body.Length);
        try
        {
            var length = Encoding.ASCII.GetBytes(id, content);
            content[length++] = (byte)'.';
            timestamp.TryFormat(content.AsSpan(length), out var digits, provider: CultureInfo.InvariantCulture);
            length += digits;
            content[length++] = (byte)'.';
            body.CopyTo(content.AsSpan(length));
            return Sign(keys, content.AsSpan(0, length + body.Length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(content);
        }
    }

    private static string Sign(ImmutableArray<SigningKey> keys, ReadOnlySpan<byte> content)
    {
        if (keys.Length == 1)
            return SignOnce(keys[0], content);
        var header = new StringBuilder();
        foreach (var key in keys)
            header.Append(header.Length == 0 ? "" : " ").Append(SignOnce(key, content));
        return header.ToString();
    }

    private static string SignOnce(SigningKey key, ReadOnlySpan<byte> content)
    {
        Span<byte> signature = stackalloc byte[64];
        Span<byte> text = stackalloc byte[Base64.GetMaxEncodedToUtf8Length(64)];
        var version = "v1a";
        if (key.Algorithm == SigningAlgorithm.HmacSha256)
        {
            version = "v1";
            signature = signature[..key.Mac(content, signature)];
        }
        else
        {
            SignatureAlgorithm.Ed25519.Sign(key.PrivateKey!, content, signature);
        }
        Base64.EncodeToUtf8(signature, text, out _, out var length);
        return $"{version},{Encoding.ASCII.GetString(text[..length])}";
    }
}
