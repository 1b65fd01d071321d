using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Text.RegularExpressions;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests;

/// <summary>Holds the arrows between the folders: each may use only what stands below it in the list.</summary>
public sealed partial class ArchitectureTests
{
    private static readonly string[] Layers =
    [
        "Cli", "Reconcile", "Status", "Cluster", "Local", "Kube", "Api",
        "Engine.Ingest", "Engine.Delivery", "Engine.Http", "Engine.Store", "Engine.Routing",
    ];

    private static readonly string Operator = Path.Combine(Repository.Root, "operator");

    public static TheoryData<string> SourceFiles() =>
        [.. Directory.EnumerateFiles(Operator, "*.cs", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(Operator, f))
            .Where(f => !f.StartsWith("obj", StringComparison.Ordinal) && !f.StartsWith("bin", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(SourceFiles))]
    public void A_file_uses_only_what_stands_below_it(string file)
    {
        var rank = Rank(Path.GetDirectoryName(file)!.Replace(Path.DirectorySeparatorChar, '.'));
        if (rank is null)
            return; // The composition root, settings and telemetry see what they need.
        foreach (Match use in UseOfOwnNamespace().Matches(File.ReadAllText(Path.Combine(Operator, file))))
        {
            var used = Rank(use.Groups[1].Value);
            Assert.True(used is null || used >= rank, $"{file} uses {use.Value}, which stands above it.");
        }
    }

    [Theory]
    [MemberData(nameof(SourceFiles))]
    public void The_engine_does_not_know_of_Kubernetes(string file)
    {
        if (file.StartsWith("Engine", StringComparison.Ordinal))
            Assert.DoesNotContain("using k8s", File.ReadAllText(Path.Combine(Operator, file)));
    }

    [Theory]
    [MemberData(nameof(SourceFiles))]
    public void The_controller_runtime_does_not_know_what_the_operator_is_for(string file)
    {
        if (!file.StartsWith("Kube" + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            return;
        var text = File.ReadAllText(Path.Combine(Operator, file));
        Assert.All(UseOfOwnNamespace().Matches(text), use => Assert.True(use.Groups[1].Value is "Kube" or "Telemetry", $"{file} uses {use.Value}."));
        Assert.DoesNotContain("webhook", text.Replace("WebhookOperator.", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_folder_is_a_namespace()
    {
        using var assembly = new PEReader(File.OpenRead(typeof(Settings).Assembly.Location));
        var metadata = assembly.GetMetadataReader();
        var known = Layers.Select(l => $"WebhookOperator.{l}").Append("WebhookOperator.Telemetry").Append("WebhookOperator").ToArray();
        foreach (var handle in metadata.TypeDefinitions)
        {
            var space = metadata.GetString(metadata.GetTypeDefinition(handle).Namespace);
            if (space.StartsWith("WebhookOperator", StringComparison.Ordinal))
                Assert.Contains(known, k => space == k || space.StartsWith(k + ".", StringComparison.Ordinal));
        }
    }

    private static int? Rank(string folder)
    {
        for (var i = 0; i < Layers.Length; i++)
            if (folder == Layers[i] || folder.StartsWith(Layers[i] + ".", StringComparison.Ordinal))
                return i;
        return null;
    }

    [GeneratedRegex(@"\bWebhookOperator\.((?:Engine\.)?[A-Z]\w+)")]
    private static partial Regex UseOfOwnNamespace();
}
