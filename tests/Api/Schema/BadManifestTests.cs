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
            .Concat(DurationFaults())
            .Concat(SecretChecks.CheckChange(
                    new WebhookSecret { Spec = new() },
                    new WebhookSecret { Spec = new() { Algorithm = "Ed25519" } })
                .Select(fault => $"WebhookSecret {fault.Field}: {fault.Message}"))
            .ToHashSet();
        Assert.Equal(rules.Order(), checks.Order());
    }

    /// <summary>Every duration of both kinds out of bounds.</summary>
    private static IEnumerable<string> DurationFaults() => Manifest.Parse("""
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSubscription
        metadata: { name: a }
        spec:
          endpoint: { url: "https://a.example", timeout: 0s }
          delivery:
            retry: { schedule: [0s], maxAge: 0s }
            circuitBreaker: { samplingWindow: 0s, breakDuration: 0s, maxBreakDuration: 0s }
            rateLimit: { requests: 1, per: 0s }
            disableAfter: 0s
        ---
        apiVersion: webhookoperator.io/v1alpha1
        kind: WebhookSecret
        metadata: { name: a }
        spec: { source: { generate: {} }, rotation: { interval: 1s, overlap: 0s } }
        """).SelectMany(m => m.Check(), (m, fault) => $"{m.Kind} {Index().Replace(fault.Field, "[]")}: {fault.Message}");

    private static IReadOnlyList<Manifest> Read(string name) =>
        Manifest.Parse(File.ReadAllText(Path.Combine(Golden, name, "resources.yaml")));

    [GeneratedRegex(@"\[\d+\]")]
    private static partial Regex Index();
}
