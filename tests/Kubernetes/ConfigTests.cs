using System.Xml.Linq;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>The manifests of <c>config/</c> for kubectl and kustomize.</summary>
public sealed class ConfigTests(ControlPlanes planes)
{
    private static readonly string Config = Path.Combine(Repository.Root, "config");

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task All_of_it_installs_with_one_command_and_again_without_a_change(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        await plane.Admin.RunAsync("create", "namespace", "acme");
        foreach (var variant in new[] { "default", "namespaced" })
        {
            string[] apply = ["apply", "--server-side", "-k", Path.Combine(Config, variant), .. plane.CrdFlags];
            await plane.Admin.RunAsync(apply);
            await plane.Admin.RunAsync("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all");
            var first = await VersionsAsync();
            await plane.Admin.RunAsync(apply);

            Assert.Equal(first, await VersionsAsync());
            Assert.NotEmpty(first);
            Assert.Equal(0, (await plane.Admin.TryAsync("diff", $"--server-side={plane.HasCel}", "-k", Path.Combine(Config, variant))).ExitCode);

            Task<string> VersionsAsync() => plane.Admin.RunAsync(
                "get", "-k", Path.Combine(Config, variant), "-o", "jsonpath={range .items[*]}{.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}");
        }
    }

    [Fact]
    public async Task The_image_is_that_of_this_version()
    {
        var version = (string)XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants("Version").Single();
        var plane = await planes.GetAsync(ApiServer.Newest);

        foreach (var variant in new[] { "default", "namespaced" })
            Assert.Contains(
                $"image: ghcr.io/webhookoperator/webhook-operator:{version}\n", await plane.Admin.RunAsync("kustomize", Path.Combine(Config, variant)));
    }

    [Theory]
    [InlineData("webhook-operator-view", "get webhooksubscriptions", "list webhooksecrets", "get webhooksubscriptions/deliveries")]
    [InlineData("webhook-operator-edit", "patch webhooksubscriptions", "delete webhooksecrets", "create webhooksubscriptions/events",
        "create webhooksubscriptions/deliveries")]
    [InlineData("webhook-publisher", "create webhooksubscriptions/events")]
    [InlineData("webhook-log-reader", "get webhooksubscriptions/deliveries")]
    public async Task A_role_for_users_allows_what_it_says_in_its_namespace_alone(string role, params string[] rights)
    {
        string[] all =
        [
            "get webhooksubscriptions", "list webhooksecrets", "get webhooksubscriptions/deliveries", "create webhooksubscriptions/deliveries",
            "create webhooksubscriptions/events", "patch webhooksubscriptions", "delete webhooksecrets", "patch webhooksubscriptions/status", "get secrets",
        ];
        var plane = await planes.GetAsync(ApiServer.Newest);
        await plane.Admin.RunAsync("apply", "--server-side", "-f", Path.Combine(Config, "rbac", "base", "users.yaml"));
        var (space, other) = (await plane.NamespaceAsync("users"), await plane.NamespaceAsync("users"));
        await plane.Admin.RunAsync("create", "rolebinding", "test", "-n", space, $"--clusterrole={role}", "--user=someone");

        // The server hears of a new binding as everybody does, by a watch.
        await Wait.UntilAsync(async () => (await AllowedAsync(space)).Any(), () => "the binding is known");
        Assert.Equal(rights.Order(), (await AllowedAsync(space)).Order());
        Assert.Empty(await AllowedAsync(other));

        async Task<IEnumerable<string>> AllowedAsync(string @namespace)
        {
            var reviews = string.Join("\n---\n", all.Select(right => $$"""
                apiVersion: authorization.k8s.io/v1
                kind: SubjectAccessReview
                spec:
                  user: someone
                  resourceAttributes:
                    namespace: {{@namespace}}
                    verb: {{right.Split(' ')[0]}}
                    group: {{(right.Contains("webhook", StringComparison.Ordinal) ? "webhookoperator.io" : "\"\"")}}
                    resource: {{right.Split(' ')[1].Split('/')[0]}}
                    subresource: {{right.Split('/').ElementAtOrDefault(1) ?? "\"\""}}
                """));
            var answers = await plane.Admin.RunWithAsync(reviews, "create", "-f", "-", "-o", "jsonpath={.status.allowed}{\"\\n\"}");
            return all.Zip(answers.Split('\n')).Where(pair => pair.Second == "true").Select(pair => pair.First);
        }
    }
}
