using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Kubernetes;

/// <summary>The kinds in the hands of a user with kubectl; what the operator would write, kubectl writes here.</summary>
public sealed partial class CrdUseTests(ControlPlanes planes)
{
    private static readonly string Samples = Path.Combine(Repository.Root, "config", "samples");

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task CRDs_and_samples_are_applied_again_without_a_change(ApiServer server)
    {
        await using var plane = await ControlPlanes.StartOwnAsync(server);
        plane.NeedsServerSideApply();
        await plane.Admin.RunAsync("create", "namespace", "acme");
        foreach (var serverSide in new[] { false, true })
        {
            var way = $"--server-side={serverSide}";
            await plane.InstallCrdsAsync(serverSide);
            var told = await plane.Admin.TryAsync("apply", way, $"--force-conflicts={serverSide}", "-f", Samples);
            Assert.Equal((0, ""), (told.ExitCode, OfTheServer(told.Errors)));
            await StatusAsync(plane, "acme", "orders", "webhook-operator/controller", Condition("Ready", "True"));
            var before = await VersionsAsync(plane);

            Assert.Equal(new KubectlResult(0, "", ""), Without(await plane.Admin.TryAsync("diff", way, "-f", Samples)));
            await plane.InstallCrdsAsync(serverSide);
            await plane.Admin.RunAsync("apply", way, "-f", Samples);

            Assert.Equal(before, await VersionsAsync(plane));
        }
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task An_edit_that_breaks_a_rule_is_refused_and_told_in_the_editor(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        Assert.SkipUnless(plane.HasCel, $"API server {plane.Version} does not know CEL rules.");
        var space = await plane.NamespaceAsync("edit");
        await plane.Admin.ApplyAsync(Manifests.Subscription("orders", @namespace: space));
        using var folder = new TempFolder();
        // The first time it makes the change, and the second time, with the reasons on top, it changes nothing.
        await File.WriteAllTextAsync(folder.File("editor"), $"""
            [ -e {folder.File("seen")} ] || sed -i 's#https://partner.example#ftp://ops:hunter2@partner.example#' "$1"
            cp "$1" {folder.File("seen")}
            """);
        var user = plane.Admin with
        {
            Variables = new Dictionary<string, string> { ["KUBE_EDITOR"] = $"sh {folder.File("editor")}", ["TMPDIR"] = folder.Path },
        };

        var told = await user.TryAsync("edit", "-n", space, "whsub", "orders");

        Assert.NotEqual(0, told.ExitCode);
        Assert.Contains("is invalid", told.Errors);
        var seen = await File.ReadAllTextAsync(folder.File("seen"));
        Assert.Contains("must be an absolute http or https URL, such as https://partner.example/hooks", seen);
        Assert.Contains("must not hold a user name or password; put them into a Secret and name it in endpoint.auth", seen);
        Assert.Equal("https://partner.example/hooks", (string?)(await plane.Admin.GetAsync(space, "whsub", "orders"))["spec"]!["endpoint"]!["url"]);
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task An_algorithm_cannot_be_changed_and_an_unknown_field_is_named(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        Assert.SkipUnless(plane.HasCel, $"API server {plane.Version} does not know CEL rules.");
        var space = await plane.NamespaceAsync("change");
        await plane.Admin.ApplyAsync(Manifests.Generated("signing").Replace("acme", space, StringComparison.Ordinal));

        var algorithm = await plane.Admin.TryAsync(
            "patch", "-n", space, "whsec", "signing", "--type=merge", "-p", """{"spec":{"algorithm":"Ed25519"}}""");
        var unknown = await plane.Admin.TryWithAsync(
            Manifests.Subscription("orders", @namespace: space, more: "  suspended: true"), "apply", "-f", "-");

        Assert.Equal(1, algorithm.ExitCode);
        Assert.Contains("must not change, since receivers hold keys of this kind; create another WebhookSecret", algorithm.Errors);
        Assert.Equal(1, unknown.ExitCode);
        Assert.Contains("unknown field \"spec.suspended\"", unknown.Errors);
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task The_columns_show_the_state(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        var space = await plane.NamespaceAsync("columns");
        await plane.Admin.ApplyAsync(Manifests.Join(
            Manifests.Subscription("orders", @namespace: space), Manifests.Generated("signing").Replace("acme", space, StringComparison.Ordinal)));
        await StatusAsync(plane, space, "orders", "webhook-operator/controller", Condition("Ready", "True"), """
            "endpoint": "https://partner.example/…", "circuit": { "state": "HalfOpen" },
            "delivery": { "pending": 12, "lastSuccessTime": "2020-01-01T00:00:00Z" }
            """);

        var narrow = Cells(await plane.Admin.RunAsync("get", "-n", space, "whsub"));
        var wide = Cells(await plane.Admin.RunAsync("get", "-n", space, "webhooksubscriptions", "-o", "wide"));
        var secret = Cells(await plane.Admin.RunAsync("get", "-n", space, "whsec", "-o", "wide"));
        var both = await plane.Admin.RunAsync("get", "-n", space, "webhooks", "-o", "name");

        Assert.Equal(["NAME", "ENDPOINT", "READY", "CIRCUIT", "PENDING", "LAST-SUCCESS", "AGE"], narrow[0]);
        Assert.Equal(["orders", "https://partner.example/…", "True", "HalfOpen", "12"], narrow[1][..5]);
        Assert.Matches("^[0-9]+y", narrow[1][5]);
        Assert.Equal(["NAME", "ENDPOINT", "READY", "CIRCUIT", "PENDING", "LAST-SUCCESS", "REASON", "AGE"], wide[0]);
        Assert.Equal("ReadyIsTrue", wide[1][6]);
        Assert.Equal(["NAME", "ALGORITHM", "READY", "SECRET", "NEXT-ROTATION", "REASON", "AGE"], secret[0]);
        Assert.Equal(["signing", "HmacSha256"], secret[1][..2]);
        Assert.Equal(["webhooksecret.webhookoperator.io/signing", "webhooksubscription.webhookoperator.io/orders"], both.Trim().Split('\n'));
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Explain_tells_what_a_field_is_for(ApiServer server)
    {
        var plane = await planes.GetAsync(server);

        // The server publishes what it explains a little after the kinds can be used.
        await Wait.UntilAsync(
            async () => (await plane.Admin.TryAsync("explain", "whsub")).ExitCode == 0 && (await plane.Admin.TryAsync("explain", "whsec")).ExitCode == 0,
            () => "both kinds are explained");
        var url = await plane.Admin.RunAsync("explain", "whsub.spec.endpoint.url");
        var overlap = await plane.Admin.RunAsync("explain", "whsec.spec.rotation.overlap");
        var all = await plane.Admin.RunAsync("explain", "whsub", "--recursive");

        Assert.Contains("An absolute URL, https unless the operator is started with --allow-http.", Words(url));
        Assert.Contains("How long the previous key signs too, beside the new one", Words(overlap));
        Assert.All(["maxBreakDuration", "clientCertificateSecretRef", "matchExpressions", "latencyP99Milliseconds"], f => Assert.Contains(f, all));
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Two_writers_of_status_share_the_conditions_and_never_conflict(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        plane.NeedsServerSideApply();
        var space = await plane.NamespaceAsync("status");
        await plane.Admin.ApplyAsync(Manifests.Subscription("orders", @namespace: space));
        Assert.Equal(-1, (int?)(await plane.Admin.GetAsync(space, "whsub", "orders"))["status"]!["observedGeneration"]);

        await StatusAsync(plane, space, "orders", "webhook-operator/controller",
            $"{Condition("Ready", "True")}, {Condition("Reconciling", "False")}", "\"observedGeneration\": 1, \"endpoint\": \"https://partner.example/…\"");
        await StatusAsync(plane, space, "orders", "webhook-operator/delivery", Condition("EndpointHealthy", "False"), "\"delivery\": { \"pending\": 3 }");
        await StatusAsync(plane, space, "orders", "webhook-operator/controller", Condition("Ready", "False"), "\"observedGeneration\": 2");

        var status = (await plane.Admin.GetAsync(space, "whsub", "orders"))["status"]!;
        Assert.Equal(["EndpointHealthy=False", "Ready=False"],
            status["conditions"]!.AsArray().Select(c => $"{c!["type"]}={c["status"]}").Order(StringComparer.Ordinal));
        Assert.Equal(2, (int?)status["observedGeneration"]);
        Assert.Equal(3, (int?)status["delivery"]!["pending"]);
        Assert.Null(status["endpoint"]);
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task A_second_manager_must_say_that_it_takes_a_field_over(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        var space = await plane.NamespaceAsync("managers");
        await plane.Admin.ApplyAsync(Manifests.Subscription("orders", @namespace: space), "--server-side", "--field-manager=gitops");
        var other = Manifests.Subscription("orders", "https://other.example/hooks", space, "  suspend: true");

        var refused = await plane.Admin.TryWithAsync(other, "apply", "--server-side", "--field-manager=console", "-f", "-");
        await plane.Admin.ApplyAsync(other, "--server-side", "--field-manager=console", "--force-conflicts");
        // Different headers of one list belong to different managers.
        foreach (var (manager, header) in new[] { ("one", "X-One"), ("two", "X-Two") })
            await plane.Admin.ApplyAsync($$"""
                apiVersion: webhookoperator.io/v1alpha1
                kind: WebhookSubscription
                metadata: { name: orders, namespace: {{space}} }
                spec: { endpoint: { headers: [{ name: {{header}}, value: a }] } }
                """, "--server-side", $"--field-manager={manager}");

        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("conflict with \"gitops\": .spec.endpoint.url", refused.Errors);
        var spec = (await plane.Admin.GetAsync(space, "whsub", "orders"))["spec"]!;
        Assert.Equal("https://other.example/hooks", (string?)spec["endpoint"]!["url"]);
        Assert.True((bool?)spec["suspend"]);
        Assert.Equal(["X-One", "X-Two"], spec["endpoint"]!["headers"]!.AsArray().Select(h => (string?)h!["name"]));
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Names_and_labels_may_be_as_long_as_Kubernetes_lets_them(ApiServer server)
    {
        var plane = await planes.GetAsync(server);
        var space = await plane.NamespaceAsync("limits");
        var name = string.Join('.', Enumerable.Repeat(new string('a', 62), 4))[..251] + "zz";
        var labelled = $$"""
            apiVersion: webhookoperator.io/v1alpha1
            kind: WebhookSubscription
            metadata:
              name: NAME
              namespace: {{space}}
              labels: { "{{new string('p', 253)}}/{{new string('k', 63)}}": {{new string('v', 63)}} }
            spec: { endpoint: { url: https://partner.example/hooks }, signing: { secretRef: { name: NAME } } }
            """;

        await plane.Admin.ApplyAsync(labelled.Replace("NAME", name, StringComparison.Ordinal));
        var tooLong = await plane.Admin.TryWithAsync(
            labelled.Replace("NAME", name + "z", StringComparison.Ordinal), "apply", "-f", "-");

        Assert.Equal(253, name.Length);
        Assert.Equal(name, (string?)(await plane.Admin.GetAsync(space, "whsub", name))["metadata"]!["name"]);
        Assert.Equal(1, tooLong.ExitCode);
        Assert.Contains("253", tooLong.Errors);
    }

    /// <summary>Writes a status as one of the operator's field managers does.</summary>
    private static Task<string> StatusAsync(
        ControlPlane plane, string space, string name, string manager, string conditions, string more = "\"observedGeneration\": 1") =>
        plane.Admin.ApplyAsync($$"""
            {
              "apiVersion": "webhookoperator.io/v1alpha1", "kind": "WebhookSubscription",
              "metadata": { "name": "{{name}}", "namespace": "{{space}}" },
              "status": { "conditions": [{{conditions}}], {{more}} }
            }
            """, "--server-side", "--subresource=status", "--validate=false", $"--field-manager={manager}",
            // The beta counts the status that it sets by default as the user's.
            $"--force-conflicts={!plane.HasServerSideApply}");

    private static string Condition(string type, string status) => new JsonObject
    {
        ["type"] = type, ["status"] = status, ["reason"] = $"{type}Is{status}", ["message"] = "By a test.", ["lastTransitionTime"] = "2020-01-01T00:00:00Z",
    }.ToJsonString();

    private static async Task<string> VersionsAsync(ControlPlane plane) =>
        await plane.Admin.RunAsync(
            "get", "webhooks,secrets", "-n", "acme", "-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}")
        + await plane.Admin.RunAsync("get", "crds", "-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}");

    private static string[][] Cells(string table) =>
        [.. table.Trim().Split('\n').Select(line => Gap().Split(line.Trim()))];

    private static string Words(string text) => Space().Replace(text, " ");

    private static KubectlResult Without(KubectlResult result) => result with { Errors = OfTheServer(result.Errors) };

    /// <summary>Without kubectl's word on the versions of itself and the server.</summary>
    private static string OfTheServer(string errors) =>
        string.Concat(errors.Split('\n').Where(line => !line.StartsWith("Warning: version difference", StringComparison.Ordinal)));

    [GeneratedRegex(@"\s{2,}")]
    private static partial Regex Gap();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
