using WebhookOperator.Cli;
using WebhookOperator.Tests.Testing;
using static WebhookOperator.Tests.Testing.Manifests;

namespace WebhookOperator.Tests.Cli;

public sealed class ValidationTests
{
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
        Assert.Equal(0, Validation.Run([Path.Combine(Repository.Root, "config", "samples")], TextReader.Null, output));
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

        var code = Validation.Run([folder.FullName, Path.Combine(folder.FullName, "none.yaml")], TextReader.Null, output);

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

        var (code, lines) = Validate(File.ReadAllText(Path.Combine(Repository.Root, "tests", "Golden", "unusable", "resources.yaml")));
        Assert.Equal(1, code);
        foreach (var told in new[]
        {
            "spec.endpoint.tls.caSecretRef: names a key that holds a certificate that can't be read: number 2",
            "spec.endpoint.tls.clientCertificateSecretRef: names a Secret whose key tls.key is encrypted; store it without a passphrase",
            "spec.endpoint.tls.clientCertificateSecretRef: names a Secret whose key tls.key is not the key of the first certificate",
            "spec.endpoint.tls.clientCertificateSecretRef: names a Secret whose key tls.crt holds no certificate in PEM",
        })
            Assert.Contains(lines, line => line.Contains(told, StringComparison.Ordinal));
    }

    private static (int Code, string[] Lines) Validate(string text)
    {
        using var output = new StringWriter();
        var code = Validation.Run(["-"], new StringReader(text), output);
        return (code, output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }
}
