using System.Text.Json.Nodes;
using WebhookOperator.Tests.Testing;

namespace WebhookOperator.Tests.Charts;

/// <summary>What the chart makes of values, seen without a cluster.</summary>
public sealed class ChartRenderTests
{
    [Fact]
    public async Task Lint_finds_nothing() =>
        Assert.DoesNotContain("[WARNING]", await new Helm().RunAsync("lint", "--strict", Helm.Chart));

    [Theory]
    [MemberData(nameof(ChartValues.Names), MemberType = typeof(ChartValues))]
    public async Task Pods_meet_the_restricted_standard_and_no_user_id_is_fixed(string name)
    {
        foreach (var pod in Pods(await Helm.RenderAsync(ChartValues.All[name], ChartValues.ManyKinds)))
        {
            Assert.True((bool?)pod["securityContext"]!["runAsNonRoot"]);
            Assert.Equal("RuntimeDefault", (string?)pod["securityContext"]!["seccompProfile"]!["type"]);
            Assert.Null(pod["securityContext"]!["runAsUser"]);
            foreach (var container in pod["containers"]!.AsArray().Where(c => (string?)c!["name"] is not "proxy"))
            {
                var security = container!["securityContext"]!;
                Assert.False((bool?)security["allowPrivilegeEscalation"]);
                Assert.True((bool?)security["readOnlyRootFilesystem"]);
                Assert.Equal("""["ALL"]""", security["capabilities"]!["drop"]!.ToJsonString());
                Assert.Null(security["runAsUser"]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(ChartValues.Names), MemberType = typeof(ChartValues))]
    public async Task The_program_takes_the_flags_that_the_chart_gives_it(string name)
    {
        var flags = Operator(await Helm.RenderAsync(ChartValues.All[name], ChartValues.ManyKinds))["args"]!.AsArray().Select(arg => (string)arg!).ToArray();
        Assert.Equal("run", flags[0]);
        using var folder = new TempFolder();
        var environment = new Dictionary<string, string> { ["WEBHOOK_OPERATOR_POSTGRES"] = "Host=postgres;Database=webhooks" };
        // What is there only in the pod.
        var given = flags[1..].Where(flag => !flag.StartsWith("--api-token-file", StringComparison.Ordinal)).Select(flag => flag
            .Replace("/var/lib/webhook-operator", folder.Path, StringComparison.Ordinal));
        var typed = given.Select(flag => flag.Split('=', 2)).GroupBy(flag => flag[0], flag => flag is [_, var value] ? value : "true")
            .ToDictionary(flag => flag.Key, IReadOnlyList<string> (flag) => [.. flag]);

        Assert.Subset(Setting.All.Select(setting => setting.Flag).ToHashSet(), typed.Keys.ToHashSet());
        Assert.DoesNotContain(Settings.Parse(typed, environment).Faults, fault => !fault.Contains("is not available in this version", StringComparison.Ordinal));
    }

    [Fact]
    public async Task SQLite_runs_in_a_StatefulSet_with_a_volume_that_stays()
    {
        var objects = await Helm.RenderAsync(ChartValues.Default);

        var workload = One(objects, "StatefulSet");
        Assert.DoesNotContain(objects, o => Kind(o) is "PodDisruptionBudget" or "HorizontalPodAutoscaler" || Component(o) == "operator" && Kind(o) == "Deployment");
        Assert.Equal(1, (int?)workload["spec"]!["replicas"]);
        Assert.Equal("data", (string?)workload["spec"]!["volumeClaimTemplates"]![0]!["metadata"]!["name"]);
        Assert.Equal("Retain", (string?)workload["spec"]!["persistentVolumeClaimRetentionPolicy"]!["whenDeleted"]);
        Assert.Equal(1654, (int?)Pod(workload)["securityContext"]!["fsGroup"]);
        Assert.Contains(Operator(objects)["volumeMounts"]!.AsArray(), mount => (string?)mount!["name"] == "data");
    }

    [Fact]
    public async Task PostgreSQL_runs_in_a_Deployment_that_is_spread_and_never_drained_away()
    {
        var objects = await Helm.RenderAsync(ChartValues.Postgres);

        var workload = objects.Single(o => Kind(o) == "Deployment" && Component(o) == "operator");
        Assert.Equal(3, (int?)workload["spec"]!["replicas"]);
        Assert.Contains("--store=postgres", Operator(objects)["args"]!.AsArray().Select(arg => (string)arg!));
        Assert.Equal("webhook-postgres", (string?)Operator(objects)["env"]![0]!["valueFrom"]!["secretKeyRef"]!["name"]);
        Assert.Equal(1, (int?)One(objects, "PodDisruptionBudget")["spec"]!["maxUnavailable"]);
        Assert.Equal(2, Pod(workload)["topologySpreadConstraints"]!.AsArray().Count);
        Assert.DoesNotContain(Pod(workload)["volumes"]!.AsArray(), volume => (string?)volume!["name"] == "data");
    }

    [Theory]
    [InlineData("minAvailable: 0, maxUnavailable: \"\"", "minAvailable", "0")]
    [InlineData("minAvailable: 0", "maxUnavailable", "1")]
    [InlineData("maxUnavailable: 0", "maxUnavailable", "0")]
    [InlineData("minAvailable: 50%, maxUnavailable: null", "minAvailable", "50%")]
    public async Task A_drain_may_take_what_is_given(string budget, string bound, string value)
    {
        var spec = One(await Helm.RenderAsync($"{ChartValues.Postgres}\npodDisruptionBudget: {{ {budget} }}"), "PodDisruptionBudget")["spec"]!;

        Assert.Equal(value, spec[bound]?.ToString());
        Assert.Null(spec[bound == "minAvailable" ? "maxUnavailable" : "minAvailable"]);
    }

    [Fact]
    public async Task Scaling_by_others_leaves_the_number_of_pods_to_them()
    {
        var scaled = await Helm.RenderAsync(ChartValues.Autoscaled);
        Assert.Null(scaled.Single(o => Kind(o) == "Deployment" && Component(o) == "operator")["spec"]!["replicas"]);
        Assert.Equal(2, One(scaled, "HorizontalPodAutoscaler")["spec"]!["metrics"]!.AsArray().Count);
        Assert.Equal(1, (int?)One(scaled, "PodDisruptionBudget")["spec"]!["minAvailable"]);

        var keda = await Helm.RenderAsync(ChartValues.Keda);
        Assert.Null(keda.Single(o => Kind(o) == "Deployment" && Component(o) == "operator")["spec"]!["replicas"]);
        var trigger = One(keda, "ScaledObject")["spec"]!["triggers"]![0]!["metadata"]!;
        Assert.Contains("webhook_oldest_pending_age_seconds", (string?)trigger["query"]);
        Assert.Equal("60", (string?)trigger["threshold"]);
    }

    [Fact]
    public async Task A_scoped_operator_has_no_rights_to_anything_in_other_namespaces()
    {
        var objects = await Helm.RenderAsync(ChartValues.Scoped);

        var bound = objects.Where(o => Kind(o) == "ClusterRoleBinding").Select(o => (string?)o["roleRef"]!["name"]).ToHashSet();
        var everywhere = objects.Where(o => Kind(o) == "ClusterRole" && bound.Contains(Name(o)))
            .SelectMany(o => o["rules"]!.AsArray()).SelectMany(rule => rule!["resources"]!.AsArray()).Select(r => (string?)r);
        Assert.Equal(["tokenreviews", "subjectaccessreviews"], everywhere);
        Assert.Equal(["acme", "shop"], objects.Where(o => Kind(o) == "RoleBinding" && Name(o) == "webhooks-webhook-operator").Select(o => (string?)o["metadata"]!["namespace"]));
        // The test runs where it is served.
        Assert.Equal("acme", (string?)One(objects, "Job")["metadata"]!["namespace"]);
    }

    [Fact]
    public async Task The_fence_keeps_requests_out_of_private_ranges_but_lets_what_is_needed_through()
    {
        var egress = One(await Helm.RenderAsync(ChartValues.Fenced), "NetworkPolicy")["spec"]!["egress"]!.AsArray();

        var receivers = egress.Single(rule => rule!.ToJsonString().Contains("0.0.0.0/0", StringComparison.Ordinal))!;
        var v4 = receivers["to"]![0]!["ipBlock"]!["except"]!.AsArray().Select(range => (string?)range).ToArray();
        Assert.Contains("169.254.0.0/16", v4);
        Assert.Contains("10.0.0.0/8", v4);
        Assert.All(v4, range => Assert.DoesNotContain(":", range));
        Assert.Equal(443, (int?)receivers["ports"]![0]!["port"]);
        foreach (var (port, to) in new[] { ("53", "kube-system"), ("6443", "10.0.0.1/32"), ("5432", "10.1.0.0/16") })
            Assert.Contains(egress, rule => rule!["ports"]?.ToJsonString().Contains(port) == true && rule["to"]!.ToJsonString().Contains(to));
    }

    [Theory]
    [InlineData("0.0.0.0/0", null, "169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
    [InlineData("0.0.0.0/1", null, "10.0.0.0/8", "100.64.0.0/10")]
    [InlineData("128.0.0.0/1", null, "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")]
    [InlineData("11.0.0.0/7", null, "10.0.0.0/8")]
    [InlineData("203.0.113.0/24", null)]
    [InlineData("203.0.113.0/24", "203.0.113.128/25, 203.0.113.7/32, 203.0.114.0/25, 203.0.0.0/16", "203.0.113.128/25", "203.0.113.7/32")]
    [InlineData("::/0", null, "fc00::/7", "fe80::/10")]
    [InlineData("::/1", null)]
    [InlineData("8000::/1", null, "fc00::/7", "fe80::/10")]
    [InlineData("2001:DB8::/32", "2001:db8:0:1::/64, 2001:0db8::1/128, 2001:db8:1:2:3:4:5:6/128, 2001:db9::/64, 32.1.0.0/16",
        "2001:db8:0:1::/64", "2001:0db8::1/128", "2001:db8:1:2:3:4:5:6/128")]
    [InlineData("::ffff:0:0/96", "::ffff:10.0.0.0/104, ::fffe:10.0.0.0/104", "::ffff:10.0.0.0/104")]
    // Who names a range within one of these wants it.
    [InlineData("10.0.0.0/8", null)]
    [InlineData("10.20.0.0/16", null)]
    public async Task Each_range_of_receivers_excepts_what_lies_within_it(string cidr, string? except, params string[] excepted)
    {
        var objects = await Helm.RenderAsync($$"""
            networkPolicy:
              enabled: true
              egress:
                apiServer: { cidrs: [192.0.2.1/32] }
                receivers: { cidrs: ["{{cidr}}"]{{(except is null ? "" : $", except: [\"{except.Replace(", ", "\", \"", StringComparison.Ordinal)}\"]")}} }
            """);

        var block = One(objects, "NetworkPolicy")["spec"]!["egress"]!.AsArray().SelectMany(rule => rule!["to"]!.AsArray())
            .Select(peer => peer!["ipBlock"]).Single(block => (string?)block?["cidr"] == cidr)!;
        Assert.Equal(excepted, block["except"]?.AsArray().Select(range => (string)range!) ?? []);
    }

    [Theory]
    [InlineData(ChartValues.Fenced, "kube-system", 53)]
    [InlineData(ChartValues.OpenShift, "openshift-dns", 5353)]
    public async Task Names_are_resolved_where_the_cluster_does_it(string values, string space, int port)
    {
        var rule = One(await Helm.RenderAsync(values), "NetworkPolicy")["spec"]!["egress"]![0]!;

        Assert.Equal([(port, "UDP"), (port, "TCP")], rule["ports"]!.AsArray().Select(p => ((int)p!["port"]!, (string)p["protocol"]!)));
        Assert.Contains(space, rule["to"]!.ToJsonString());
    }

    [Fact]
    public async Task A_cluster_that_does_not_know_monitoring_kinds_gets_none_unless_it_must()
    {
        Assert.DoesNotContain(await Helm.RenderAsync(ChartValues.Monitored), o => Kind(o) is "ServiceMonitor" or "PrometheusRule");
        Assert.Contains(await Helm.RenderAsync(ChartValues.PodMonitored, ChartValues.ManyKinds), o => Kind(o) == "PodMonitor");

        var (code, _, errors) = await TryAsync(ChartValues.PodMonitored + "\n", "--set", "monitoring.skipIfMissing=false");

        Assert.NotEqual(0, code);
        Assert.Contains("monitoring.podMonitor is enabled, but the cluster does not know monitoring.coreos.com/v1", errors);
    }

    [Fact]
    public async Task Monitoring_carries_the_alerts_and_the_dashboard()
    {
        var objects = await Helm.RenderAsync(ChartValues.Monitored, ChartValues.ManyKinds);

        var alerts = One(objects, "PrometheusRule")["spec"]!["groups"]!.AsArray().SelectMany(group => group!["rules"]!.AsArray()).ToList();
        Assert.Contains(alerts, alert => (string)alert!["annotations"]!["runbook_url"]! == "https://wiki.acme.example/webhooks#webhookcircuitopen");
        Assert.DoesNotContain(alerts, alert => ((string)alert!["annotations"]!["runbook_url"]!).StartsWith("docs/", StringComparison.Ordinal));
        var dashboard = objects.Single(o => Kind(o) == "ConfigMap");
        Assert.Equal("1", dashboard["metadata"]!["labels"]!["grafana_dashboard"]!.ToString());
        Assert.NotEmpty(JsonNode.Parse((string)dashboard["data"]!["webhook-operator.json"]!)!.AsObject());
    }

    [Fact]
    public async Task On_OpenShift_the_platform_chooses_the_group_too()
    {
        var objects = await Helm.RenderAsync(ChartValues.Default, "--api-versions", "security.openshift.io/v1");

        Assert.Null(Pod(One(objects, "StatefulSet"))["securityContext"]!["fsGroup"]);
    }

    [Fact]
    public async Task A_program_that_does_not_come_to_answer_is_started_anew_within_a_minute()
    {
        var probe = Operator(await Helm.RenderAsync(ChartValues.Default))["startupProbe"]!;

        Assert.InRange((int)probe["periodSeconds"]! * (int)probe["failureThreshold"]!, 10, 60);
    }

    [Fact]
    public async Task A_pod_is_given_more_time_to_end_than_the_longest_attempt_takes()
    {
        var pod = Pod(One(await Helm.RenderAsync(ChartValues.Default), "StatefulSet"));
        Assert.True((int)pod["terminationGracePeriodSeconds"]! > 60 + (int)pod["containers"]![0]!["lifecycle"]!["preStop"]!["sleep"]!["seconds"]!);

        Assert.Equal(5 + 90 + 20, (int?)Pod(One(await Helm.RenderAsync(ChartValues.Everything), "StatefulSet"))["terminationGracePeriodSeconds"]);
    }

    [Theory]
    [InlineData(ChartValues.Large, "--max-event-bytes=2097152\n", "--max-batch-bytes=4194304\n", "--backlog-limit=20000000\n", "fsGroup: 1000650000\n", "storage: 10737418240 ")]
    [InlineData("config: { maxEventBytes: 2Mi, maxBatchBytes: \"4194304\" }", "--max-event-bytes=2Mi\n", "--max-batch-bytes=4194304\n")]
    [InlineData(ChartValues.Postgres + "\npodDisruptionBudget: { maxUnavailable: 1000000 }", "maxUnavailable: 1000000\n")]
    [InlineData("store: { type: postgres, postgres: { existingSecret: s } }\nkeda: { enabled: true, prometheusAddress: http://p, oldestPendingSeconds: 1000000 }",
        "threshold: \"1000000\"")]
    public async Task Large_numbers_and_sizes_are_rendered_as_they_were_written(string values, params string[] rendered)
    {
        var (code, text, errors) = await TryAsync(values);

        Assert.True(code == 0, errors);
        Assert.All(rendered, line => Assert.Contains(line, text));
        Assert.DoesNotMatch(@"\de\+\d", text);
    }

    [Theory]
    [InlineData("replicas: 2", "replicas is 2, but SQLite is one file that one pod writes: set replicas=1, or store.type=postgres")]
    [InlineData("autoscaling: { enabled: true }", "autoscaling.enabled needs a store that many pods share: set store.type=postgres")]
    [InlineData("keda: { enabled: true, prometheusAddress: http://p }", "keda.enabled needs a store that many pods share")]
    [InlineData("store: { type: postgres }", "store.postgres.existingSecret is empty: name the Secret")]
    [InlineData("store: { type: postgres, postgres: { existingSecret: s } }\nautoscaling: { enabled: true }\nkeda: { enabled: true }",
        "would both set the number of pods", "keda.enabled needs keda.prometheusAddress")]
    [InlineData("store: { type: postgres, postgres: { existingSecret: s } }\nautoscaling: { enabled: true }\nresources: { requests: { cpu: null } }",
        "resources.requests.cpu is not set: set it")]
    [InlineData("scope: namespaces", "scopedNamespaces is empty, so that nothing would be served: name the namespaces, or set scope=cluster")]
    [InlineData("scopedNamespaces: [acme]", "scopedNamespaces is set, but scope is cluster")]
    [InlineData("networkPolicy: { enabled: true, ingress: { api: [] } }", "networkPolicy.ingress.api is empty, which to Kubernetes means everyone")]
    [InlineData("networkPolicy: { enabled: true, egress: { receivers: { cidrs: [] } } }", "no receiver could be reached")]
    [InlineData("networkPolicy: { enabled: true }", "networkPolicy.egress.apiServer.cidrs is empty and there is no cluster to ask")]
    [InlineData("networkPolicy: { enabled: true, egress: { dnsPorts: [] } }", "networkPolicy.egress.dnsPorts is empty, which to Kubernetes means all ports")]
    [InlineData("monitoring: { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } }", "would scrape every pod twice")]
    [InlineData("terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds is 60, but a pod may take")]
    [InlineData("extraArgs: [\"--store=sqlite:/tmp/x\"]", "extraArgs has --store, which the chart sets itself: set store.type instead")]
    [InlineData("store: { type: postgres, postgres: { existingSecret: s } }\nreplicas: 2\npodDisruptionBudget: { minAvailable: 2, maxUnavailable: \"\" }",
        "no node could ever be drained")]
    [InlineData(ChartValues.Postgres + "\npodDisruptionBudget: { minAvailable: \"\", maxUnavailable: \"\" }",
        "podDisruptionBudget.maxUnavailable and podDisruptionBudget.minAvailable are both empty: set one of them")]
    [InlineData(ChartValues.Postgres + "\npodDisruptionBudget: { maxUnavailable: null }", "are both empty: set one of them")]
    [InlineData(ChartValues.Postgres + "\npodDisruptionBudget: { minAvailable: 1000000, maxUnavailable: \"\" }", "no node could ever be drained")]
    [InlineData("serviceAccount: { create: false }", "every pod of the namespace would get the operator's rights")]
    [InlineData("replica: 1", "additional properties 'replica' not allowed")]
    [InlineData("store: { sqlite: { persistance: { size: 1Gi } } }", "additional properties 'persistance' not allowed")]
    [InlineData("store: { type: mysql }", "'/store/type': value must be one of")]
    [InlineData("config: { retention: 1week }", "'/config/retention'")]
    [InlineData("config: { allowCidrs: [\"\"] }", "'/config/allowCidrs/0'")]
    [InlineData("scopedNamespaces: [Acme]", "'/scopedNamespaces/0'")]
    public async Task Values_that_cannot_work_are_refused_with_what_to_change(string values, params string[] told)
    {
        var (code, _, errors) = await TryAsync(values);

        Assert.NotEqual(0, code);
        Assert.All(told, text => Assert.Contains(text, errors));
    }

    private static Task<(int Code, string Output, string Errors)> TryAsync(string values, params string[] more) =>
        new Helm().TryWithAsync(values, ["template", Helm.Release, Helm.Chart, "-f", "-", .. more]);

    private static JsonNode One(IEnumerable<JsonNode> objects, string kind) => Assert.Single(objects, o => Kind(o) == kind);

    private static string? Kind(JsonNode o) => (string?)o["kind"];

    private static string? Name(JsonNode o) => (string?)o["metadata"]!["name"];

    private static string? Component(JsonNode o) => (string?)o["metadata"]!["labels"]?["app.kubernetes.io/component"];

    private static JsonNode Pod(JsonNode workload) => workload["spec"]!["template"]!["spec"]!;

    private static IEnumerable<JsonNode> Pods(IEnumerable<JsonNode> objects) =>
        objects.Select(o => o["spec"]?["template"]?["spec"]).OfType<JsonNode>();

    private static JsonNode Operator(IEnumerable<JsonNode> objects) =>
        Pods(objects).SelectMany(pod => pod["containers"]!.AsArray()).Single(c => (string?)c!["name"] == "operator")!;
}
