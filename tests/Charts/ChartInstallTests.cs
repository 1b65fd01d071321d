using System.Text.Json.Nodes;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Charts;

/// <summary>The chart on a real API server. No controllers run there, so nothing is waited for.</summary>
public sealed class ChartInstallTests
{
    /// <summary>Kinds of others that the chart can make objects of; any spec is taken.</summary>
    private static readonly string OthersKinds = string.Concat(
        OthersKind("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
        OthersKind("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
        OthersKind("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
        OthersKind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"));

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task The_API_server_takes_every_object_of_every_kind_of_values(ApiServer server)
    {
        await using var plane = await StartAsync(server);
        plane.NeedsWhatTheChartNeeds();
        await plane.InstallCrdsAsync();
        await plane.Admin.ApplyAsync(OthersKinds);
        await plane.Admin.RunAsync("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all");
        foreach (var space in (string[])["acme", "shop"])
            await plane.Admin.RunAsync("create", "namespace", space);
        foreach (var (name, values) in ChartValues.All)
        {
            var objects = await Helm.RenderAsync(values, ChartValues.ManyKinds);
            var list = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "List", ["items"] = new JsonArray([.. objects.Select(o => o.DeepClone())]) };

            // --force-conflicts: the CRDs are there, put by another.
            var told = await plane.Admin.TryWithAsync(
                list.ToJsonString(), "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-");

            Assert.True(told.ExitCode == 0, $"{name}:\n{told.Errors}");
            Assert.True(OfTheServer(told.Errors).Length == 0, $"{name}:\n{told.Errors}");
            Assert.Equal(objects.Count, told.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        }
    }

    [Theory]
    [MemberData(nameof(ControlPlanes.Both), MemberType = typeof(ControlPlanes))]
    public async Task Installs_upgrades_and_uninstalls_and_no_subscription_is_lost(ApiServer server)
    {
        await using var plane = await StartAsync(server);
        plane.NeedsWhatTheChartNeeds();
        var helm = new Helm(plane.Admin.Kubeconfig);

        var notes = await helm.RunAsync("install", Helm.Release, Helm.Chart, "-n", Helm.Namespace);
        Assert.Contains("Your first event:", notes);
        Assert.Contains("http://webhooks-webhook-operator.webhook-system.svc:8080/v1/namespaces/webhook-system/events", notes);
        await plane.Admin.RunAsync("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all");
        await plane.Admin.ApplyAsync(Manifests.Subscription("orders", @namespace: Helm.Namespace));
        Assert.Equal("statefulset.apps/webhooks-webhook-operator\n", await plane.Admin.RunAsync("get", "statefulset,deployment", "-n", Helm.Namespace, "-o", "name"));

        // An upgrade to another store, and back to an older revision.
        await plane.Admin.RunAsync("create", "secret", "generic", "webhook-postgres", "-n", Helm.Namespace, "--from-literal=connectionString=Host=p");
        await helm.RunWithAsync(ChartValues.Postgres, "upgrade", Helm.Release, Helm.Chart, "-n", Helm.Namespace, "-f", "-");
        Assert.Equal("deployment.apps/webhooks-webhook-operator\n", await plane.Admin.RunAsync("get", "statefulset,deployment", "-n", Helm.Namespace, "-o", "name"));
        Assert.Equal("3", await plane.Admin.RunAsync("get", "deployment", "webhooks-webhook-operator", "-n", Helm.Namespace, "-o", "jsonpath={.spec.replicas}"));
        await helm.RunAsync("rollback", Helm.Release, "1", "-n", Helm.Namespace);
        Assert.Equal("statefulset.apps/webhooks-webhook-operator\n", await plane.Admin.RunAsync("get", "statefulset,deployment", "-n", Helm.Namespace, "-o", "name"));

        // The CRDs stay, and with them what users made.
        await helm.RunAsync("uninstall", Helm.Release, "-n", Helm.Namespace);
        Assert.Equal("", await plane.Admin.RunAsync("get", "statefulset,deployment,service,serviceaccount,role,rolebinding", "-n", Helm.Namespace, "-o", "name", "-l", "app.kubernetes.io/managed-by=Helm"));
        Assert.Equal("", await plane.Admin.RunAsync("get", "clusterrole,clusterrolebinding", "-o", "name", "-l", "app.kubernetes.io/managed-by=Helm"));
        Assert.Equal("orders", (string?)(await plane.Admin.GetAsync(Helm.Namespace, "whsub", "orders"))["metadata"]!["name"]);

        // The same release takes them over again, and takes them away where that is wanted.
        await helm.RunAsync("install", Helm.Release, Helm.Chart, "-n", Helm.Namespace, "--set", "crds.keep=false");
        Assert.Equal("orders", (string?)(await plane.Admin.GetAsync(Helm.Namespace, "whsub", "orders"))["metadata"]!["name"]);
        await helm.RunAsync("uninstall", Helm.Release, "-n", Helm.Namespace);
        await UntilNoCrdsAsync(plane);
    }

    [Fact]
    public async Task The_API_server_s_addresses_and_ports_are_looked_up_for_the_fence()
    {
        await using var plane = await StartAsync(ApiServer.Newest);
        plane.NeedsWhatTheChartNeeds();
        await plane.Admin.RunWithAsync("""
            apiVersion: v1
            kind: Endpoints
            metadata: { name: kubernetes, namespace: default }
            subsets:
            - { addresses: [{ ip: 10.9.8.7 }, { ip: "fd00::7" }], ports: [{ name: https, port: 6443 }] }
            - { addresses: [{ ip: 10.9.8.8 }], ports: [{ name: https, port: 16443 }] }
            """, "apply", "--server-side", "-f", "-");
        var helm = new Helm(plane.Admin.Kubeconfig);

        await helm.RunAsync("install", Helm.Release, Helm.Chart, "-n", Helm.Namespace, "--set", "networkPolicy.enabled=true");

        var policy = await plane.Admin.GetAsync(Helm.Namespace, "networkpolicy", "webhooks-webhook-operator");
        var rule = policy["spec"]!["egress"]!.AsArray().Single(rule => rule!.ToJsonString().Contains("10.9.8.7/32", StringComparison.Ordinal))!;
        var addresses = rule["to"]!.AsArray().Select(peer => (string)peer!["ipBlock"]!["cidr"]!);
        Assert.Superset(new HashSet<string> { "10.9.8.7/32", "fd00::7/128", "10.9.8.8/32" }, addresses.ToHashSet());
        var ports = rule["ports"]!.AsArray().Select(port => (int)port!["port"]!).ToList();
        Assert.Superset(new HashSet<int> { 443, 6443, 16443 }, ports.ToHashSet());
        Assert.Distinct(ports);
    }

    /// <summary>A server whose look at what is left of a kind gets stuck, as one that is busy may, looks again after a minute, or once the CRD changes.</summary>
    private static async Task UntilNoCrdsAsync(ControlPlane plane)
    {
        for (var look = 1; look <= 8; look++)
        {
            await plane.Admin.TryAsync("wait", "--for=delete", "--timeout=20s", "crd", "--all");
            if ((await plane.Admin.RunAsync("get", "crd", "-o", "name")).Length == 0)
                return;
            await plane.Admin.TryAsync("annotate", "crd", "--all", "--overwrite", $"look={look}");
        }
        Assert.Equal("", await plane.Admin.RunAsync("get", "crd", "-o", "yaml"));
    }

    private static async Task<ControlPlane> StartAsync(ApiServer server)
    {
        var plane = await ControlPlanes.StartOwnAsync(server);
        await plane.Admin.RunAsync("create", "namespace", Helm.Namespace);
        return plane;
    }

    /// <summary>What the API server warns of, without the CLI's own lines.</summary>
    private static string OfTheServer(string errors) =>
        string.Join('\n', errors.Split('\n').Where(line => line.StartsWith("Warning:", StringComparison.Ordinal)));

    private static string OthersKind(string group, string version, string kind, string plural) => $$"""
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: { name: {{plural}}.{{group}} }
        spec:
          group: {{group}}
          scope: Namespaced
          names: { kind: {{kind}}, plural: {{plural}} }
          versions:
          - name: {{version}}
            served: true
            storage: true
            schema: { openAPIV3Schema: { type: object, properties: { spec: { type: object, x-kubernetes-preserve-unknown-fields: true } } } }
        ---

        """;
}
