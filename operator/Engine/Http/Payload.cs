using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
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
    private const string Json = "application/json";

    private static readonly JsonBytes Writer = new(default);

    /// <summary>False where the event's data can't be read: a JSON string that stands for no text, or for no base64.</summary>
    /// <param name="stored">The event.</param>
    /// <param name="format">What the subscription wants.</param>
    /// <param name="payload">The body and its headers.</param>
    /// <param name="fault">A sentence for people.</param>
    public static bool TryBuild(StoredEvent stored, PayloadFormat format, out Payload payload, [NotNullWhen(false)] out string? fault)
    {
        try
        {
            payload = Of(stored, format);
            fault = null;
            return true;
        }
        catch (Exception e) when (e is FormatException or InvalidOperationException)
        {
            payload = default;
            fault = stored.Event.DataIsBase64
                ? "The event's data_base64 is not base64, so its data can't be sent in this format."
                : "The event's data is a JSON string with half a surrogate pair, which stands for no text, so it can't be sent in this format.";
            return false;
        }
    }

    private static Payload Of(StoredEvent stored, PayloadFormat format) => format switch
    {
        PayloadFormat.CloudEvents => Structured(stored.Event),
        PayloadFormat.CloudEventsBinary => Binary(stored.Event),
        PayloadFormat.StandardWebhooks => StandardWebhooks(stored),
        _ => DataAlone(stored.Event),
    };

    private static Payload Structured(Event e) => new(
        e.Encoding == EventEncoding.Structured ? e.Body : Writer.Write(e, WriteEnvelope), MediaType.CloudEvent, []);

    private static Payload DataAlone(Event e)
    {
        var data = DataBytes(e);
        return new Payload(data, DataContentType(e, data), []);
    }

    /// <summary>Data within a JSON envelope is JSON unless it says otherwise (JSON format, 3.1); other data is what its producer says.</summary>
    private static string? DataContentType(Event e, ReadOnlyMemory<byte> data) =>
        e.DataContentType ?? (e.Encoding == EventEncoding.Structured && !e.DataIsBase64 && !data.IsEmpty ? Json : null);

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
        return new Payload(data, DataContentType(e, data), headers);
    }

    private static Payload StandardWebhooks(StoredEvent stored) => new(Writer.Write(stored, WriteStandardWebhooks), Json, []);

    /// <summary>The recommended payload structure of Standard Webhooks 1.0.0.</summary>
    private static void WriteStandardWebhooks(Utf8JsonWriter writer, StoredEvent stored)
    {
        var e = stored.Event;
        writer.WriteStartObject();
        writer.WriteString("type", e.Type);
        writer.WriteString("timestamp", e.Time ?? stored.AcceptedTime.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
        var data = e.Body[e.DataRange];
        if (data.IsEmpty)
        {
            writer.WriteNull("data");
        }
        else if (e.Encoding == EventEncoding.Structured && !e.DataIsBase64)
        {
            writer.WritePropertyName("data");
            writer.WriteRawValue(data.Span, skipInputValidation: true);
        }
        else
        {
            WriteData(writer, e.DataContentType, DataBytes(e).Span, "data");
        }
        writer.WriteEndObject();
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
            WriteData(writer, e.DataContentType, e.Body.Span, "data_base64");
        writer.WriteEndObject();
    }

    /// <summary>JSON as it is, text as a string, and bytes of any other kind as base64, in the member that is named for them.</summary>
    private static void WriteData(Utf8JsonWriter writer, string? contentType, ReadOnlySpan<byte> data, string base64Member)
    {
        if (MediaType.IsJson(contentType) && IsValidJson(data))
        {
            writer.WritePropertyName("data");
            writer.WriteRawValue(data, skipInputValidation: true);
        }
        else if (IsText(contentType, data))
        {
            writer.WriteString("data", data);
        }
        else
        {
            writer.WriteBase64String(base64Member, data);
        }
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

    /// <summary>Bytes that a JSON string gives back exactly: UTF-8 that does not claim another charset.</summary>
    private static bool IsText(string? contentType, ReadOnlySpan<byte> data)
    {
        var type = contentType.AsSpan();
        return type.StartsWith("text/", StringComparison.OrdinalIgnoreCase)
            && (!type.Contains("charset", StringComparison.OrdinalIgnoreCase) || type.Contains("utf-8", StringComparison.OrdinalIgnoreCase))
            && Utf8.IsValid(data);
    }

    private static bool IsValidJson(ReadOnlySpan<byte> data)
    {
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = int.MaxValue });
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
}
