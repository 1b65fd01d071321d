using System.Text.RegularExpressions;
using System.Xml.Linq;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests;

public sealed partial class DocumentationTests
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

    /// <summary>All their documents together, as someone would apply them.</summary>
    [Theory]
    [InlineData("authentication.md")]
    public void Manifests_on_a_page_are_valid(string page)
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "docs", page));
        var manifests = YamlBlock().Matches(text).SelectMany(block => Manifest.Parse(block.Groups[1].Value)).ToList();

        Assert.NotEmpty(manifests);
        Assert.All(manifests, manifest => Assert.Empty(manifest.Findings()));
    }

    [GeneratedRegex("^```yaml\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex YamlBlock();
}
