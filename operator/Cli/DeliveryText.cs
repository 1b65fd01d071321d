using System.Globalization;
using System.Text.Json.Nodes;

namespace WebhookOperator.Cli;

/// <summary>What the API tells of deliveries, for people.</summary>
internal static class DeliveryText
{
    public static void WriteLog(JsonNode page, Shell shell)
    {
        var table = new TextTable("ID", "TYPE", "EVENT", "STATE", "ATTEMPTS", "LAST", "AGE");
        foreach (var item in page["items"]?.AsArray() ?? [])
        {
            table.Add(
                Text(item?["id"]), Text(item?["eventType"]), Text(item?["cloudEventId"]), Text(item?["state"]),
                Text(item?["attemptCount"]), Result(item?["lastStatusCode"], item?["lastError"]),
                TextTable.Age(Time(item?["acceptedTime"]), shell.Time));
        }
        if (table.Count == 0)
        {
            shell.Error.WriteLine("There are no such deliveries.");
            return;
        }
        table.Write(shell.Out);
        if (Text(page["continue"]) is { Length: > 0 } next)
            shell.Error.WriteLine($"There are more: add --continue {next}");
    }

    public static void WriteOne(JsonNode delivery, TextWriter writer)
    {
        var width = 14;
        foreach (var (label, member) in ((string, string)[])
            [
                ("Delivery", "id"), ("Subscription", "subscription"), ("State", "state"), ("Event", "eventId"),
                ("Type", "eventType"), ("Source", "eventSource"), ("Producer's id", "cloudEventId"), ("Accepted", "acceptedTime"),
                ("Next attempt", "dueTime"), ("Ended", "endedTime"),
            ])
        {
            if (Text(delivery[member]) is { Length: > 0 } value)
                writer.WriteLine($"{(label + ":").PadRight(width)} {value}");
        }
        var attempts = delivery["attempts"]?.AsArray() ?? [];
        writer.WriteLine();
        if (attempts.Count == 0)
        {
            writer.WriteLine("No attempt has been made.");
            return;
        }
        var table = new TextTable("ATTEMPT", "TIME", "DURATION", "RESULT", "MESSAGE");
        foreach (var attempt in attempts)
        {
            table.Add(
                Text(attempt?["number"]), Text(attempt?["time"]), Text(attempt?["durationMilliseconds"]) + "ms",
                Result(attempt?["statusCode"], attempt?["error"]), Text(attempt?["message"]));
        }
        table.Write(writer);
        if (Text(attempts[^1]?["response"]) is { Length: > 0 } response)
            writer.WriteLine($"\nThe last answer began:\n{response}");
    }

    /// <summary>The status code where an answer came, else the class of the error.</summary>
    private static string Result(JsonNode? statusCode, JsonNode? error) =>
        Text(statusCode) is { Length: > 0 } code ? code : Text(error) is { Length: > 0 } word ? word : "<none>";

    private static string Text(JsonNode? node) => node?.ToString() ?? "";

    private static DateTimeOffset? Time(JsonNode? node) =>
        DateTimeOffset.TryParse(Text(node), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : null;
}
