using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using WebhookOperator.Engine.Http;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Ingest;

/// <summary>The delivery log as the API tells it. What is not known or not there is left out.</summary>
internal static class LogJson
{
    public static void Write(Utf8JsonWriter writer, DeliveryPage page)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("items");
        foreach (var item in page.Items)
        {
            writer.WriteStartObject();
            WriteMembers(writer, item);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        if (page.Continue is { } next)
            writer.WriteString("continue", next.ToString());
        writer.WriteEndObject();
    }

    public static void Write(Utf8JsonWriter writer, DeliveryDetail detail)
    {
        writer.WriteStartObject();
        WriteMembers(writer, detail.Summary);
        writer.WriteString("namespace", detail.Subscription.Namespace);
        writer.WriteString("subscription", detail.Subscription.Name);
        writer.WriteStartArray("attempts");
        foreach (var attempt in detail.Attempts)
            Write(writer, attempt);
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteMembers(Utf8JsonWriter writer, DeliverySummary summary)
    {
        writer.WriteString("id", summary.Id.ToString());
        writer.WriteString("eventId", summary.EventId.ToString());
        writer.WriteString("eventType", summary.EventType);
        writer.WriteString("eventSource", summary.EventSource);
        writer.WriteString("cloudEventId", summary.CloudEventId);
        writer.WriteString("state", summary.State.ToString());
        writer.WriteNumber("attemptCount", summary.Attempts);
        writer.WriteString("acceptedTime", summary.AcceptedTime.UtcDateTime);
        if (summary.DueTime is { } due)
            writer.WriteString("dueTime", due.UtcDateTime);
        if (summary.EndedTime is { } ended)
            writer.WriteString("endedTime", ended.UtcDateTime);
        if (summary.LastStatusCode is { } status)
            writer.WriteNumber("lastStatusCode", status);
        if (summary.LastError != ErrorClass.None)
            writer.WriteString("lastError", summary.LastError.ToString());
    }

    private static void Write(Utf8JsonWriter writer, AttemptRecord attempt)
    {
        writer.WriteStartObject();
        writer.WriteNumber("number", attempt.Number);
        writer.WriteString("time", attempt.Time.UtcDateTime);
        writer.WriteNumber("durationMilliseconds", Math.Round(attempt.Duration.TotalMilliseconds, 1));
        if (attempt.StatusCode is { } status)
            writer.WriteNumber("statusCode", status);
        if (attempt.Error != ErrorClass.None)
            writer.WriteString("error", attempt.Error.ToString());
        if (attempt.Message is not null)
            writer.WriteString("message", attempt.Message);
        if (!attempt.Response.IsEmpty)
            WriteResponse(writer, attempt.Response.Span);
        writer.WriteEndObject();
    }

    /// <summary>As text where it is text; a character that was cut where the record ends is left out.</summary>
    private static void WriteResponse(Utf8JsonWriter writer, ReadOnlySpan<byte> response)
    {
        var text = response;
        if (response.Length == Sender.KeptBytes
            && Rune.DecodeLastFromUtf8(response, out _, out var begun) == OperationStatus.NeedMoreData)
            text = response[..^begun];
        if (Utf8.IsValid(text) && !text.Contains((byte)0))
            writer.WriteString("response", Encoding.UTF8.GetString(text));
        else
            writer.WriteBase64String("responseBase64", response);
    }
}
