using System.Net.Mime;
using System.Text;
using System.Text.Json;
using CloudNative.CloudEvents;
using CloudNative.CloudEvents.SystemTextJson;
using CsCheck;
using Microsoft.AspNetCore.Http;
using WebhookOperator.Engine.Ingest;
using WebhookOperator.Engine.Routing;
using static WebhookOperator.Tests.Testing.Generators;

namespace WebhookOperator.Tests.Engine.Ingest;

public sealed class CloudEventParserTests
{
    private static readonly Gen<string> Text = OneOf("a", "order.created", "é", "ключ", "a\"b", "a\\b", "a/b?c=d", "😀", "x y", "%41");
    private static readonly Gen<string> Source = OneOf("/s", "https://shop.example/orders?x=1", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "a");
    private static readonly Gen<object> Data = OneOf<object>(
        null!, 1, "text", true, new { a = new[] { 1, 2 }, b = "é" }, new byte[] { 0, 1, 255 });

    private static readonly Gen<CloudEvent> AnyEvent = Gen.Select(Text, Source, Text, Text, Data, Gen.Int[0, 15]).Select((id, source, type, other, data, parts) =>
    {
        var e = new CloudEvent(CloudEventsSpecVersion.V1_0)
        {
            Id = id, Source = new Uri(source, UriKind.RelativeOrAbsolute), Type = type, Data = data,
            DataContentType = data is byte[]? "application/octet-stream" : MediaTypeNames.Application.Json,
        };
        if ((parts & 1) > 0)
            e.Subject = other;
        if ((parts & 2) > 0)
            e.Time = new DateTimeOffset(2026, 1, 31, 12, 0, 0, 123, TimeSpan.FromHours(2));
        if ((parts & 4) > 0)
            e.DataSchema = new Uri("https://schemas.example/a");
        if ((parts & 8) > 0)
        {
            e["region"] = other;
            e[CloudEventAttribute.CreateExtension("retries", CloudEventAttributeType.Integer)] = 7;
            e[CloudEventAttribute.CreateExtension("test", CloudEventAttributeType.Boolean)] = true;
        }
        return e;
    });

    [Fact]
    public void What_the_official_SDK_writes_is_read_with_the_same_attributes_and_bytes() => AnyEvent.Sample(e =>
    {
        var formatter = new JsonEventFormatter();
        var bytes = formatter.EncodeStructuredModeMessage(e, out _);
        var parsed = CloudEventParser.ParseStructured(bytes, out var fault);
        Assert.Null(fault);
        AssertSame(e, parsed!);
        Assert.True(bytes.Span.SequenceEqual(parsed!.Body.Span));
        using var document = JsonDocument.Parse(bytes);
        var expected = document.RootElement.TryGetProperty("data", out var data) || document.RootElement.TryGetProperty("data_base64", out data)
            ? data.GetRawText() : "";
        Assert.Equal(expected, Encoding.UTF8.GetString(parsed.Body[parsed.DataRange].Span));
        Assert.Equal(e.Data is byte[], parsed.DataIsBase64);
    });

    [Fact]
    public void So_is_a_batch_of_them_each_with_its_own_bytes() => AnyEvent.Array[0, 5].Sample(events =>
    {
        var bytes = new JsonEventFormatter().EncodeBatchModeMessage(events, out _);
        var parsed = new List<Event>();
        Assert.Null(CloudEventParser.ParseBatch(bytes, parsed));
        Assert.Equal(events.Length, parsed.Count);
        foreach (var (expected, actual) in events.Zip(parsed))
        {
            AssertSame(expected, actual);
            Assert.NotNull(CloudEventParser.ParseStructured(actual.Body, out _));
        }
    });

    [Fact]
    public void Whatever_is_done_to_the_bytes_is_an_event_or_a_fault_and_never_an_exception() =>
        Gen.Select(AnyEvent, Gen.Select(Gen.Double[0, 1], Gen.Byte, Gen.Int[0, 4]).Array[1, 4]).Sample((e, changes) =>
        {
            var bytes = new JsonEventFormatter().EncodeStructuredModeMessage(e, out _).ToArray().ToList();
            foreach (var (where, value, kind) in changes)
            {
                var at = Math.Min(bytes.Count - 1, (int)(where * bytes.Count));
                if (at < 0)
                    continue;
                if (kind == 0)
                    bytes.RemoveAt(at);
                else if (kind == 1)
                    bytes.Insert(at, value);
                else if (kind == 2)
                    bytes[at] = value;
                else if (kind == 3)
                    bytes.InsertRange(at, "\\ud800"u8);
                else
                    bytes.RemoveRange(at, bytes.Count - at);
            }
            var parsed = CloudEventParser.ParseStructured(bytes.ToArray(), out var fault);
            Assert.NotEqual(parsed is null, fault is null);
            var batch = new List<Event>();
            byte[] array = [(byte)'[', .. bytes, (byte)']'];
            var batchFault = CloudEventParser.ParseBatch(array, batch);
            if (parsed is not null)
                Assert.Null(batchFault);
        }, iter: 5000);

    [Fact]
    public void What_we_accept_the_official_SDK_accepts() =>
        Gen.Select(AnyEvent, Gen.Double[0, 1], OneOf<byte>((byte)'"', (byte)' ', (byte)',', (byte)'x', (byte)'0')).Sample((e, where, value) =>
        {
            var bytes = new JsonEventFormatter().EncodeStructuredModeMessage(e, out _).ToArray();
            bytes[(int)(where * (bytes.Length - 1))] = value;
            // The SDK wants a string as data of other types; the specification does not.
            if (CloudEventParser.ParseStructured(bytes, out _) is { } parsed && MediaType.IsJson(parsed.DataContentType))
                Assert.Equal(parsed.Id, new JsonEventFormatter().DecodeStructuredModeMessage(bytes, null, null).Id);
        }, iter: 5000);

    [Theory]
    [InlineData("""{"\ud800":1}""")]
    [InlineData("""{"data\ud800":1}""")]
    [InlineData("""{"id":"\ud800"}""")]
    [InlineData("""{"data_base64":"\ud800"}""")]
    public void Half_a_surrogate_pair_is_a_fault_wherever_it_stands(string json)
    {
        Assert.Null(CloudEventParser.ParseStructured(Encoding.UTF8.GetBytes(json), out var fault));
        Assert.NotNull(fault);
        Assert.Equal(0, CloudEventParser.ParseBatch(Encoding.UTF8.GetBytes($"[{json}]"), [])!.Index);
    }

    [Fact]
    public void Whatever_a_header_holds_is_an_event_or_a_fault_and_never_an_exception() => Gen.Select(
        OneOf("ce-subject", "ce-time", "ce-source", "ce-dataschema", "ce-id", "ce-x", "content-type"),
        Gen.Char["a\"\\%/;=, *'()<>@:[]{}?\u007f\0é\ud83d\ude004FfzZ0-+.T"].Array[0, 12]).Sample((name, text) =>
        {
            var parsed = CloudEventParser.ParseBinary(Headers((name, new string(text))), default, out var fault);
            Assert.NotEqual(parsed is null, fault is null);
        }, iter: 5000);

    [Theory]
    [InlineData("\"data\":null", "null")]
    [InlineData("\"data_base64\":null", "")]
    [InlineData("\"data\":1,\"data_base64\":null", "1")]
    [InlineData("\"data_base64\":\"AA==\",\"data\":null", "\"AA==\"")]
    [InlineData("\"time\":\"2026-01-31T12:00:00.123456789+02:00\"", "")]
    [InlineData("\"time\":null,\"subject\":null", "")]
    [InlineData("\"dataschema\":\"urn:x\"", "")]
    [InlineData("\"x\":-2147483648", "")]
    [InlineData("\"x\":\"\"", "")]
    [InlineData("\"data_base64\":\"A\\u0041==\"", "\"A\\u0041==\"")]
    public void What_the_SDK_accepts_is_accepted(string members, string data)
    {
        var bytes = Encoding.UTF8.GetBytes($$"""{"specversion":"1.0","id":"1","source":"/s","type":"t",{{members}}}""");
        var parsed = CloudEventParser.ParseStructured(bytes, out var fault);
        Assert.Null(fault);
        Assert.Equal("1", new JsonEventFormatter().DecodeStructuredModeMessage(bytes, null, null).Id);
        Assert.Equal(data, Encoding.UTF8.GetString(parsed!.Body[parsed.DataRange].Span));
    }

    [Theory]
    [InlineData("\"dataschema\":\"/a\"", "dataschema")]
    [InlineData("\"dataschema\":\"a\"", "dataschema")]
    [InlineData("\"subject\":\"\\ufffe\"", "subject")]
    [InlineData("\"x\":\"\\ud83f\\udfff\"", "x")]
    [InlineData("\"subject\":\"a\\u0000\"", "subject")]
    [InlineData("\"x\":2147483648", "x")]
    [InlineData("\"x\":1.5", "x")]
    [InlineData("\"time\":\"2026-01-31 12:00:00Z\"", "time")]
    [InlineData("\"datacontenttype\":\"text\"", "datacontenttype")]
    public void What_the_SDK_of_a_receiver_would_refuse_is_refused(string member, string field)
    {
        var bytes = Encoding.UTF8.GetBytes($$"""{"specversion":"1.0","id":"1","source":"/s","type":"t",{{member}}}""");
        Assert.Null(CloudEventParser.ParseStructured(bytes, out var fault));
        Assert.Equal(field, fault!.Field);
        Assert.ThrowsAny<Exception>(() => new JsonEventFormatter().DecodeStructuredModeMessage(bytes, null, null));
    }

    [Theory]
    [InlineData("[{},", 0)]
    [InlineData("[EVENT,{", 1)]
    [InlineData("[EVENT] x", null)]
    [InlineData("EVENT", null)]
    public void A_fault_in_a_batch_names_the_event_that_it_is_in(string batch, int? index)
    {
        var json = batch.Replace("EVENT", """{"specversion":"1.0","id":"1","source":"/s","type":"t"}""", StringComparison.Ordinal);
        Assert.Equal(index, CloudEventParser.ParseBatch(Encoding.UTF8.GetBytes(json), [])!.Index);
    }

    [Theory]
    [InlineData("a%20b", "a b")]
    [InlineData("\"quoted \\\" text\"", "quoted \" text")]
    [InlineData("%E2%82%AC", "€")]
    [InlineData("100%", "100%")]
    public void Binary_headers_are_unquoted_and_percent_decoded(string header, string subject)
    {
        var parsed = CloudEventParser.ParseBinary(Headers(("ce-subject", header)), "x"u8.ToArray(), out var fault);
        Assert.Null(fault);
        Assert.Equal(subject, parsed!.Subject);
        Assert.Equal("text/plain", parsed.DataContentType);
    }

    [Theory]
    [InlineData("ce-subject", "%FF", "subject")]
    [InlineData("ce-datacontenttype", "text/plain", "datacontenttype")]
    [InlineData("ce-foo_bar", "x", "foo_bar")]
    [InlineData("ce-data", "x", "data")]
    public void A_bad_header_is_named(string name, string value, string field)
    {
        Assert.Null(CloudEventParser.ParseBinary(Headers((name, value)), default, out var fault));
        Assert.Equal(field, fault!.Field);
    }

    [Fact]
    public void A_binary_event_without_data_has_none()
    {
        var headers = Headers();
        headers.Remove("content-type");
        var parsed = CloudEventParser.ParseBinary(headers, default, out _);
        Assert.True(parsed!.Body[parsed.DataRange].IsEmpty);
        Assert.Null(parsed.DataContentType);
    }

    private static void AssertSame(CloudEvent expected, Event actual)
    {
        Assert.Equal(expected.Id, actual.Id);
        Assert.Equal(expected.Source!.OriginalString, actual.Source);
        Assert.Equal(expected.Type, actual.Type);
        Assert.Equal(expected.Subject, actual.Subject);
        Assert.Equal(expected.DataSchema?.OriginalString, actual.DataSchema);
        Assert.Equal(expected.Time, actual.Time is null ? null : DateTimeOffset.Parse(actual.Time, System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal(expected.DataContentType, actual.DataContentType);
        Assert.Equal(
            expected.ExtensionAttributes.Where(a => expected[a] is not null).Select(a => (a.Name, a.Format(expected[a]!))).Order(),
            actual.Extensions.Select(x => (x.Name, x.Value)).Order());
    }

    private static HeaderDictionary Headers(params (string Name, string Value)[] more)
    {
        var headers = new HeaderDictionary
        {
            ["ce-specversion"] = "1.0", ["ce-id"] = "1", ["ce-source"] = "/s", ["ce-type"] = "t", ["content-type"] = "text/plain",
        };
        foreach (var (name, value) in more)
            headers[name] = value;
        return headers;
    }
}
