using System.Buffers.Text;
using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Ingest;

/// <summary>
/// Reads CloudEvents 1.0 from the bytes of a request, without a DOM. Bad input is a fault, never an exception,
/// and what is accepted keeps the bytes that came.
/// </summary>
internal static class CloudEventParser
{
    private const int DeepestJson = 64;
    private static readonly EventFault NotUtf8 = new(null, "The body is not valid UTF-8.");

    /// <summary>Of attributes that most events have, so that no name has to be made from a header's.</summary>
    private static readonly FrozenDictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> AttributeNames =
        new[] { "specversion", "id", "source", "type", "subject", "time", "dataschema" }
            .ToFrozenDictionary(name => name, StringComparer.OrdinalIgnoreCase).GetAlternateLookup<ReadOnlySpan<char>>();

    private static readonly JsonReaderOptions ReaderOptions = new() { MaxDepth = DeepestJson };

    /// <summary>CloudEvents JSON format 1.0.2, section 3: one event as an object.</summary>
    public static Event? ParseStructured(ReadOnlyMemory<byte> json, out EventFault? fault)
    {
        if (Utf8.IsValid(json.Span))
            return ParseObject(json, out fault);
        fault = NotUtf8;
        return null;
    }

    /// <summary>CloudEvents JSON format 1.0.2, section 4: an array of events. All or none.</summary>
    /// <param name="json">The whole body.</param>
    /// <param name="events">Filled in order; to be ignored where there is a fault.</param>
    /// <returns>The first fault, with the index of its event.</returns>
    public static EventFault? ParseBatch(ReadOnlyMemory<byte> json, List<Event> events)
    {
        if (!Utf8.IsValid(json.Span))
            return NotUtf8;
        var within = true;
        try
        {
            var reader = new Utf8JsonReader(json.Span, new JsonReaderOptions { MaxDepth = DeepestJson + 1 });
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartArray)
                return new EventFault(null, $"A batch is a JSON array of CloudEvents; send a single event as {MediaType.CloudEvent}.");
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                var slice = json[start..(int)reader.BytesConsumed];
                if (ParseObject(slice, out var fault) is not { } e)
                    return fault! with { Index = events.Count };
                events.Add(e);
            }
            within = false;
            reader.Read(); // Throws on anything after the array.
            return null;
        }
        catch (JsonException e)
        {
            return new EventFault(null, NotJson(e), within ? events.Count : null);
        }
    }

    /// <summary>CloudEvents HTTP protocol binding 1.0.2, section 3.1: attributes in headers, data as body.</summary>
    public static Event? ParseBinary(IHeaderDictionary headers, ReadOnlyMemory<byte> body, out EventFault? fault)
    {
        var builder = new EventBuilder();
        var ok = true;
        foreach (var (header, values) in headers)
        {
            if (!header.StartsWith("ce-", StringComparison.OrdinalIgnoreCase))
                continue;
            var name = AttributeNames.TryGetValue(header.AsSpan(3), out var known) ? known : header[3..].ToLowerInvariant();
            ok = values.Count != 1
                ? builder.Fail(name, $"The header {header} is there {values.Count} times; it must be there once.")
                : name == "datacontenttype"
                    ? builder.Fail(name, "In binary mode the content type of the data is the header Content-Type; leave ce-datacontenttype out.")
                    : Decode(values[0]!) is { } value ? builder.Set(name, value) : builder.Fail(name, $"The header {header} is not valid percent-encoded UTF-8.");
            if (!ok)
                break;
        }
        if (ok && headers.ContentType.ToString() is { Length: > 0 } contentType)
            ok = builder.Set("datacontenttype", contentType);
        var result = ok ? builder.Build(EventEncoding.Binary, body, .., dataIsBase64: false) : null;
        fault = builder.Fault;
        return result;
    }

    /// <param name="json">Valid UTF-8.</param>
    private static Event? ParseObject(ReadOnlyMemory<byte> json, out EventFault? fault)
    {
        var builder = new EventBuilder();
        Event? result = null;
        try
        {
            var reader = new Utf8JsonReader(json.Span, ReaderOptions);
            result = ReadObject(ref reader, json, ref builder);
        }
        catch (JsonException e)
        {
            builder.Fail(null, NotJson(e));
        }
        fault = builder.Fault;
        return fault is null ? result : null;
    }

    private static Event? ReadObject(ref Utf8JsonReader reader, ReadOnlyMemory<byte> json, ref EventBuilder builder)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            builder.Fail(null, $"A CloudEvent is a JSON object, but this is {Kind(reader.TokenType)}.");
            return null;
        }
        Range? data = null;
        Range? nullData = null;
        var dataIsBase64 = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueIsEscaped && !TryGetString(ref reader, out _))
            {
                builder.Fail(null, "A member's name is not valid Unicode.");
                return null;
            }
            var isData = reader.ValueTextEquals("data"u8);
            var isBase64 = !isData && reader.ValueTextEquals("data_base64"u8);
            if (isData || isBase64)
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.Null) // As good as absent where the other one is there.
                {
                    nullData = isData ? (int)reader.TokenStartIndex..(int)reader.BytesConsumed : nullData;
                    continue;
                }
                if (data is not null)
                {
                    builder.Fail(isData ? "data" : "data_base64", "An event has one of data and data_base64, and that once.");
                    return null;
                }
                if (isBase64 && (reader.TokenType != JsonTokenType.String || !IsBase64(ref reader)))
                {
                    builder.Fail("data_base64", "data_base64 is not a string of base64.");
                    return null;
                }
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                data = start..(int)reader.BytesConsumed;
                dataIsBase64 = isBase64;
            }
            else if (!ReadAttribute(ref reader, ref builder))
            {
                return null;
            }
        }
        reader.Read(); // Throws on anything after the object.
        return builder.Build(EventEncoding.Structured, json, data ?? nullData ?? default, dataIsBase64);
    }

    private static bool ReadAttribute(ref Utf8JsonReader reader, ref EventBuilder builder)
    {
        var name = reader.GetString()!;
        reader.Read();
        switch (reader.TokenType)
        {
            case JsonTokenType.Null: // The same as absent (JSON format, 2.2).
                return AttributeRules.FaultOfName(name) is not { } fault || builder.Fail(name, fault);
            case JsonTokenType.String:
                return TryGetString(ref reader, out var text) ? builder.Set(name, text) : builder.Fail(name, $"{name} is not valid Unicode.");
            case JsonTokenType.True or JsonTokenType.False:
                return IsCore(name) ? builder.Fail(name, $"{name} is a boolean; it must be a string.") : builder.Set(name, reader.GetBoolean() ? "true" : "false");
            case JsonTokenType.Number when IsCore(name):
                return builder.Fail(name, $"{name} is a number; it must be a string.");
            case JsonTokenType.Number:
                return reader.TryGetInt32(out var number)
                    ? builder.Set(name, number.ToString(CultureInfo.InvariantCulture))
                    : builder.Fail(name, $"{name} is a number that is no 32-bit integer; send it as a string.");
            default:
                return builder.Fail(name, $"{name} is {Kind(reader.TokenType)}; an attribute is a string, an integer or a boolean.");
        }
    }

    private static bool IsCore(string name) =>
        name is "specversion" or "id" or "source" or "type" or "subject" or "time" or "datacontenttype" or "dataschema";

    /// <summary>False for a lone surrogate escape, which has no UTF-8.</summary>
    private static bool TryGetString(ref Utf8JsonReader reader, out string text)
    {
        try
        {
            text = reader.GetString()!;
            return true;
        }
        catch (InvalidOperationException)
        {
            text = "";
            return false;
        }
    }

    private static bool IsBase64(ref Utf8JsonReader reader) => reader.ValueIsEscaped
        ? TryGetString(ref reader, out var text) && Base64.IsValid(text)
        : Base64.IsValid(reader.ValueSpan);

    /// <summary>Undoes quoting and percent-encoding of a header (HTTP binding, 3.1.3.2); null if the bytes are not UTF-8.</summary>
    private static string? Decode(string header)
    {
        if (header.Length >= 2 && header[0] == '"' && header[^1] == '"')
            header = Unquote(header.AsSpan(1, header.Length - 2));
        if (!header.Contains('%', StringComparison.Ordinal))
            return header;
        var bytes = Encoding.UTF8.GetBytes(header);
        var length = 0;
        for (var i = 0; i < bytes.Length; i++, length++)
        {
            if (bytes[i] == (byte)'%' && i + 2 < bytes.Length && char.IsAsciiHexDigit((char)bytes[i + 1]) && char.IsAsciiHexDigit((char)bytes[i + 2]))
            {
                bytes[length] = byte.Parse(bytes.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                i += 2;
            }
            else
            {
                bytes[length] = bytes[i];
            }
        }
        return Utf8.IsValid(bytes.AsSpan(0, length)) ? Encoding.UTF8.GetString(bytes, 0, length) : null;
    }

    private static string Unquote(ReadOnlySpan<char> quoted)
    {
        var text = new StringBuilder(quoted.Length);
        for (var i = 0; i < quoted.Length; i++)
        {
            if (quoted[i] == '\\' && i + 1 < quoted.Length)
                i++;
            text.Append(quoted[i]);
        }
        return text.ToString();
    }

    private static string NotJson(JsonException e) =>
        $"The body is not valid JSON at line {(e.LineNumber ?? 0) + 1}, byte {(e.BytePositionInLine ?? 0) + 1}"
        + (e.Message.Contains("depth", StringComparison.OrdinalIgnoreCase) ? $": it is nested deeper than {DeepestJson} levels." : ".");

    private static string Kind(JsonTokenType token) => token switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => $"an array; send a batch as {MediaType.CloudEventBatch}",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "a boolean",
        JsonTokenType.Null => "null",
        _ => "nothing",
    };
}
