namespace WebhookOperator.Bench;

internal static class Sample
{
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length % 2 == 1
            ? sorted[sorted.Length / 2]
            : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>A rate as a share of another one, which was measured just before it and just after it.</summary>
    public static double Share(double rate, double before, double after) => 2 * rate / (before + after);

    /// <summary>The smallest value that at least <paramref name="percent"/> of all do not exceed.</summary>
    public static double Percentile(ReadOnlySpan<int> sorted, double percent) =>
        sorted.IsEmpty ? double.NaN : sorted[Math.Clamp((int)Math.Ceiling(sorted.Length * percent / 100) - 1, 0, sorted.Length - 1)];
}
