using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace WebhookOperator.Engine.Store;

/// <summary>
/// What tells one event from all others, in few bytes: of (namespace, source) a hash, and of the id itself as much as
/// is short. Producers mostly count, or take ULIDs or UUIDs of version 7, whose ids grow; so the index grows at one
/// end for each producer, where a hash over everything would write another page for every event. Stored, so it never changes.
/// </summary>
internal static class DedupeKey
{
    private const int ProducerBytes = 12;
    private const int LongestIdBytes = 40;

    /// <summary>Together one byte more than the longest id that stands for itself, so that the two never meet.</summary>
    private const int IdStartBytes = 25;
    private const int IdHashBytes = 16;

    public static byte[] Of(string @namespace, string source, string id)
    {
        var idBytes = Encoding.UTF8.GetByteCount(id);
        if (idBytes <= LongestIdBytes)
        {
            var key = new byte[ProducerBytes + idBytes];
            HashProducer(@namespace, source, key);
            Encoding.UTF8.GetBytes(id, key.AsSpan(ProducerBytes));
            return key;
        }
        var longKey = new byte[ProducerBytes + IdStartBytes + IdHashBytes];
        HashProducer(@namespace, source, longKey);
        var utf8 = Encoding.UTF8.GetBytes(id);
        utf8.AsSpan(0, IdStartBytes).CopyTo(longKey.AsSpan(ProducerBytes));
        SHA256.HashData(utf8).AsSpan(0, IdHashBytes).CopyTo(longKey.AsSpan(ProducerBytes + IdStartBytes));
        return longKey;
    }

    /// <summary>The beginning of a SHA-256 over both, with the length of the first before them.</summary>
    private static void HashProducer(string @namespace, string source, Span<byte> key)
    {
        const int Length = sizeof(int);
        const int StackBytes = 512;
        var namespaceBytes = Encoding.UTF8.GetByteCount(@namespace);
        var bytes = Length + namespaceBytes + Encoding.UTF8.GetByteCount(source);
        var input = bytes <= StackBytes ? stackalloc byte[StackBytes] : new byte[bytes];
        BinaryPrimitives.WriteInt32LittleEndian(input, namespaceBytes);
        Encoding.UTF8.GetBytes(@namespace, input[Length..]);
        Encoding.UTF8.GetBytes(source, input[(Length + namespaceBytes)..]);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(input[..bytes], hash);
        hash[..ProducerBytes].CopyTo(key);
    }
}
