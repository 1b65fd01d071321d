using System.Text.Json;
using System.Text.Json.Nodes;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Charts;

/// <summary>
/// <c>config/default</c> and the chart, with nothing set, are the same installation, but for labels and annotations that say
/// who manages it.
/// </summary>
public sealed class SameObjectsTests(ControlPlanes planes)
{
    [Fact]
    public async Task Kustomize_and_Helm_make_the_same_objects()
    {
        var plane = await planes.GetAsync(ApiServer.Newest);
        var kustomize = Helm.Objects(await plane.Admin.RunAsync("kustomize", Path.Combine(Repository.Root, "config", "default")));
        var helm = Helm.Objects(await new Helm().RunAsync(
            "template", "webhook-operator", Helm.Chart, "-n", "webhook-operator-system", "--set", "test.enabled=false"));

        // The namespace is helm's --create-namespace.
        var expected = Compared(kustomize.Where(o => (string?)o["kind"] != "Namespace"));
        var actual = Compared(helm);
        Assert.Equal(expected.Keys, actual.Keys);
        Assert.All(expected, o => Assert.Equal(o.Value, actual[o.Key]));
    }

    private static SortedDictionary<string, string> Compared(IEnumerable<JsonNode> objects)
    {
        var compared = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var o in objects)
            compared.Add($"{o["kind"]} {o["metadata"]!["namespace"]}/{o["metadata"]!["name"]}", Plain(o).ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        return compared;
    }

    /// <summary>Members sorted, without what is the default or tells of the tool.</summary>
    private static JsonNode Plain(JsonNode node) => node switch
    {
        JsonObject members => new JsonObject(members
            .Where(member => !Dropped(member.Key, member.Value))
            .OrderBy(member => member.Key, StringComparer.Ordinal)
            .Select(member => KeyValuePair.Create(member.Key, (JsonNode?)(member switch
            {
                { Key: "args", Value: JsonArray args } => Effective(args),
                { Key: "labels", Value: JsonObject labels } => new JsonObject(labels.Where(label => IsRoleLabel(label.Key))
                    .OrderBy(label => label.Key, StringComparer.Ordinal).Select(label => KeyValuePair.Create(label.Key, label.Value?.DeepClone()))),
                _ => Plain(member.Value!),
            })))),
        JsonArray items when items.All(item => item is JsonObject named && named.ContainsKey("name")) =>
            new JsonArray([.. items.OrderBy(item => (string?)item!["name"], StringComparer.Ordinal).Select(item => Plain(item!))]),
        JsonArray items => new JsonArray([.. items.Select(item => Plain(item!))]),
        _ => node.DeepClone(),
    };

    /// <summary>The cluster's own roles are put together by it.</summary>
    private static bool IsRoleLabel(string key) => key.StartsWith("rbac.authorization.k8s.io/", StringComparison.Ordinal);

    private static bool Dropped(string key, JsonNode? value) => (key, value) switch
    {
        ("annotations", _) => true,
        // Pods must have those of their selector, and selectors are compared.
        ("labels", JsonObject labels) => !labels.Any(label => IsRoleLabel(label.Key)),
        ("protocol", JsonValue protocol) => (string?)protocol == "TCP",
        ("type", JsonValue type) => (string?)type == "ClusterIP",
        ("imagePullPolicy", _) => (string?)value == "IfNotPresent",
        _ => value is null,
    };

    /// <summary>What the flags come to, whether they are given or the default.</summary>
    private static JsonNode Effective(JsonArray args)
    {
        var typed = args.Skip(1).Select(arg => ((string)arg!).Split('=', 2)).GroupBy(flag => flag[0], flag => flag is [_, var value] ? value : "true")
            .ToDictionary(flag => flag.Key, IReadOnlyList<string> (flag) => [.. flag.Select(value => value.Replace("/var/lib/webhook-operator/", "", StringComparison.Ordinal))]);
        var settings = Settings.Parse(typed, new Dictionary<string, string>());
        Assert.Empty(settings.Faults);
        // In a pod, its own namespace is the default.
        var effective = settings.Settings! with { LeaseNamespace = settings.Settings.LeaseNamespace ?? "webhook-operator-system" };
        return effective.ToString();
    }
}
