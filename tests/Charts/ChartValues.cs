namespace WebhookOperator.Tests.Charts;

/// <summary>Values that are as unlike each other as users' are.</summary>
internal static class ChartValues
{
    public const string Default = "{}";

    public const string Postgres = """
        replicas: 3
        store: { type: postgres, postgres: { existingSecret: webhook-postgres } }
        """;

    public const string Autoscaled = """
        store: { type: postgres, postgres: { existingSecret: webhook-postgres } }
        autoscaling: { enabled: true, targetMemoryUtilizationPercentage: 80 }
        podDisruptionBudget: { minAvailable: 1, maxUnavailable: "" }
        """;

    public const string Keda = """
        store: { type: postgres, postgres: { existingSecret: webhook-postgres } }
        keda: { enabled: true, prometheusAddress: "http://prometheus.monitoring.svc:9090", authenticationRef: { name: prometheus } }
        """;

    public const string Scoped = """
        scope: namespaces
        scopedNamespaces: [acme, shop]
        """;

    public const string Fenced = """
        replicas: 2
        store: { type: postgres, postgres: { existingSecret: webhook-postgres } }
        networkPolicy:
          enabled: true
          egress:
            apiServer: { cidrs: [10.0.0.1/32] }
            postgres: [{ ipBlock: { cidr: 10.1.0.0/16 } }]
            services: [{ namespaceSelector: { matchLabels: { team: acme } } }]
            receivers: { ports: [443] }
        """;

    public const string Monitored = """
        monitoring:
          serviceMonitor: { enabled: true, labels: { release: prometheus }, metricRelabelings: [{ action: labeldrop, regex: pod }] }
          prometheusRule: { enabled: true, labels: { release: prometheus }, runbookUrl: "https://wiki.acme.example/webhooks" }
          dashboard: { enabled: true, annotations: { grafana_folder: Webhooks } }
        """;

    public const string PodMonitored = "monitoring: { podMonitor: { enabled: true } }";

    public const string Everything = """
        nameOverride: hooks
        fullnameOverride: acme-hooks
        commonLabels: { team: platform }
        commonAnnotations: { owner: platform@acme.example }
        image: { repository: registry.acme.example/webhook-operator, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000" }
        imagePullSecrets: [{ name: registry }]
        store: { sqlite: { persistence: { size: 50Gi, storageClass: fast, annotations: { backup: daily }, whenDeleted: Delete } } }
        config:
          retention: 24h
          allowHttp: true
          allowCidrs: [10.20.0.0/16, "fd00::/8"]
          shutdownGrace: 1m30s
          logLevel: debug
          logFormat: text
          leaseName: hooks
        service: { type: NodePort, annotations: { a: b }, labels: { c: d } }
        serviceAccount: { name: hooks, annotations: { e: f } }
        crds: { keep: false, annotations: { argocd.argoproj.io/sync-options: Replace=true } }
        resources: { requests: { cpu: 1, memory: 256Mi } }
        podSecurityContext: { fsGroup: 2000, extra: { supplementalGroups: [3000] } }
        topologySpreadConstraints: []
        affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: a, operator: Exists }] }] } } }
        nodeSelector: { kubernetes.io/os: linux }
        tolerations: [{ key: dedicated, operator: Exists }]
        priorityClassName: system-cluster-critical
        dnsPolicy: ClusterFirst
        dnsConfig: { options: [{ name: ndots, value: "2" }] }
        hostAliases: [{ ip: 10.20.0.1, hostnames: [partner.acme.example] }]
        updateStrategy: { type: OnDelete }
        podLabels: { g: h }
        podAnnotations: { i: j }
        workloadAnnotations: { k: l }
        extraArgs: [--api-token-file=/etc/tokens]
        extraEnv: [{ name: TZ, value: Europe/Berlin }]
        extraEnvFrom: [{ secretRef: { name: more, optional: true } }]
        extraVolumes: [{ name: ca, configMap: { name: ca } }]
        extraVolumeMounts: [{ name: ca, mountPath: /etc/ssl/certs, readOnly: true }]
        extraContainers: [{ name: proxy, image: proxy }]
        extraInitContainers: [{ name: wait, image: wait }]
        extraObjects:
          - apiVersion: v1
            kind: ConfigMap
            metadata: { name: "{{ .Release.Name }}-object" }
          - |
            apiVersion: v1
            kind: ConfigMap
            metadata: { name: {{ .Release.Name }}-text }
        """;

    public const string Bare = """
        crds: { enabled: false }
        rbac: { create: false, userRoles: false }
        serviceAccount: { create: false, name: theirs }
        store: { sqlite: { persistence: { enabled: false } } }
        podDisruptionBudget: { enabled: false }
        preStopSeconds: 0
        terminationGracePeriodSeconds: 120
        resources: {}
        test: { enabled: false }
        """;

    public const string ExistingClaim = "store: { sqlite: { persistence: { existingClaim: webhooks } } }";

    public const string OpenShift = """
        networkPolicy:
          enabled: true
          egress:
            dns: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: openshift-dns } } }]
            dnsPorts: [5353]
            apiServer: { cidrs: [10.0.0.1/32] }
        """;

    /// <summary>What there is in halves, as some write it.</summary>
    public const string Halved = """
        networkPolicy:
          enabled: true
          egress:
            apiServer: { cidrs: [10.0.0.1/32] }
            receivers: { cidrs: [0.0.0.0/1, 128.0.0.0/1, "::/1", "8000::/1"] }
        """;

    /// <summary>Numbers of a values file are floats to templates.</summary>
    public const string Large = """
        store: { sqlite: { persistence: { size: 10737418240 } } }
        config: { maxEventBytes: 2097152, maxBatchBytes: 4194304, backlogLimit: 20000000 }
        podSecurityContext: { fsGroup: 1000650000, extra: { supplementalGroups: [1000660000] } }
        terminationGracePeriodSeconds: 2000000
        """;

    /// <summary>What monitoring and scaling add to a cluster.</summary>
    public static readonly string[] ManyKinds = ["--api-versions", "monitoring.coreos.com/v1"];

    public static readonly IReadOnlyDictionary<string, string> All = new Dictionary<string, string>
    {
        [nameof(Default)] = Default, [nameof(Postgres)] = Postgres, [nameof(Autoscaled)] = Autoscaled, [nameof(Keda)] = Keda,
        [nameof(Scoped)] = Scoped, [nameof(Fenced)] = Fenced, [nameof(Monitored)] = Monitored, [nameof(PodMonitored)] = PodMonitored,
        [nameof(Everything)] = Everything, [nameof(Bare)] = Bare, [nameof(ExistingClaim)] = ExistingClaim,
        [nameof(OpenShift)] = OpenShift, [nameof(Halved)] = Halved, [nameof(Large)] = Large,
    };

    public static TheoryData<string> Names => [.. All.Keys];
}
