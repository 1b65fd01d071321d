using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Npgsql;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Postgres;

/// <summary>An event with everything computed that its rows need.</summary>
internal sealed class PreparedEvent
{
    /// <summary>Twice as much as a row with its index entries takes beside the body.</summary>
    private const int RowBytes = 1024;

    private const int DeliveryBytes = 256;

    public PreparedEvent(NewEvent source)
    {
        Source = source;
        Hash = HashOf(source.Namespace, source.Event.Source, source.Event.Id);
        Attributes = EventColumns.FormatAttributes(source.Event);
        (DataStart, DataLength) = source.Event.DataRange.GetOffsetAndLength(source.Event.Body.Length);
    }

    public NewEvent Source { get; }

    /// <summary>Tells one event from all others.</summary>
    public Guid Hash { get; }

    public byte[]? Attributes { get; }

    public int DataStart { get; }

    public int DataLength { get; }

    public long Bytes => RowBytes + Source.Event.Body.Length + ((long)DeliveryBytes * Source.Matches.Count);

    /// <summary>0 until drawn; the deliveries' follow in steps of <see cref="IdSequence.Step"/>.</summary>
    public long Id { get; set; }

    /// <summary>Reads namespace, source, ce_id, type, encoding, attributes, data_start, data_length, data_base64, body.</summary>
    public static StoredEvent Read(NpgsqlDataReader row, int column, long id)
    {
        var start = row.GetInt32(column + 6);
        var @event = new Event
        {
            Source = row.GetString(column + 1),
            Id = row.GetString(column + 2),
            Type = row.GetString(column + 3),
            Encoding = (EventEncoding)row.GetInt16(column + 4),
            Body = row.GetFieldValue<byte[]>(column + 9),
            DataRange = start..(start + row.GetInt32(column + 7)),
            DataIsBase64 = row.GetBoolean(column + 8),
        };
        if (!row.IsDBNull(column + 5))
            @event = EventColumns.ReadAttributes(@event, row.GetFieldValue<byte[]>(column + 5));
        return new StoredEvent(new EventId(id), row.GetString(column), TimeOrderedId.TimeOf(id), @event);
    }

    /// <summary>The first 16 bytes of a SHA-256, with the length of each part before it.</summary>
    private static Guid HashOf(params ReadOnlySpan<string> parts)
    {
        const int StackBytes = 512;
        var bytes = 0;
        foreach (var part in parts)
            bytes += sizeof(int) + Encoding.UTF8.GetByteCount(part);
        var input = bytes <= StackBytes ? stackalloc byte[StackBytes] : new byte[bytes];
        var rest = input;
        foreach (var part in parts)
        {
            var length = Encoding.UTF8.GetBytes(part, rest[sizeof(int)..]);
            BinaryPrimitives.WriteInt32LittleEndian(rest, length);
            rest = rest[(sizeof(int) + length)..];
        }
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(input[..bytes], hash);
        return new Guid(hash[..16], bigEndian: true);
    }
}
