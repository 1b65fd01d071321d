using System.Text;
using System.Text.RegularExpressions;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Charts;

/// <summary>Writes the chart's table of values from values.yaml.</summary>
public sealed partial class ValuesPageTests
{
    [Fact]
    public Task The_table_of_values_is_what_values_yaml_says() =>
        GeneratedText.AssertIsInAsync("charts/webhook-operator/README.md", Table(File.ReadAllLines(Path.Combine(Helm.Chart, "values.yaml"))));

    /// <summary>A row for each value with a description (<c># -- …</c>); fails for one that has none.</summary>
    private static string Table(IEnumerable<string> lines)
    {
        var table = new StringBuilder("| value | default | |\n|---|---|---|\n");
        var path = new Stack<(int Indent, string Key)>();
        string? description = null;
        string? open = null;
        foreach (var line in lines)
        {
            var text = line.TrimStart();
            var indent = line.Length - text.Length;
            if (text.StartsWith("# -- ", StringComparison.Ordinal))
                (description, open) = (text[5..], null);
            else if (text.StartsWith("# ", StringComparison.Ordinal) && description is not null)
                description += " " + text[2..];
            else if (KeyAndValue().Match(text) is { Success: true } pair && !(open is not null && indent > path.Peek().Indent))
            {
                while (path.Count > 0 && path.Peek().Indent >= indent)
                    path.Pop();
                path.Push((indent, pair.Groups[1].Value));
                var name = string.Join('.', path.Reverse().Select(part => part.Key));
                var value = pair.Groups[2].Value;
                Assert.True(description is not null || value.Length == 0, $"values.yaml does not say what {name} is.");
                if (description is not null)
                    table.Append($"| `{name}` | {(value.Length > 0 ? $"`{value}`" : "see values.yaml")} | {description.Replace("|", "\\|", StringComparison.Ordinal)} |\n");
                // What stands below a described value is its default.
                (open, description) = (description is null ? null : name, null);
            }
        }
        return table.ToString();
    }

    [GeneratedRegex(@"^([A-Za-z]+):(?: (.+))?$")]
    private static partial Regex KeyAndValue();
}
