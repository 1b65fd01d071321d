using System.Net.Http.Headers;
using System.Text;
using CloudNative.CloudEvents.Http;
using CloudNative.CloudEvents.SystemTextJson;
using CsCheck;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Http;

public sealed class PayloadTests
{
    private static readonly DateTimeOffset Accepted = new(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero);

    /// <summary>Reads events back with the official SDK, data as bytes or text.</summary>
    private static readonly JsonEventFormatter Official = new();

    private static readonly Gen<string> Attribute = Gen.String[Gen.OneOf(Gen.Char[' ', '~'], Gen.Char['\u00a0', '\ud7ff']), 1, 20];

    [Fact]
    public void A_structured_event_is_sent_as_it_came()
    {
        var e = Structured("""{ "specversion" : "1.0", "id":"1", "x":1.0, "data" : {"a": 1e2} }""", """{"a": 1e2}""");
        var payload = Build(e, PayloadFormat.CloudEvents);
        Assert.Equal(e.Body, payload.Body);
        Assert.Equal("application/cloudevents+json", payload.ContentType);
        Assert.Empty(payload.Headers);
    }

    [Theory]
    [InlineData("application/json", """{ "a" : 1.0 }""", """ "data":{ "a" : 1.0 }""")]
    [InlineData("application/json; charset=utf-8", "[]", """ "data":[]""")]
    [InlineData("application/vnd.acme+json", "\"x\"", """ "data":"x" """)]
    [InlineData(null, " null ", """ "data": null """)]
    [InlineData("application/json", "{broken", """ "data_base64":"e2Jyb2tlbg==" """)]
    [InlineData("text/plain", "hi \"you\"\n", """ "data":"hi \u0022you\u0022\n" """)]
    [InlineData("text/plain;charset=UTF-8", "grün", """ "data":"gr\u00FCn" """)]
    [InlineData("text/plain;charset=iso-8859-1", "hi", """ "data_base64":"aGk=" """)]
    [InlineData("application/octet-stream", "hi", """ "data_base64":"aGk=" """)]
    [InlineData("application/json", "", "")]
    public void Binary_data_goes_into_an_envelope(string? contentType, string data, string member)
    {
        var payload = Build(Binary(contentType, Encoding.UTF8.GetBytes(data)), PayloadFormat.CloudEvents);
        var type = contentType is null ? "" : $",\"datacontenttype\":\"{contentType.Replace("+", "\\u002B", StringComparison.Ordinal)}\"";
        var end = member.Length == 0 ? "" : "," + member[1..];
        Assert.Equal(
            $$"""{"specversion":"1.0","id":"1","source":"/s","type":"t"{{type}}{{end.TrimEnd(' ')}}{{(member.EndsWith("null ", StringComparison.Ordinal) ? " " : "")}}}""",
            Text(payload));
    }

    [Theory]
    [InlineData("application/json", """{"a": 1e2}""", """{"a": 1e2}""", "application/json")]
    [InlineData(null, """{"a": 1e2}""", """{"a": 1e2}""", "application/json")]
    [InlineData("application/json", "\"x\"", "\"x\"", "application/json")]
    [InlineData("text/plain", "\"gr\\u00fcn \\\"x\\\"\"", "grün \"x\"", "text/plain")]
    [InlineData("application/xml", "\"<a/>\"", "<a/>", "application/xml")]
    [InlineData("application/xml", "[1, 2]", "[1, 2]", "application/xml")]
    public void Structured_data_is_sent_alone(string? contentType, string json, string data, string sentAs)
    {
        var e = Structured($$"""{"specversion":"1.0","data":{{json}} }""", json) with { DataContentType = contentType };
        foreach (var format in new[] { PayloadFormat.Data, PayloadFormat.CloudEventsBinary })
        {
            var payload = Build(e, format);
            Assert.Equal(data, Text(payload));
            Assert.Equal(sentAs, payload.ContentType);
        }
    }

    [Theory]
    [InlineData("image/png")]
    [InlineData(null)]
    public void Base64_is_decoded_and_no_content_type_is_made_up(string? contentType)
    {
        var e = Structured("""{"data_base64":"iVBORw=="}""", "\"iVBORw==\"") with { DataIsBase64 = true, DataContentType = contentType };
        var payload = Build(e, PayloadFormat.Data);
        Assert.Equal([0x89, 0x50, 0x4e, 0x47], payload.Body.ToArray());
        Assert.Equal(contentType, payload.ContentType);
    }

    [Theory]
    [InlineData("application/json", """{ "a" : 1.0 }""", """{ "a" : 1.0 }""")]
    [InlineData("application/json", "{broken", "\"e2Jyb2tlbg==\"")]
    [InlineData("text/plain", "hi", "\"hi\"")]
    [InlineData("image/png", "hi", "\"aGk=\"")]
    [InlineData(null, "", "null")]
    public void The_Standard_Webhooks_form_holds_the_data(string? contentType, string data, string json)
    {
        var e = Binary(contentType, Encoding.UTF8.GetBytes(data));
        Assert.Equal(
            $$"""{"type":"t","timestamp":"2026-01-02T03:04:05.678Z","data":{{json}}}""", Text(Build(e, PayloadFormat.StandardWebhooks)));
        var timed = Build(e with { Time = "2025-12-31T23:59:59.123456789+05:30" }, PayloadFormat.StandardWebhooks);
        Assert.StartsWith("""{"type":"t","timestamp":"2025-12-31T23:59:59.123456789\u002B05:30","data":""", Text(timed));
        Assert.Equal("application/json", timed.ContentType);
    }

    [Theory]
    [InlineData("""{"a": 1e2}""", false, """{"a": 1e2}""")]
    [InlineData("\"eyJhIjogMX0=\"", true, """{"a": 1}""")]
    public void The_Standard_Webhooks_form_holds_structured_data_too(string member, bool base64, string json)
    {
        var e = Structured($$"""{"d":{{member}}}""", member) with { DataIsBase64 = base64, DataContentType = "application/json" };
        Assert.EndsWith($",\"data\":{json}}}", Text(Build(e, PayloadFormat.StandardWebhooks)));
    }

    [Fact]
    public void Deep_JSON_is_JSON()
    {
        var data = new string('[', 1000) + new string(']', 1000);
        Assert.EndsWith($"\"data\":{data}}}", Text(Build(Binary("application/json", Encoding.UTF8.GetBytes(data)), PayloadFormat.CloudEvents)));
    }

    [Theory]
    [InlineData("\"\\ud800\"", false)]
    [InlineData("\"not base64!\"", true)]
    public void Data_that_stands_for_nothing_is_told(string member, bool base64)
    {
        var e = Structured($$"""{"d":{{member}}}""", member) with { DataIsBase64 = base64, DataContentType = "text/plain" };
        Assert.False(Payload.TryBuild(Stored(e), PayloadFormat.Data, out _, out var fault));
        Assert.EndsWith(".", fault);
        Assert.True(Payload.TryBuild(Stored(e), PayloadFormat.CloudEvents, out _, out _));
    }

    [Theory]
    [InlineData("plain/ok~", "plain/ok~")]
    [InlineData("a b", "a%20b")]
    [InlineData("100%", "100%25")]
    [InlineData("\"q\"", "%22q%22")]
    [InlineData("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80")]
    [InlineData("a\r\nb", "a%0D%0Ab")]
    public void Attributes_are_encoded_for_headers(string subject, string header)
    {
        var payload = Build(Binary(null, []) with { Subject = subject }, PayloadFormat.CloudEventsBinary);
        Assert.Equal(header, payload.Headers.Single(h => h.Key == "ce-subject").Value);
    }

    [Fact]
    public void The_official_SDK_reads_an_envelope_back() =>
        Gen.Select(Attribute, Attribute, Gen.Byte.Array[1, 200], Gen.String[Gen.Char['\0', '\ud7ff'], 1, 100]).Sample((subject, extension, bytes, text) =>
        {
            foreach (var (contentType, data) in new (string?, byte[])[] { ("image/png", bytes), ("text/plain", bytes), ("text/plain", Encoding.UTF8.GetBytes(text)) })
            {
                var e = Binary(contentType, data) with { Subject = subject, Time = "2026-01-01T00:00:00Z", Extensions = [new("tenant", extension)] };
                var read = Official.DecodeStructuredModeMessage(Build(e, PayloadFormat.CloudEvents).Body, null, null);
                Assert.Equal(("1", subject, contentType, extension), (read.Id, read.Subject, read.DataContentType, (string?)read["tenant"]));
                Assert.Equal(data, read.Data as byte[] ?? Encoding.UTF8.GetBytes((string)read.Data!));
            }
        }, iter: 200);

    [Fact]
    public Task The_official_SDK_reads_binary_mode_back() => Gen.Select(Attribute, Attribute, Gen.Byte.Array[1, 200]).SampleAsync(async sample =>
    {
        var (subject, extension, bytes) = sample;
        var e = Binary("image/png", bytes) with { Subject = subject, Time = "2026-01-01T00:00:00Z", Extensions = [new("tenant", extension)] };
        var payload = Build(e, PayloadFormat.CloudEventsBinary);
        using var request = new HttpRequestMessage { Content = new ReadOnlyMemoryContent(payload.Body) };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(payload.ContentType!);
        foreach (var (name, value) in payload.Headers)
            request.Headers.TryAddWithoutValidation(name, value);
        var read = await request.ToCloudEventAsync(Official);
        Assert.Equal(("1", "t", subject, extension), (read.Id, read.Type, read.Subject, (string?)read["tenant"]));
        Assert.Equal(bytes, (byte[])read.Data!);
    }, iter: 200);

    private static Event Binary(string? contentType, byte[] data) => new()
    {
        Id = "1",
        Source = "/s",
        Type = "t",
        DataContentType = contentType,
        Encoding = EventEncoding.Binary,
        Body = data,
        DataRange = ..,
    };

    private static Event Structured(string body, string data)
    {
        var start = body.IndexOf(data, StringComparison.Ordinal);
        return Binary(null, Encoding.UTF8.GetBytes(body)) with { Encoding = EventEncoding.Structured, DataRange = start..(start + data.Length) };
    }

    private static StoredEvent Stored(Event e) => new(new EventId(1), "acme", Accepted, e);

    private static Payload Build(Event e, PayloadFormat format)
    {
        Assert.True(Payload.TryBuild(Stored(e), format, out var payload, out var fault), fault);
        return payload;
    }

    private static string Text(Payload payload) => Encoding.UTF8.GetString(payload.Body.Span);
}
