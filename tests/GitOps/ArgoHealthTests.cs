using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;
using WebhookOperator.Tests.Reconcile;
using WebhookOperator.Tests.Testing;
using YamlDotNet.RepresentationModel;

namespace WebhookOperator.Tests.GitOps;

/// <summary>Argo CD's health check, run by a real Lua on what a real operator writes into status.</summary>
public sealed class ArgoHealthTests
{
    private const string Kind = "resource.customizations.health.webhookoperator.io_";
    private static readonly string ConfigMap = Path.Combine(Repository.Root, "config", "gitops", "argocd", "argocd-cm.yaml");

    [Fact]
    public async Task Subscriptions_have_the_health_that_their_conditions_tell()
    {
        await using var good = await Receiver.StartAsync();
        await using var bad = await Receiver.StartAsync(Answers.Status(503));
        await using var gone = await Receiver.StartAsync(Answers.Status(410));
        await using var local = await LocalOperator.StartAsync(
            LocalOperator.Subscription("good", good.Url) + LocalOperator.Subscription("bad", bad.Url) + LocalOperator.Subscription("gone", gone.Url)
            + LocalOperator.Subscription("suspended", good.Url, "  suspend: true")
            + LocalOperator.Subscription("waiting", good.Url, "  signing: { secretRef: { name: missing } }")
            + Manifests.Secret("odd", "url", "ftp://partner.example/") + "\n---\n"
            + Manifests.Subscription("stalled").Replace(
                "url: https://partner.example/hooks", "urlFrom: { secretKeyRef: { name: odd, key: url } }", StringComparison.Ordinal));
        await local.PublishAsync("{}", "1");
        await UntilAsync("good", "EndpointHealthy", "True");
        await UntilAsync("bad", "EndpointHealthy", "False");
        await UntilAsync("gone", "Disabled", "True");

        Assert.Equal(("Healthy", "Accepted"), await HealthAsync(await GetAsync("good")));
        Assert.Equal(("Healthy", "HttpStatus"), await HealthAsync(await GetAsync("bad")));
        Assert.Equal(("Suspended", "Gone"), await HealthAsync(await GetAsync("gone")));
        Assert.Equal(("Suspended", "SuspendedBySpec"), await HealthAsync(await GetAsync("suspended")));
        Assert.Equal(("Progressing", "WebhookSecretNotFound"), await HealthAsync(await GetAsync("waiting")));
        Assert.Equal(("Degraded", "InvalidUrl"), await HealthAsync(await GetAsync("stalled")));

        // Changed, and not yet looked at; and new, with and without the default of the CRD.
        const string Waiting = "Waiting for the operator to look at it";
        var changed = await GetAsync("good");
        changed["metadata"]!["generation"] = (long)changed["metadata"]!["generation"]! + 1;
        Assert.Equal(("Progressing", Waiting), await HealthAsync(changed));
        var fresh = await GetAsync("good");
        fresh["status"] = new JsonObject { ["observedGeneration"] = -1 };
        Assert.Equal(("Progressing", Waiting), await HealthAsync(fresh));
        fresh.AsObject().Remove("status");
        Assert.Equal(("Progressing", Waiting), await HealthAsync(fresh));

        async Task<JsonNode> GetAsync(string name) => (await local.GetAsync($"/v1/namespaces/acme/subscriptions/{name}")).Json;

        Task UntilAsync(string name, string type, string status) => LocalOperator.UntilAsync(async () =>
            (await GetAsync(name))["status"]?["conditions"]?.AsArray().Any(c => (string?)c!["type"] == type && (string?)c["status"] == status) == true);
    }

    [Fact]
    public async Task Secrets_have_the_health_that_their_conditions_tell()
    {
        await using var harness = new ReconcileHarness();
        harness.Directory.Write("resources.yaml", Manifests.Join(
            Manifests.Generated("generated"), Manifests.Adopted("waiting", "missing", "key"),
            Manifests.Secret("odd", "key", "no key at all"), Manifests.Adopted("stalled", "odd", "key")));
        await harness.StartAsync();

        Assert.Equal(("Healthy", "KeysAvailable"), await HealthAsync(Get("generated"), "WebhookSecret"));
        Assert.Equal(("Progressing", "SecretNotFound"), await HealthAsync(Get("waiting"), "WebhookSecret"));
        Assert.Equal(("Degraded", "InvalidKey"), await HealthAsync(Get("stalled"), "WebhookSecret"));

        JsonNode Get(string name)
        {
            Assert.True(harness.Source.TryGetWebhookSecret("acme", name, out var secret));
            return JsonNode.Parse(KubernetesJson.Serialize(secret))!;
        }
    }

    /// <summary>The health, and the reason that its message begins with (the whole message where it has none).</summary>
    private static async Task<(string Status, string Reason)> HealthAsync(JsonNode resource, string kind = "WebhookSubscription")
    {
        using var folder = new TempFolder();
        var script = folder.File("health.lua");
        // As Argo CD runs it: the resource in the global obj, and the health in what the chunk returns.
        await File.WriteAllTextAsync(script, $"""
            obj = {Lua(resource)}
            local function check()
            {Check(kind)}
            end
            local health = check()
            io.write(health.status, "\n", health.message)
            """);
        var ran = await DebianProgram.Lua.RunAsync(script);
        Assert.True(ran.ExitCode == 0, ran.Everything);
        var lines = ran.Output.Split('\n', 2);
        return (lines[0], lines[1].Split(": ")[0]);
    }

    private static string Check(string kind)
    {
        var yaml = new YamlStream();
        using var reader = File.OpenText(ConfigMap);
        yaml.Load(reader);
        return ((YamlScalarNode)yaml.Documents[0].RootNode["data"][Kind + kind]).Value!;
    }

    private static string Lua(JsonNode? value)
    {
        switch (value)
        {
            case JsonObject members:
                return $"{{{string.Join(", ", members.Where(m => m.Value is not null).Select(m => $"[{Text(m.Key)}] = {Lua(m.Value)}"))}}}";
            case JsonArray items:
                return $"{{{string.Join(", ", items.Select(Lua))}}}";
            case JsonValue scalar when scalar.GetValueKind() == JsonValueKind.String:
                return Text((string)scalar!);
            default:
                return value!.ToJsonString();
        }

        static string Text(string text) => text.Aggregate(
            new StringBuilder("\""), (quoted, c) => c is >= ' ' and <= '~' and not ('"' or '\\') ? quoted.Append(c)
                : quoted.Append(CultureInfo.InvariantCulture, $"\\u{{{(int)c:x}}}"), quoted => quoted.Append('"').ToString());
    }
}
