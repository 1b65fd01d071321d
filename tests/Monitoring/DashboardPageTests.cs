using System.Globalization;
using System.Text;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Monitoring;

public sealed class DashboardPageTests
{
    [Fact]
    public async Task The_page_tells_of_every_panel()
    {
        var text = new StringBuilder("| panel | shows |\n|---|---|\n");
        foreach (var panel in Dashboard.Panels)
        {
            if (Dashboard.IsRow(panel))
                text.Append(CultureInfo.InvariantCulture, $"\n### {panel["title"]}\n\n| panel | shows |\n|---|---|\n");
            else
                text.Append(CultureInfo.InvariantCulture, $"| {panel["title"]} | {panel["description"]} |\n");
        }
        await GeneratedText.AssertIsInAsync("docs/dashboard.md", text.ToString());
    }
}
