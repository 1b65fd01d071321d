using System.Globalization;
using System.Text;

namespace WebhookOperator.Api;

/// <summary>
/// Durations as the resources write them, a subset of Go's: whole numbers of up to 6 digits, each with a unit
/// of ms, s, m or h, and nothing between, such as <c>500ms</c>, <c>90s</c> or <c>1h30m</c>.
/// </summary>
internal static class KubeDuration
{
    private const int MaxDigits = 6;

    /// <summary>False for text of any other form; the sum is never negative.</summary>
    public static bool TryParse(string? text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        if (string.IsNullOrEmpty(text) || text.Length > 128)
            return false;
        long milliseconds = 0;
        var rest = text.AsSpan();
        while (!rest.IsEmpty)
        {
            var digits = 0;
            long number = 0;
            while (digits < rest.Length && char.IsAsciiDigit(rest[digits]))
            {
                if (digits == MaxDigits)
                    return false;
                number = number * 10 + (rest[digits++] - '0');
            }
            if (digits == 0)
                return false;
            rest = rest[digits..];
            var (unit, length) = rest switch
            {
                ['m', 's', ..] => (1L, 2),
                ['s', ..] => (1_000L, 1),
                ['m', ..] => (60_000L, 1),
                ['h', ..] => (3_600_000L, 1),
                _ => (0L, 0),
            };
            if (length == 0)
                return false;
            rest = rest[length..];
            milliseconds += number * unit;
        }
        duration = TimeSpan.FromMilliseconds(milliseconds);
        return true;
    }

    /// <exception cref="FormatException">The text is not a duration.</exception>
    public static TimeSpan Parse(string? text) => TryParse(text, out var duration)
        ? duration
        : throw new FormatException($"'{text}' is not a duration; write it as 500ms, 15s, 5m or 1h30m");

    /// <summary>The shortest form, largest unit first. What is less than a millisecond is left off.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The duration is negative.</exception>
    public static string Format(TimeSpan duration)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(duration, TimeSpan.Zero);
        var text = new StringBuilder();
        Append((long)duration.TotalHours, "h");
        Append(duration.Minutes, "m");
        Append(duration.Seconds, "s");
        Append(duration.Milliseconds, "ms");
        return text.Length == 0 ? "0s" : text.ToString();

        void Append(long number, string unit)
        {
            if (number > 0)
                text.Append(number.ToString(CultureInfo.InvariantCulture)).Append(unit);
        }
    }
}
