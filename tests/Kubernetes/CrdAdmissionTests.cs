using System.Text.RegularExpressions;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>What a real API server lets in, and what it says of the rest.</summary>
public sealed partial class CrdAdmissionTests(ControlPlanes planes)
{
    private static readonly string Golden = Path.Combine(Repository.Root, "tests", "Golden", "BadManifests");

    /// <summary>
    /// The server says what the operator's own checks say, of the same field and in the same words. That the
    /// manifests break every rule there is, BadManifestTests sees to.
    /// </summary>
    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Every_CEL_rule_refuses_the_bad_field_and_says_what_would_be_right(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        Assert.SkipUnless(plane.HasCel, $"API server {plane.Version} does not know CEL rules.");
        var space = await plane.NamespaceAsync("rules");
        foreach (var manifest in BadManifests().SelectMany(Manifest.Parse).Where(m => m.Validate().Count == 0))
        {
            var told = await plane.Admin.TryWithAsync(manifest.Json.ToJsonString(), "create", "-n", space, "-f", "-");
            Assert.Equal(
                manifest.Check().Select(fault => $"{fault.Field}: {fault.Message}").Order(StringComparer.Ordinal),
                Faults(told.Errors).Order(StringComparer.Ordinal));
        }
    }

    /// <summary>Each finding of the validator is one that the server would have too.</summary>
    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task What_the_schema_forbids_is_refused(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        Assert.SkipUnless(plane.HasCel, $"API server {plane.Version} drops unknown fields instead of refusing them.");
        var space = await plane.NamespaceAsync("schema");
        foreach (var text in BadManifests())
            if (Manifest.Parse(text) is [var manifest] && manifest.Validate().Count > 0)
                Assert.False((await plane.Admin.TryWithAsync(text, "create", "-n", space, "-f", "-")).ExitCode == 0, text);
    }

    /// <summary>Each document of tests/Golden/BadManifests.</summary>
    private static IEnumerable<string> BadManifests() =>
        Directory.EnumerateFiles(Golden, "resources.yaml", SearchOption.AllDirectories).Order()
            .SelectMany(file => File.ReadAllText(file).Split("\n---\n"));

    /// <summary>The faults in what kubectl prints of a refused object, each as "FIELD: MESSAGE".</summary>
    private static IEnumerable<string> Faults(string errors) =>
        Fault().Matches(errors).Select(match => $"{match.Groups["field"]}: {match.Groups["message"]}");

    // The newest server tells the value of scalars only, the oldest a type in its place.
    [GeneratedRegex(@"^(?:\* |The \w+ ""[^""]+"" is invalid: )(?<field>[\w.\[\]]+): Invalid value: (?:""(?:[^""\\]|\\.)*"": )?(?<message>.+)$", RegexOptions.Multiline)]
    private static partial Regex Fault();
}
