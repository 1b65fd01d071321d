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

    public static TheoryData<string> Pages() =>
    [
        "README.md", "charts/webhook-operator/README.md",
        .. Directory.EnumerateFiles(Path.Combine(Repository.Root, "docs"), "*.md").Select(file => Path.Combine("docs", Path.GetFileName(file))).Order(),
    ];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_link_within_the_repository_leads_somewhere(string page)
    {
        var path = Path.Combine(Repository.Root, page);
        foreach (Match link in Link().Matches(Code().Replace(File.ReadAllText(path), "")))
        {
            if (link.Groups["to"].Value.Contains("://", StringComparison.Ordinal))
                continue;
            var parts = link.Groups["to"].Value.Split('#');
            var target = parts[0].Length == 0 ? path : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, parts[0]));
            Assert.True(Path.Exists(target), $"{page} links to {parts[0]}, which is not there.");
            if (parts.Length > 1)
                Assert.Contains(parts[1], Heading().Matches(File.ReadAllText(target)).Select(heading => Anchor(heading.Groups[1].Value)));
        }
    }

    [Fact]
    public void The_index_names_every_page()
    {
        var index = File.ReadAllText(Path.Combine(Repository.Root, "docs", "README.md"));

        Assert.All(Directory.EnumerateFiles(Path.Combine(Repository.Root, "docs"), "*.md").Select(file => Path.GetFileName(file)),
            page => Assert.True(page == "README.md" || index.Contains($"({page})", StringComparison.Ordinal), $"docs/README.md does not name {page}."));
    }

    /// <summary>As GitHub makes it of a heading.</summary>
    private static string Anchor(string heading) => NoAnchor().Replace(heading.Trim().ToLowerInvariant(), "").Replace(' ', '-');

    [GeneratedRegex(@"\]\((?<to>[^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("```.*?```|`[^`\n]*`", RegexOptions.Singleline)]
    private static partial Regex Code();

    [GeneratedRegex("^#+ (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NoAnchor();
}
