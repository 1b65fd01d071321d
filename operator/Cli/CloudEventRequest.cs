using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using WebhookOperator.Engine.Routing;

namespace WebhookOperator.Cli;

/// <summary>An event to publish.</summary>
/// <param name="Id">Unique within its source.</param>
/// <param name="Source">A URI reference.</param>
/// <param name="Type">Such as <c>com.acme.order.created</c>.</param>
/// <param name="Subject">What of the source it is about, if anything.</param>
/// <param name="Time">When it happened.</param>
/// <param name="ContentType">Of the data.</param>
/// <param name="Data">Null means none.</param>
internal sealed record OutgoingEvent(
    string Id, string Source, string Type, string? Subject, DateTimeOffset Time, string ContentType, byte[]? Data)
{
    public bool DataIsJson => ContentType.Split(';')[0].Trim() is "application/json" or "text/json"
        || ContentType.Split(';')[0].Trim().EndsWith("+json", StringComparison.Ordinal);
}

/// <summary>Writes events as HTTP requests, in both modes of the CloudEvents 1.0 HTTP binding.</summary>
internal static class CloudEventRequest
{
    /// <summary>Section 3.1: attributes as headers, the data as body.</summary>
    public static HttpRequestMessage Binary(string path, OutgoingEvent e)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new ByteArrayContent(e.Data ?? []) };
        Add("ce-specversion", "1.0");
        Add("ce-id", e.Id);
        Add("ce-source", e.Source);
        Add("ce-type", e.Type);
        Add("ce-time", Rfc3339(e.Time));
        if (e.Subject is not null)
            Add("ce-subject", e.Subject);
        if (e.Data is not null)
            request.Content.Headers.TryAddWithoutValidation("content-type", e.ContentType);
        return request;

        void Add(string name, string value) => request.Headers.TryAddWithoutValidation(name, HeaderValue(value));
    }

    /// <summary>Section 3.2: one JSON object for all.</summary>
    public static HttpRequestMessage Structured(string path, OutgoingEvent e)
    {
        var json = new JsonObject
        {
            ["specversion"] = "1.0", ["id"] = e.Id, ["source"] = e.Source, ["type"] = e.Type, ["time"] = Rfc3339(e.Time),
        };
        if (e.Subject is not null)
            json["subject"] = e.Subject;
        if (e.Data is not null)
        {
            json["datacontenttype"] = e.ContentType;
            if (e.DataIsJson)
                json["data"] = JsonNode.Parse(e.Data);
            else
                json["data_base64"] = Convert.ToBase64String(e.Data);
        }
        var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(json));
        content.Headers.ContentType = new MediaTypeHeaderValue(MediaType.CloudEvent, "utf-8");
        return new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
    }

    /// <summary>Section 3.1.3.2: what is not printable ASCII, and space, quote and percent, as %XX of its UTF-8.</summary>
    private static string HeaderValue(string value)
    {
        var text = new StringBuilder(value.Length);
        foreach (var b in Encoding.UTF8.GetBytes(value))
        {
            if (b is > 0x20 and < 0x7f and not (byte)'"' and not (byte)'%')
                text.Append((char)b);
            else
                text.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        }
        return text.ToString();
    }

    private static string Rfc3339(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
