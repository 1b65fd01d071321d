using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Http;

/// <summary>
/// The body and headers that one event becomes in a format. Where a format sends what the producer sent, or a
/// part of it, it is those bytes, never a new serialisation of them.
/// </summary>
/// <param name="Body">What is sent, and signed.</param>
/// <param name="ContentType">Null for an event without data.</param>
/// <param name="Headers">The <c>ce-*</c> headers of binary mode; else empty.</param>
internal readonly record struct Payload(ReadOnlyMemory<byte> Body, string? ContentType, IReadOnlyList<KeyValuePair<string, string>> Headers)
{
    private const string CloudEventsJson = "application/cloudevents+json";
    private const string Json = "application/json";

    public static Payload Of(StoredEvent stored, PayloadFormat format) => format switch
    {
        PayloadFormat.CloudEvents => Structured(stored.Event),
        PayloadFormat.CloudEventsBinary => Binary(stored.Event),
        PayloadFormat.StandardWebhooks => StandardWebhooks(stored),
        _ => DataAlone(stored.Event),
    };

    private static Payload Structured(Event e) => new(
        e.Encoding == EventEncoding.Structured ? e.Body : Write(writer => WriteEnvelope(writer, e)), CloudEventsJson, []);

    private static Payload DataAlone(Event e)
    {
        var data = DataBytes(e);
        return new Payload(data, data.IsEmpty && e.DataContentType is null ? null : e.DataContentType ?? Json, []);
    }

    /// <summary>CloudEvents HTTP protocol binding 1.0.2, section 3.1.</summary>
    private static Payload Binary(Event e)
    {
        var headers = new List<KeyValuePair<string, string>>(6 + e.Extensions.Length)
        {
            new("ce-specversion", "1.0"),
            new("ce-id", HeaderValue(e.Id)),
            new("ce-source", HeaderValue(e.Source)),
            new("ce-type", HeaderValue(e.Type)),
        };
        if (e.Subject is not null)
            headers.Add(new("ce-subject", HeaderValue(e.Subject)));
        if (e.Time is not null)
            headers.Add(new("ce-time", HeaderValue(e.Time)));
        if (e.DataSchema is not null)
            headers.Add(new("ce-dataschema", HeaderValue(e.DataSchema)));
        foreach (var (name, value) in e.Extensions)
            headers.Add(new($"ce-{name}", HeaderValue(value)));
        var data = DataBytes(e);
        return new Payload(data, e.DataContentType ?? (data.IsEmpty ? null : Json), headers);
    }

    /// <summary>The recommended payload structure of Standard Webhooks 1.0.0.</summary>
    private static Payload StandardWebhooks(StoredEvent stored)
    {
        var e = stored.Event;
        return new Payload(
            Write(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("type", e.Type);
                writer.WriteString("timestamp", e.Time ?? stored.AcceptedTime.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
                writer.WritePropertyName("data");
                if (e.Encoding == EventEncoding.Structured && !e.DataRange.Equals(default) && !e.DataIsBase64)
                    writer.WriteRawValue(e.Body[e.DataRange].Span, skipInputValidation: true);
                else if (DataBytes(e) is { IsEmpty: false } data)
                    WriteData(writer, e, data.Span);
                else
                    writer.WriteNullValue();
                writer.WriteEndObject();
            }),
            Json, []);
    }

    /// <summary>CloudEvents JSON format 1.0.2, sections 2 and 3.1, around data that came in binary mode.</summary>
    private static void WriteEnvelope(Utf8JsonWriter writer, Event e)
    {
        writer.WriteStartObject();
        writer.WriteString("specversion", "1.0");
        writer.WriteString("id", e.Id);
        writer.WriteString("source", e.Source);
        writer.WriteString("type", e.Type);
        if (e.Subject is not null)
            writer.WriteString("subject", e.Subject);
        if (e.Time is not null)
            writer.WriteString("time", e.Time);
        if (e.DataContentType is not null)
            writer.WriteString("datacontenttype", e.DataContentType);
        if (e.DataSchema is not null)
            writer.WriteString("dataschema", e.DataSchema);
        foreach (var (name, value) in e.Extensions)
            writer.WriteString(name, value);
        if (!e.Body.IsEmpty)
        {
            if (MediaType.IsJson(e.DataContentType) && IsValidJson(e.Body.Span))
            {
                writer.WritePropertyName("data");
                writer.WriteRawValue(e.Body.Span, skipInputValidation: true);
            }
            else
            {
                writer.WriteBase64String("data_base64", e.Body.Span);
            }
        }
        writer.WriteEndObject();
    }

    private static void WriteData(Utf8JsonWriter writer, Event e, ReadOnlySpan<byte> data)
    {
        if (MediaType.IsJson(e.DataContentType) && IsValidJson(data))
            writer.WriteRawValue(data, skipInputValidation: true);
        else if (e.DataContentType?.StartsWith("text/", StringComparison.OrdinalIgnoreCase) == true && System.Text.Unicode.Utf8.IsValid(data))
            writer.WriteStringValue(data);
        else
            writer.WriteBase64StringValue(data);
    }

    /// <summary>The data as a binary-mode body: a slice where it can be, else what the JSON string stands for.</summary>
    private static ReadOnlyMemory<byte> DataBytes(Event e)
    {
        var data = e.Body[e.DataRange];
        if (e.Encoding == EventEncoding.Binary || data.IsEmpty)
            return data;
        if (e.DataIsBase64)
            return ReadString(data.Span, static (ref Utf8JsonReader reader) => reader.GetBytesFromBase64());
        // A JSON string under another content type is that text (JSON format, 3.1.1).
        return data.Span[0] == (byte)'"' && !MediaType.IsJson(e.DataContentType)
            ? ReadString(data.Span, static (ref Utf8JsonReader reader) => Encoding.UTF8.GetBytes(reader.GetString()!))
            : data;
    }

    private delegate byte[] StringRead(ref Utf8JsonReader reader);

    private static byte[] ReadString(ReadOnlySpan<byte> json, StringRead read)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        return read(ref reader);
    }

    private static bool IsValidJson(ReadOnlySpan<byte> data)
    {
        try
        {
            var reader = new Utf8JsonReader(data);
            while (reader.Read())
            {
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Percent-encodes what a header can't carry (HTTP binding, 3.1.3.2).</summary>
    private static string HeaderValue(string value)
    {
        if (value.AsSpan().IndexOfAnyExceptInRange('!', '~') < 0 && !value.AsSpan().ContainsAny('"', '%'))
            return value;
        var encoded = new StringBuilder(value.Length + 16);
        foreach (var b in Encoding.UTF8.GetBytes(value))
        {
            if (b is > (byte)' ' and <= (byte)'~' and not (byte)'"' and not (byte)'%')
                encoded.Append((char)b);
            else
                encoded.Append('%').Append(b.ToString("X2", CultureInfo.InvariantCulture));
        }
        return encoded.ToString();
    }

    private static ReadOnlyMemory<byte> Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(2048);
        using var writer = new Utf8JsonWriter(buffer);
        write(writer);
        writer.Flush();
        return buffer.WrittenMemory;
    }
}
