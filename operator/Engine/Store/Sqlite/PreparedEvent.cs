using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store.Sqlite;

/// <summary>An event with everything computed that its row needs, so that the writer's thread only binds and steps.</summary>
internal sealed class PreparedEvent
{
    private const string Subject = "subject";
    private const string Time = "time";
    private const string DataContentType = "datacontenttype";
    private const string DataSchema = "dataschema";

    /// <summary>Twice as much as a row with its index entries takes beside the body.</summary>
    private const int RowBytes = 1024;

    private const int DeliveryBytes = 256;

    private static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public PreparedEvent(NewEvent source)
    {
        Source = source;
        Dedupe = Hash(source.Namespace, source.Event.Source, source.Event.Id);
        Attributes = FormatAttributes(source.Event);
        (DataStart, DataLength) = source.Event.DataRange.GetOffsetAndLength(source.Event.Body.Length);
    }

    public NewEvent Source { get; }

    /// <summary>The first 16 bytes of a SHA-256 over (namespace, source, id), each with its length before it.</summary>
    public byte[] Dedupe { get; }

    /// <summary>A JSON object of the attributes without a column of their own; null if there are none.</summary>
    public byte[]? Attributes { get; }

    public int DataStart { get; }

    public int DataLength { get; }

    public long Bytes => RowBytes + Source.Event.Body.Length + ((long)DeliveryBytes * Source.Matches.Count);

    /// <summary>Reads namespace, source, ce_id, type, encoding, attributes, data_start, data_length, data_base64, body.</summary>
    public static StoredEvent Read(Statement row, int column, long id)
    {
        var start = row.Int32(column + 6);
        var body = row.Bytes(column + 9).ToArray();
        var @event = new Event
        {
            Source = row.Text(column + 1),
            Id = row.Text(column + 2),
            Type = row.Text(column + 3),
            Encoding = (EventEncoding)row.Int32(column + 4),
            Body = body,
            DataRange = start..(start + row.Int32(column + 7)),
            DataIsBase64 = row.Int32(column + 8) != 0,
        };
        if (!row.IsNull(column + 5))
            @event = ReadAttributes(@event, row.Bytes(column + 5));
        return new StoredEvent(new EventId(id), row.Text(column), TimeOrderedId.TimeOf(id), @event);
    }

    private static byte[] Hash(params ReadOnlySpan<string> parts)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[4];
        foreach (var part in parts)
        {
            var bytes = Encoding.UTF8.GetBytes(part);
            BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
            sha.AppendData(length);
            sha.AppendData(bytes);
        }
        return sha.GetHashAndReset()[..16];
    }

    private static byte[]? FormatAttributes(Event @event)
    {
        if (@event.Subject is null && @event.Time is null && @event.DataContentType is null && @event.DataSchema is null
            && @event.Extensions.IsDefaultOrEmpty)
        {
            return null;
        }
        using var stream = new MemoryStream();
        using var json = new Utf8JsonWriter(stream, Compact);
        json.WriteStartObject();
        Write(Subject, @event.Subject);
        Write(Time, @event.Time);
        Write(DataContentType, @event.DataContentType);
        Write(DataSchema, @event.DataSchema);
        if (!@event.Extensions.IsDefault)
        {
            foreach (var extension in @event.Extensions)
                Write(extension.Name, extension.Value);
        }
        json.WriteEndObject();
        json.Flush();
        return stream.ToArray();

        void Write(string name, string? value)
        {
            if (value is not null)
                json.WriteString(name, value);
        }
    }

    /// <summary>An extension can't have the name of an attribute, so one flat object holds both (CloudEvents 1.0.2, 3).</summary>
    private static Event ReadAttributes(Event @event, ReadOnlySpan<byte> json)
    {
        string? subject = null, time = null, dataContentType = null, dataSchema = null;
        var extensions = ImmutableArray.CreateBuilder<Extension>();
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            var value = reader.GetString()!;
            switch (name)
            {
                case Subject: subject = value; break;
                case Time: time = value; break;
                case DataContentType: dataContentType = value; break;
                case DataSchema: dataSchema = value; break;
                default: extensions.Add(new Extension(name, value)); break;
            }
        }
        return @event with
        {
            Subject = subject,
            Time = time,
            DataContentType = dataContentType,
            DataSchema = dataSchema,
            Extensions = extensions.DrainToImmutable(),
        };
    }
}
