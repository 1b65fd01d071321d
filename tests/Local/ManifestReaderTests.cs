using CsCheck;
using k8s.Models;
using WebhookOperator.Api;
using WebhookOperator.Local;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Local;

public sealed class ManifestReaderTests
{
    [Fact]
    public void Reads_every_kind_with_defaults_and_from_lists()
    {
        var contents = ManifestReader.Read("a.yaml", """
            apiVersion: v1
            kind: List
            items:
            - apiVersion: webhookoperator.io/v1alpha1
              kind: WebhookSubscription
              metadata: { name: one, labels: { team: shop, empty: "" }, annotations: { note: "x" }, uid: abc, generation: 7 }
              spec: { endpoint: { url: "https://partner.example/" } }
              status: { observedGeneration: nonsense }
            - apiVersion: webhookoperator.io/v1alpha1
              kind: WebhookSecret
              metadata: { name: two, namespace: acme }
              spec: { algorithm: Ed25519, source: { generate: {} } }
            ---
            apiVersion: v1
            kind: Secret
            metadata: { name: three, namespace: acme }
            type: kubernetes.io/basic-auth
            data: { username: dXNlcg==, password: "bG9zZXI=" }
            stringData: { password: "s3cret" }
            ---
            # nothing
            ---
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "four"}}
            """);

        Assert.Empty(contents.Faults);
        Assert.Equal(
            ["WebhookSubscription default/one", "WebhookSecret acme/two", "Secret acme/three", "Secret default/four"],
            contents.Objects.Select(item => item.Key.ToString()));
        var subscription = Assert.IsType<WebhookSubscription>(contents.Objects[0].Resource);
        Assert.Equal("shop", subscription.Metadata.Labels["team"]);
        Assert.Null(subscription.Metadata.Uid);
        Assert.Null(subscription.Status);
        Assert.NotNull(Assert.IsType<WebhookSecret>(contents.Objects[1].Resource).Spec.Source?.Generate);
        var secret = Assert.IsType<V1Secret>(contents.Objects[2].Resource);
        Assert.Equal("user"u8.ToArray(), secret.Data["username"]);
        Assert.Equal("s3cret"u8.ToArray(), secret.Data["password"]);
        Assert.Equal("kubernetes.io/basic-auth", secret.Type);
    }

    [Theory]
    [InlineData("just text", "m.yaml:1:1: is not a Kubernetes object", true)]
    [InlineData("a: [1\nb: 2", "m.yaml:1:2: not valid YAML", true)]
    [InlineData("\tkind: Secret", "m.yaml:1:", true)]
    [InlineData("- 1\n- 2", "m.yaml:1:1: is not a Kubernetes object", true)]
    [InlineData("kind: Secret\nmetadata: {name: a}", "m.yaml:1:1: apiVersion: is required", true)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {}", "metadata.name: is required", true)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {name: Upper}", "m.yaml:3:18: metadata.name: ", true)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: a.b}", "m.yaml:3:32: metadata.namespace: ", true)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {team: 'a b'}}", "m.yaml:3:36: metadata.labels[team]: ", false)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndate: {}", "m.yaml:4:1: date: is not a known field", false)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  key: 's3cr3t!'", "m.yaml:5:8: data[key]: must be base64", false)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  port: 5432", "m.yaml:5:9: stringData[port]: must be a string", false)]
    [InlineData("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  'a b': x", "m.yaml:5:3: stringData[a b]: must be a key", false)]
    [InlineData("apiVersion: example.com/v1\nkind: WebhookSecret\nmetadata: {name: a}", "m.yaml:1:13: apiVersion: must be webhookoperator.io/v1alpha1", true)]
    [InlineData("apiVersion: webhookoperator.io/v1alpha1\nkind: Subscription\nmetadata: {name: a}", "m.yaml:2:7: kind: must be", true)]
    [InlineData("apiVersion: v1\nkind: List\nitems: 3", "items: must be the list", true)]
    public void Tells_what_is_wrong_and_where(string text, string expected, bool incomplete)
    {
        var contents = ManifestReader.Read("m.yaml", text);

        Assert.Empty(contents.Objects);
        Assert.Contains(contents.Faults, fault => fault.ToString().Contains(expected, StringComparison.Ordinal));
        Assert.Equal(incomplete, contents.Incomplete);
        Assert.DoesNotContain(contents.Faults, fault => fault.ToString().Contains("s3cr3t", StringComparison.Ordinal)
            || fault.ToString().Contains("5432", StringComparison.Ordinal));
    }

    [Fact]
    public void A_broken_document_does_not_take_the_others_with_it()
    {
        var contents = ManifestReader.Read("m.yaml", Manifests.Join(
            Manifests.Subscription("good"),
            Manifests.Subscription("bad", more: "  suspend: maybe"),
            Manifests.Subscription("checked", url: "'https://user:pass@partner.example/'"),
            Manifests.Subscription("good", url: "https://other.example/")));

        Assert.Equal(["good"], contents.Objects.Select(item => item.Key.Name));
        Assert.Equal(["bad", "checked"], contents.Broken.Select(key => key.Name).Order());
        Assert.False(contents.Incomplete);
        Assert.Contains(contents.Faults, fault => fault.Field == "spec.suspend" && fault.Line == 19);
        Assert.Contains(contents.Faults, fault => fault.Field == "spec.endpoint.url" && fault.Message.Contains("password", StringComparison.Ordinal));
        Assert.Contains(contents.Faults, fault => fault.Message.Contains("line 1 of this file", StringComparison.Ordinal));
    }

    [Fact]
    public void Other_kinds_are_ignored_and_said_so()
    {
        var contents = ManifestReader.Read("m.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}");

        Assert.Empty(contents.Faults);
        Assert.StartsWith("m.yaml:1:1: Deployment (apps/v1) is ignored", Assert.Single(contents.Ignored).ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a: &a [*a]")]
    [InlineData("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        + "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]")]
    public void Aliases_that_would_exhaust_memory_are_refused(string text)
    {
        var contents = ManifestReader.Read("m.yaml", text);

        Assert.Contains("aliases", Assert.Single(contents.Faults).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        Assert.Contains("nested deeper", Assert.Single(ManifestReader.Read("m.yaml", new string('[', 100_000)).Faults).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Never_throws_and_always_gives_a_place()
    {
        string[] samples =
        [
            Manifests.Join(Manifests.Subscription("one", more: "  events:\n    types: [a.*]\n  delivery:\n    retry: { schedule: [1s, 5m] }"), Manifests.Generated("two")),
            Manifests.Secret("three", "key", "value"),
            """{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"a":"YQ=="}}]}""",
        ];
        const string noise = "\t\n -:{}[]&*!|>'\"%@`#,?a0~\0\u00e9\ud83d";
        var mutation = Gen.Select(Gen.Int[0, 2], Gen.Select(Gen.Int[0, 2], Gen.Int[0, 400], Gen.Int[0, noise.Length - 1]).Array[0, 8]);

        mutation.Sample((sample, edits) =>
        {
            var text = samples[sample];
            foreach (var (what, at, with) in edits)
            {
                var position = at % (text.Length + 1);
                text = what switch
                {
                    0 => text.Insert(position, noise[with].ToString()),
                    1 => text.Remove(position, Math.Min(with, text.Length - position)),
                    _ => text[..position],
                };
            }
            var contents = ManifestReader.Read("m.yaml", text);
            Assert.All(contents.Faults, fault =>
            {
                Assert.True(fault.Line >= 1 && fault.Column >= 1, fault.ToString());
                Assert.NotEmpty(fault.Message);
            });
            Assert.All(contents.Objects, item => Assert.DoesNotContain(item.Key, contents.Broken));
        }, iter: 3000);
    }
}
