using System.Xml.Linq;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Charts;

/// <summary>Holds what the chart has copied and tells to what it was copied from and tells of.</summary>
public sealed class ChartFileTests
{
    [Fact]
    public void The_CRDs_are_those_of_the_program()
    {
        var source = Path.Combine(Repository.Root, "config", "crds");
        var copies = Path.Combine(Helm.Chart, "files", "crds");

        Assert.Equal(Files(source), Files(copies));

        static Dictionary<string, string> Files(string folder) =>
            Directory.EnumerateFiles(folder, "*.yaml").ToDictionary(file => Path.GetFileName(file)!, File.ReadAllText);
    }

    [Fact]
    public async Task A_CRD_goes_through_the_templates_unchanged_but_for_labels_and_annotations()
    {
        var rendered = (await Helm.RenderAsync("{}")).Where(o => (string?)o["kind"] == "CustomResourceDefinition").ToList();

        Assert.Equal(2, rendered.Count);
        foreach (var crd in rendered)
        {
            var file = Directory.EnumerateFiles(Path.Combine(Repository.Root, "config", "crds"), "*.yaml")
                .Select(File.ReadAllText).Single(text => text.Contains($"  name: {crd["metadata"]!["name"]}\n", StringComparison.Ordinal));
            var original = Assert.Single(Helm.Objects("\n" + file));
            Assert.Equal("keep", (string?)crd["metadata"]!["annotations"]!["helm.sh/resource-policy"]);
            crd["metadata"]!.AsObject().Remove("annotations");
            crd["metadata"]!.AsObject().Remove("labels");
            Assert.Equal(original.ToJsonString(), crd.ToJsonString());
        }
    }

    [Fact]
    public void The_chart_is_of_the_version_of_the_program()
    {
        var version = XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants("Version").Single().Value;
        var chart = File.ReadAllText(Path.Combine(Helm.Chart, "Chart.yaml"));

        Assert.Contains($"\nversion: {version}\n", chart);
        Assert.Contains($"\nappVersion: {version}\n", chart);
    }
}
