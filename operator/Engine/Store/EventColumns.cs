using System.Collections.Immutable;
using System.Text.Encodings.Web;
using System.Text.Json;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Engine.Store;

/// <summary>How every store writes what of an event is more than a plain column.</summary>
internal static class EventColumns
{
    private const string Subject = "subject";
    private const string Time = "time";
    private const string DataContentType = "datacontenttype";
    private const string DataSchema = "dataschema";

    private static readonly JsonBytes Compact = new(new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>A JSON object, in UTF-8, of the attributes without a column of their own; null if there are none.</summary>
    public static byte[]? FormatAttributes(Event @event)
    {
        if (@event.Subject is null && @event.Time is null && @event.DataContentType is null && @event.DataSchema is null
            && @event.Extensions.IsDefaultOrEmpty)
        {
            return null;
        }
        return Compact.Write(@event, WriteAttributes);
    }

    private static void WriteAttributes(Utf8JsonWriter json, Event @event)
    {
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

        void Write(string name, string? value)
        {
            if (value is not null)
                json.WriteString(name, value);
        }
    }

    /// <summary>The event with what <see cref="FormatAttributes"/> wrote. An extension can't have the name of an attribute, so one flat object holds both (CloudEvents 1.0.2, 3).</summary>
    public static Event ReadAttributes(Event @event, ReadOnlySpan<byte> json)
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
