using System.Text.RegularExpressions;
using WebhookOperator.Api;
using WebhookOperator.Api.Checks;
using WebhookOperator.Api.Schema;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Api.Schema;

/// <summary>
/// Golden/BadManifests: each folder holds manifests (resources.yaml) and what a user is told of them
/// (findings.txt).
/// </summary>
public sealed partial class BadManifestTests
{
    private static readonly string Golden = Path.Combine(Repository.Root, "tests", "Golden", "BadManifests");

    public static TheoryData<string> Cases() => [.. Directory.EnumerateDirectories(Golden).Order().Select(d => Path.GetFileName(d)!)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_fault_is_told_with_its_place_and_what_would_be_right(string name)
    {
        var told = Read(name).SelectMany(m => m.Findings()).Select(f => $"{f.Line}:{f.Column} {f.Field}: {f.Message}");
        Assert.Equal(File.ReadAllText(Path.Combine(Golden, name, "findings.txt")).TrimEnd().Split('\n'), told);
    }

    /// <summary>The checks say what the API server says, of the same field, and leave no rule out.</summary>
    [Fact]
    public void Every_CEL_rule_has_a_check_with_the_same_message_on_the_same_field()
    {
        var rules = new HashSet<string>();
        foreach (var kind in new[] { WebhookSubscription.KubeKind, WebhookSecret.KubeKind })
            foreach (var (path, node) in CrdTests.Fields(CrdSchema.For(kind).Root, ""))
                foreach (var rule in node.Rules)
                    rules.Add($"{kind} {path}{rule.FieldPath}: {rule.Message}");
        var checks = Cases().SelectMany(name => Read(name.Data))
            .Where(m => m.Validate().Count == 0)
            .SelectMany(m => m.Check(), (m, fault) => $"{m.Kind} {Index().Replace(fault.Field, "[]")}: {fault.Message}")
            .Concat(SecretChecks.CheckChange(
                    new WebhookSecret { Spec = new() },
                    new WebhookSecret { Spec = new() { Algorithm = "Ed25519" } })
                .Select(fault => $"WebhookSecret {fault.Field}: {fault.Message}"))
            .ToHashSet();
        Assert.Equal(rules.Order(), checks.Order());
    }

    private static IReadOnlyList<Manifest> Read(string name) =>
        Manifest.Parse(File.ReadAllText(Path.Combine(Golden, name, "resources.yaml")));

    [GeneratedRegex(@"\[\d+\]")]
    private static partial Regex Index();
}
