using System.CommandLine;
using System.Globalization;
using WebhookOperator.Api;
using WebhookOperator.Engine.Ingest;

namespace WebhookOperator.Cli;

/// <summary>A moment, written as RFC 3339 or as how long ago it was.</summary>
internal static class TimeOption
{
    public static Option<string> Create(string name, string description) => new(name)
    {
        HelpName = "TIME", Description = description + " For example 2026-01-31T08:00:00Z or 24h.",
    };

    public static IEnumerable<string> Faults(TypedText typed, Option<string> option, TimeProvider time)
    {
        if (typed.Of(option) is { } text && !TryParse(text, time.GetUtcNow(), out _))
            yield return $"{option.Name}: \"{text}\" is no time; write 2026-01-31T08:00:00Z, or how long ago, such as 15m, 24h or 7d.";
    }

    /// <summary>As <see cref="Faults(TypedText, Option{string}, TimeProvider)"/> of both ends, which must be in order.</summary>
    public static IEnumerable<string> Faults(TypedText typed, Option<string> since, Option<string> until, TimeProvider time)
    {
        var now = time.GetUtcNow();
        foreach (var fault in Faults(typed, since, time).Concat(Faults(typed, until, time)))
            yield return fault;
        if (typed.Of(since) is { } from && typed.Of(until) is { } to
            && TryParse(from, now, out var first) && TryParse(to, now, out var end) && first >= end)
            yield return $"{since.Name} {from} is not before {until.Name} {to}, so there is nothing between them; give the earlier time to {since.Name}.";
    }

    /// <summary>As RFC 3339; null where the option was not given.</summary>
    public static string? Read(ParseResult parsed, Option<string> option, TimeProvider time) =>
        parsed.GetValue(option) is { } text && TryParse(text, time.GetUtcNow(), out var moment)
            ? moment.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFF'Z'", CultureInfo.InvariantCulture) : null;

    private static bool TryParse(string text, DateTimeOffset now, out DateTimeOffset moment)
    {
        if ((KubeDuration.TryParse(text, out var ago) || TryParseDays(text, out ago)) && ago < now - DateTimeOffset.UnixEpoch)
        {
            moment = now - ago;
            return true;
        }
        moment = default;
        // .NET makes a time of nearly anything: of "1.2" the second of January.
        return AttributeRules.IsTimestamp(text)
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out moment);
    }

    private static bool TryParseDays(string text, out TimeSpan ago)
    {
        var isDays = ushort.TryParse(text.AsSpan(0, Math.Max(0, text.Length - 1)), NumberStyles.None, CultureInfo.InvariantCulture, out var days)
            && text.EndsWith('d');
        ago = TimeSpan.FromDays(days);
        return isDays;
    }
}
