using System.Xml.Linq;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests;

public sealed class DocumentationTests
{
    [Fact]
    public void Every_flag_is_documented()
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "docs", "settings.md"));

        Assert.All(Setting.All, setting => Assert.Contains($"| `{setting.Flag}", text));
    }

    [Fact]
    public void Every_package_has_a_reason()
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "docs", "dependencies.md"));
        var packages = XDocument.Load(Path.Combine(Repository.Root, "Directory.Packages.props"))
            .Descendants("PackageVersion").Select(package => (string)package.Attribute("Include")!);

        Assert.All(packages, package => Assert.Contains($"| {package} |", text));
    }
}
