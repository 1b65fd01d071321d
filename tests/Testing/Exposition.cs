using System.Globalization;
using System.Text.RegularExpressions;

namespace WebhookOperator.Tests.Testing;

/// <summary>The metrics of one scrape, in the text format of Prometheus.</summary>
/// <param name="Name">As in the HELP line.</param>
/// <param name="Help">One sentence.</param>
/// <param name="Type">counter, gauge or histogram.</param>
/// <param name="Samples">In order.</param>
internal sealed record MetricFamily(string Name, string Help, string Type, IReadOnlyList<MetricSample> Samples)
{
    /// <summary>The labels but for that of buckets, each with its values in order.</summary>
    public IEnumerable<IGrouping<string, string>> Labels => Samples
        .SelectMany(sample => sample.Labels).Where(label => label.Key != "le").Distinct()
        .GroupBy(label => label.Key, label => label.Value);

    public static IReadOnlyList<MetricFamily> Parse(string scrape)
    {
        var families = new List<MetricFamily>();
        foreach (var line in scrape.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Split(' ', 4) is ["#", "HELP", var name, var help])
                families.Add(new MetricFamily(name, help, "", new List<MetricSample>()));
            else if (line.Split(' ', 4) is ["#", "TYPE", _, var type])
                families[^1] = families[^1] with { Type = type };
            else if (!line.StartsWith('#'))
                ((List<MetricSample>)families[^1].Samples).Add(MetricSample.Parse(line));
        }
        return families;
    }
}

internal sealed partial record MetricSample(string Name, IReadOnlyList<KeyValuePair<string, string>> Labels, double Value)
{
    public string? this[string label] => Labels.FirstOrDefault(pair => pair.Key == label).Value;

    public static MetricSample Parse(string line)
    {
        var parts = Line().Match(line);
        return new MetricSample(
            parts.Groups["name"].Value,
            [.. Label().Matches(parts.Groups["labels"].Value).Select(m => KeyValuePair.Create(m.Groups[1].Value, m.Groups[2].Value))],
            double.Parse(parts.Groups["value"].Value.Replace("+Inf", "Infinity", StringComparison.Ordinal), CultureInfo.InvariantCulture));
    }

    [GeneratedRegex("""^(?<name>[^ {]+)(\{(?<labels>.*)\})? (?<value>\S+)""")]
    private static partial Regex Line();

    [GeneratedRegex("""(\w+)="([^"]*)["]""")]
    private static partial Regex Label();
}
