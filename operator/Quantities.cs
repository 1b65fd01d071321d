using System.Globalization;

namespace WebhookOperator;

/// <summary>Sizes and durations as Kubernetes users write them.</summary>
internal static class Quantities
{
    private static readonly (string Suffix, long Factor)[] Sizes =
    [
        ("Ki", 1L << 10), ("Mi", 1L << 20), ("Gi", 1L << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("", 1),
    ];

    /// <summary>A whole number of bytes, or one with the suffix Ki, Mi, Gi, k, M or G.</summary>
    public static bool TryParseBytes(string text, out long bytes)
    {
        bytes = 0;
        var (suffix, factor) = Array.Find(Sizes, size => text.EndsWith(size.Suffix, StringComparison.Ordinal));
        return long.TryParse(text.AsSpan(0, text.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            && number <= long.MaxValue / factor
            && (bytes = number * factor) >= 0;
    }

    /// <summary>Whole numbers, each with its unit h, m, s or ms, such as <c>1h30m</c>; up to 10,000 days.</summary>
    public static bool TryParseDuration(string text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        var rest = text.AsSpan();
        if (rest.IsEmpty)
            return false;
        while (!rest.IsEmpty)
        {
            var digits = rest.IndexOfAnyExceptInRange('0', '9');
            if (digits is < 1 or > 12)
                return false;
            var number = long.Parse(rest[..digits], NumberStyles.None, CultureInfo.InvariantCulture);
            rest = rest[digits..];
            var unit = rest.StartsWith("ms") ? 2 : 1;
            long? milliseconds = rest[..unit] switch
            {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => null,
            };
            if (milliseconds is null || number > TimeSpan.FromDays(10_000).TotalMilliseconds / milliseconds)
                return false;
            duration += TimeSpan.FromMilliseconds(number * milliseconds.Value);
            rest = rest[unit..];
        }
        return duration <= TimeSpan.FromDays(10_000);
    }

    /// <summary>In the largest unit that loses nothing.</summary>
    public static string Format(TimeSpan duration)
    {
        var milliseconds = (long)duration.TotalMilliseconds;
        return milliseconds switch
        {
            > 0 when milliseconds % 3_600_000 == 0 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 3_600_000}h"),
            > 0 when milliseconds % 60_000 == 0 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 60_000}m"),
            _ when milliseconds % 1_000 == 0 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1_000}s"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{milliseconds}ms"),
        };
    }
}
