using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using WebhookOperator.Engine.Routing;
using WebhookOperator.Engine.Store;

namespace WebhookOperator.Engine.Ingest;

/// <summary>Reads the parameters of the log's calls; a bad one gets a problem that says what would be right.</summary>
internal static class QueryParsing
{
    private const int DefaultLimit = 50;
    private const int MaxLimit = 500;

    public static Problem? Parse(IQueryCollection query, DateTimeOffset now, out DeliveryQuery result)
    {
        result = new DeliveryQuery(null, null, DefaultLimit, null);
        foreach (var (name, values) in query)
        {
            var text = values.ToString();
            switch (name)
            {
                case "state" when TryState(text, out var state):
                    result = result with { State = state };
                    break;
                case "state":
                    return Bad(name, $"'{text}' is no state; it is one of {string.Join(", ", Enum.GetNames<DeliveryState>())}.");
                case "since" when TryTime(text, now, out var since):
                    result = result with { Since = since };
                    break;
                case "since":
                    return Bad(name, TimeFault(text));
                case "limit" when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit is >= 1 and <= MaxLimit:
                    result = result with { Limit = limit };
                    break;
                case "limit":
                    return Bad(name, $"'{text}' is no limit; it is a number from 1 to {MaxLimit}.");
                case "continue" when DeliveryId.TryParse(text, out var before):
                    result = result with { Before = before };
                    break;
                case "continue":
                    return Bad(name, $"'{text}' does not continue anything; pass the member continue of the page before.");
                default:
                    return Bad(name, $"There is no parameter '{name}'; known are state, since, limit and continue.");
            }
        }
        return null;
    }

    /// <param name="json">An object with any of since, until, types and states; empty stands for {}.</param>
    public static Problem? Parse(ReadOnlyMemory<byte> json, DateTimeOffset now, out ReplayQuery result)
    {
        result = new ReplayQuery(null, null, [], []);
        if (json.IsEmpty)
            return null;
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                return Bad(null, "The body must be a JSON object with any of since, until, types and states.");
            foreach (var member in document.RootElement.EnumerateObject())
                if (Set(member, now, ref result) is { } problem)
                    return problem;
            return null;
        }
        catch (JsonException e)
        {
            return Bad(null, $"The body is not valid JSON at line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}.");
        }
        catch (InvalidOperationException) // What JsonDocument throws for strings that are not Unicode.
        {
            return Bad(null, "The body holds a string that is not valid Unicode.");
        }
    }

    private static Problem? Set(JsonProperty member, DateTimeOffset now, ref ReplayQuery query)
    {
        switch (member.Name)
        {
            case "since" or "until":
                if (member.Value.ValueKind != JsonValueKind.String || !TryTime(member.Value.GetString()!, now, out var time))
                    return Bad(member.Name, TimeFault(member.Value.ToString()));
                query = member.Name == "since" ? query with { Since = time } : query with { Until = time };
                return null;
            case "types":
                if (Strings(member.Value) is not { } types || types.Any(t => t.Length == 0 || t.AsSpan(0, t.Length - 1).Contains('*')))
                    return Bad("types", "types must be an array of event types, or of prefixes that end in *.");
                query = query with { Types = types };
                return null;
            case "states":
                var states = ImmutableArray.CreateBuilder<DeliveryState>();
                foreach (var text in Strings(member.Value) ?? [""])
                {
                    if (!TryState(text, out var state) || state is not (DeliveryState.Delivered or DeliveryState.Dead))
                        return Bad("states", "states must be an array of Delivered, Dead or both.");
                    states.Add(state);
                }
                query = query with { States = states.ToImmutable() };
                return null;
            default:
                return Bad(member.Name, $"There is no member '{member.Name}'; known are since, until, types and states.");
        }
    }

    private static ImmutableArray<string>? Strings(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(v => v.ValueKind != JsonValueKind.String))
            return null;
        return [.. value.EnumerateArray().Select(v => v.GetString()!)];
    }

    /// <summary>By name alone: Enum.TryParse takes numbers, and makes one state of a list of them.</summary>
    private static bool TryState(string text, out DeliveryState state)
    {
        foreach (var known in Enum.GetValues<DeliveryState>())
            if (text.Equals(known.ToString(), StringComparison.OrdinalIgnoreCase))
            {
                state = known;
                return true;
            }
        state = default;
        return false;
    }

    /// <summary>An RFC 3339 time, or how long ago: numbers, each with one of s, m, h, d, such as 1h30m.</summary>
    private static bool TryTime(string text, DateTimeOffset now, out DateTimeOffset time)
    {
        if (AttributeRules.IsTimestamp(text))
            return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);
        time = now;
        var seconds = 0L;
        for (var rest = text.AsSpan(); !rest.IsEmpty;)
        {
            var end = rest.IndexOfAny("smhd");
            if (end < 1 || !uint.TryParse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var count))
                return false;
            seconds += count * (rest[end] switch { 's' => 1L, 'm' => 60, 'h' => 3600, _ => 86400 });
            seconds = Math.Min(seconds, now.ToUnixTimeSeconds());
            rest = rest[(end + 1)..];
        }
        time = now.AddSeconds(-seconds);
        return text.Length > 0;
    }

    private static string TimeFault(string text) =>
        $"'{text}' is no time; it is an RFC 3339 time such as 2026-01-31T12:00:00Z, or how long ago, such as 90s, 15m, 1h30m or 7d.";

    private static Problem Bad(string? field, string detail) => new(StatusCodes.Status400BadRequest, detail) { Field = field };
}
