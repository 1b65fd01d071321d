using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using WebhookOperator.Cli;
using WebhookOperator.Tests.Testing;
using static WebhookOperator.Tests.Testing.Manifests;

namespace WebhookOperator.Tests.Cli;

public sealed partial class ValidationTests
{
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public void Good_manifests_pass()
    {
        var (code, lines) = Validate(Join(Generated("keys"), Subscription("one", more: "  signing:\n    secretRef:\n      name: keys")));

        Assert.Equal(0, code);
        Assert.Equal(["2 objects, no faults"], lines);
    }

    [Fact]
    public void The_samples_pass()
    {
        using var output = new StringWriter();
        Assert.Equal(0, Validation.Run([Path.Combine(Repository.Root, "config", "samples")], TextReader.Null, output, TimeProvider.System));
    }

    [Fact]
    public void Faults_are_told_with_their_place()
    {
        var (code, lines) = Validate(Join(Subscription("one", more: "  suspend: maybe"), Generated("keys")));

        Assert.Equal(1, code);
        Assert.StartsWith("<stdin>:9:12: spec.suspend: must be true or false", lines[0], StringComparison.Ordinal);
        Assert.Equal("1 objects without faults, 1 faults", lines[^1]);
    }

    [Fact]
    public void References_between_the_files_are_checked()
    {
        var folder = Directory.CreateTempSubdirectory("validate-");
        File.WriteAllText(Path.Combine(folder.FullName, "a.yaml"), Join(Adopted("keys", "source", "missing"), Adopted("short", "source", "key"), Adopted("away", "elsewhere", "key")));
        File.WriteAllText(Path.Combine(folder.FullName, "b.yaml"), Secret("source", "key", "whsec_c2hvcnQ="));
        File.WriteAllText(Path.Combine(folder.FullName, "c.yaml"), Secret("source", "key", "again"));
        using var output = new StringWriter();

        var code = Validation.Run([folder.FullName, Path.Combine(folder.FullName, "none.yaml")], TextReader.Null, output, TimeProvider.System);

        var lines = output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(1, code);
        Assert.Contains(lines, line => line.StartsWith(Path.Combine(folder.FullName, "a.yaml") + ":11:12: spec.source.secretKeyRef.key: must be a key of the Secret source", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("a.yaml:21:5: spec.source.secretKeyRef: names a signing key that is 5 bytes long", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("c.yaml:4:9: metadata.name: must not name Secret acme/source again", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("none.yaml:1:1: can't be read", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("note: the Secret acme/elsewhere is in none of these files", StringComparison.Ordinal));
        Assert.DoesNotContain(lines, line => line.Contains("c2hvcnQ", StringComparison.Ordinal));
        folder.Delete(recursive: true);
    }

    [Fact]
    public void A_Secret_where_a_WebhookSecret_keeps_its_keys_is_a_fault()
    {
        var (code, lines) = Validate(Join(Generated("keys"), Secret("keys-webhook-keys", "key", "mine"), Secret("keys", "key", "mine")));

        Assert.Equal(1, code);
        Assert.EndsWith(
            "metadata.name: must not be keys-webhook-keys, where WebhookSecret acme/keys keeps its keys (SecretConflict): rename one of them",
            lines[0], StringComparison.Ordinal);
        Assert.Equal("3 objects without faults, 1 faults", lines[^1]);
    }

    [Fact]
    public void What_needs_a_flag_is_noted()
    {
        var (code, lines) = Validate(Subscription("one", "http://127.0.0.1/"));

        Assert.Equal(0, code);
        Assert.Contains("--allow-http", lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Certificates_and_keys_are_read()
    {
        Assert.Equal(0, Validate(File.ReadAllText(Path.Combine(Repository.Root, "tests", "Golden", "auth", "resources.yaml"))).Code);
    }

    /// <summary>All that the operator calls stalled in those, but for what needs a flag.</summary>
    [Theory]
    [InlineData("held")]
    [InlineData("unusable")]
    public void What_the_operator_stalls_on_is_a_fault_with_its_reason(string golden)
    {
        var folder = Path.Combine(Repository.Root, "tests", "Golden", golden);
        var stalled = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "routes.json")))!.ToJsonString(Relaxed);

        var (code, lines) = Validate(File.ReadAllText(Path.Combine(folder, "resources.yaml")));

        Assert.Equal(1, code);
        var told = StalledCondition().Matches(stalled).Select(match => match.Groups[1].Value)
            .Where(message => !message.StartsWith("Insecure", StringComparison.Ordinal)).ToArray();
        Assert.NotEmpty(told);
        Assert.All(told, message => Assert.Contains(lines, line => line.EndsWith(message, StringComparison.Ordinal) && !line.Contains("note:", StringComparison.Ordinal)));
    }

    [Fact]
    public void Each_thing_that_is_made_from_a_Secret_is_tried_and_told_where_it_is_named()
    {
        var (code, lines) = Validate("""
            apiVersion: v1
            kind: Secret
            metadata: { name: partner, namespace: acme }
            stringData:
              nowhere: not a hunter2
              plain: http://partner.example/hunter2
              lines: "hunter2\nhunter3"
              empty: ""
            ---
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: one, namespace: acme }
            spec:
              endpoint:
                urlFrom: { secretKeyRef: { name: partner, key: nowhere } }
                headers:
                  - { name: X-Fine, value: fine }
                  - { name: X-Key, valueFrom: { secretKeyRef: { name: partner, key: lines } } }
                  - { name: X-Away, valueFrom: { secretKeyRef: { name: elsewhere, key: away } } }
                auth:
                  oauth2:
                    tokenUrl: https://login.partner.example/token
                    clientId: me
                    clientSecretRef: { name: partner, key: empty }
                tls:
                  caSecretRef: { name: partner, key: lines }
            ---
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: two, namespace: acme }
            spec:
              endpoint:
                urlFrom:
                  secretKeyRef: { name: partner, key: plain }
                tls: { serverName: partner.example }
            ---
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata: { name: three, namespace: acme }
            spec:
              endpoint:
                urlFrom: { secretKeyRef: { name: partner, key: plain } }
            """);

        Assert.Equal(1, code);
        Assert.Collection(lines,
            line => Assert.StartsWith("<stdin>:15:16: spec.endpoint.urlFrom.secretKeyRef: InvalidUrl: The URL in the key nowhere of the Secret partner must be", line),
            line => Assert.StartsWith("<stdin>:18:37: spec.endpoint.headers[1].valueFrom.secretKeyRef: InvalidHeaderValue: The key lines of the Secret partner", line),
            line => Assert.StartsWith("<stdin>:24:9: spec.endpoint.auth.oauth2.clientSecretRef: EmptyClientSecret: The key empty of the Secret partner", line),
            line => Assert.StartsWith("<stdin>:26:7: spec.endpoint.tls.caSecretRef: InvalidCertificate: The key lines of the Secret partner", line),
            line => Assert.StartsWith("<stdin>:34:7: spec.endpoint.urlFrom.secretKeyRef: InvalidSpec: spec.endpoint.tls must be left out", line),
            line => Assert.Contains("note: the Secret acme/elsewhere is in none of these files", line),
            line => Assert.Contains("<stdin>:42:16: spec.endpoint.urlFrom.secretKeyRef: note: is held back unless the operator runs with --allow-http", line),
            line => Assert.Equal("4 objects without faults, 5 faults", line));
        Assert.DoesNotContain(lines, line => line.Contains("hunter", StringComparison.Ordinal));
    }

    [Fact]
    public void A_certificate_that_is_not_valid_yet_is_noted_since_time_mends_it()
    {
        var (_, lines) = Validate(File.ReadAllText(Path.Combine(Repository.Root, "tests", "Golden", "unusable", "resources.yaml")));

        Assert.Contains(lines, line => line.Contains(
            "spec.endpoint.tls.clientCertificateSecretRef: note: CertificateNotYetValid: The key tls.crt of the Secret not-yet-valid", StringComparison.Ordinal));
    }

    private static (int Code, string[] Lines) Validate(string text)
    {
        using var output = new StringWriter();
        var code = Validation.Run(["-"], new StringReader(text), output, TimeProvider.System);
        return (code, output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [GeneratedRegex("\"Stalled=True ([^\"]+)\"")]
    private static partial Regex StalledCondition();
}
