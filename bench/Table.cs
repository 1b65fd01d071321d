namespace WebhookOperator.Bench;

/// <summary>Lines of text cells, padded to columns.</summary>
internal sealed class Table(params string[] header)
{
    private const string Gap = "  ";

    private readonly List<string[]> _rows = [header];

    public void Add(params string[] cells) => _rows.Add(cells);

    public void Add(string section, Figure figure) =>
        Add(section, figure.Name, figure.Measured, figure.Limit, figure.Wanted, figure.Reached switch
        {
            true => "yes",
            false => "NO",
            null => "",
        });

    public override string ToString()
    {
        var widths = Enumerable.Range(0, header.Length).Select(i => _rows.Max(r => r[i].Length)).ToArray();
        var lines = _rows.Select(Line).ToList();
        lines.Insert(1, string.Join(Gap, widths.Select(w => new string('-', w))));
        return string.Join('\n', lines);

        string Line(string[] cells) => string.Join(Gap, cells.Select((c, i) => c.PadRight(widths[i]))).TrimEnd();
    }
}
