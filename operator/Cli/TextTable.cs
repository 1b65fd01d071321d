using System.Globalization;

namespace WebhookOperator.Cli;

/// <summary>Columns as kubectl prints them: upper-case heads, three spaces between, no lines.</summary>
internal sealed class TextTable(params string[] heads)
{
    private readonly List<string[]> _rows = [];

    public int Count => _rows.Count;

    public void Add(params string[] cells) => _rows.Add(cells);

    public void Write(TextWriter writer)
    {
        var widths = heads.Select((head, i) => Math.Max(head.Length, _rows.Select(row => row[i].Length).DefaultIfEmpty(0).Max())).ToArray();
        foreach (var row in _rows.Prepend(heads))
            writer.WriteLine(string.Join("   ", row.Select((cell, i) => cell.PadRight(widths[i]))).TrimEnd());
    }

    /// <summary>The two largest units that matter at that size, as kubectl shortens ages.</summary>
    public static string Age(TimeSpan age)
    {
        if (age < TimeSpan.Zero)
            age = TimeSpan.Zero;
        return age switch
        {
            { TotalSeconds: < 120 } => Text($"{(int)age.TotalSeconds}s"),
            { TotalMinutes: < 10 } when age.Seconds > 0 => Text($"{(int)age.TotalMinutes}m{age.Seconds}s"),
            { TotalHours: < 3 } => Text($"{(int)age.TotalMinutes}m"),
            { TotalHours: < 8 } when age.Minutes > 0 => Text($"{(int)age.TotalHours}h{age.Minutes}m"),
            { TotalHours: < 48 } => Text($"{(int)age.TotalHours}h"),
            { TotalDays: < 8 } when age.Hours > 0 => Text($"{(int)age.TotalDays}d{age.Hours}h"),
            _ => Text($"{(int)age.TotalDays}d"),
        };

        static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
    }

    /// <inheritdoc cref="Age(TimeSpan)"/>
    public static string Age(DateTimeOffset? since, TimeProvider time) =>
        since is null ? "<none>" : Age(time.GetUtcNow() - since.Value);
}
