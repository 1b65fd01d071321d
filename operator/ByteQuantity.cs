using System.Globalization;

namespace WebhookOperator;

/// <summary>Sizes as Kubernetes users write them.</summary>
internal static class ByteQuantity
{
    private static readonly (string Suffix, long Factor)[] Units =
    [
        ("Ki", 1L << 10), ("Mi", 1L << 20), ("Gi", 1L << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("", 1),
    ];

    /// <summary>A whole number of bytes, or one with the suffix Ki, Mi, Gi, k, M or G.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var (suffix, factor) = Array.Find(Units, unit => text.EndsWith(unit.Suffix, StringComparison.Ordinal));
        var digits = text.AsSpan(0, text.Length - suffix.Length);
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > long.MaxValue / factor)
            return false;
        bytes = number * factor;
        return true;
    }
}
