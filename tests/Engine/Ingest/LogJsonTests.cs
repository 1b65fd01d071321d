using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Ingest;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Tests.Engine.Ingest;

public sealed class LogJsonTests
{
    [Theory]
    [InlineData(new byte[] { (byte)'o', (byte)'k' }, true)]
    [InlineData(new byte[] { 0xFF }, false)]
    [InlineData(new byte[] { (byte)'o', (byte)'k', 0xFF }, false)]
    [InlineData(new byte[] { (byte)'o', (byte)'k', 0xC3 }, false)]
    [InlineData(new byte[] { (byte)'o', 0 }, false)]
    public void A_response_is_text_only_if_all_of_it_is(byte[] response, bool isText)
    {
        var attempt = AttemptOf(response);
        if (isText)
            Assert.Equal(Encoding.UTF8.GetString(response), (string?)attempt["response"]);
        else
            Assert.Equal(response, Convert.FromBase64String((string)attempt["responseBase64"]!));
        Assert.Equal(isText, !attempt.AsObject().ContainsKey("responseBase64"));
    }

    [Fact]
    public void A_character_that_was_cut_at_the_end_of_the_record_is_left_out()
    {
        var ascii = new string('x', Sender.KeptBytes - 2);
        Assert.Equal(ascii, (string?)AttemptOf([.. Encoding.UTF8.GetBytes(ascii), 0xE2, 0x82])["response"]);
    }

    private static JsonNode AttemptOf(byte[] response)
    {
        var summary = new DeliverySummary
        {
            Id = default, EventId = default, EventType = "t", EventSource = "/s", CloudEventId = "1",
            State = DeliveryState.Dead, Attempts = 1, AcceptedTime = DateTimeOffset.UnixEpoch,
        };
        var attempt = new AttemptRecord { Number = 1, Time = DateTimeOffset.UnixEpoch, Duration = TimeSpan.Zero, Response = response };
        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json))
            LogJson.Write(writer, new DeliveryDetail(summary, "uid", new NamespacedName("acme", "orders"), [attempt]));
        return JsonNode.Parse(json.ToArray())!["attempts"]![0]!;
    }
}
