{{- /* What contradicts itself: all faults at once, each with what to change. */ -}}
{{- define "wo.check" -}}
{{- $faults := list }}
{{- $v := .Values }}
{{- $sqlite := eq $v.store.type "sqlite" }}
{{- if and $sqlite (gt (int $v.replicas) 1) }}
{{- $faults = append $faults (printf "replicas is %d, but SQLite is one file that one pod writes: set replicas=1, or store.type=postgres." (int $v.replicas)) }}
{{- end }}
{{- if and $sqlite $v.autoscaling.enabled }}
{{- $faults = append $faults "autoscaling.enabled needs a store that many pods share: set store.type=postgres, or autoscaling.enabled=false." }}
{{- end }}
{{- if and $sqlite $v.keda.enabled }}
{{- $faults = append $faults "keda.enabled needs a store that many pods share: set store.type=postgres, or keda.enabled=false." }}
{{- end }}
{{- if and (not $sqlite) (not $v.store.postgres.existingSecret) }}
{{- $faults = append $faults "store.type is postgres, but store.postgres.existingSecret is empty: name the Secret that holds the connection string." }}
{{- end }}
{{- if and $sqlite $v.store.postgres.existingSecret }}
{{- $faults = append $faults "store.postgres.existingSecret is set, but store.type is sqlite: set store.type=postgres, or leave the Secret out." }}
{{- end }}
{{- if and $v.autoscaling.enabled $v.keda.enabled }}
{{- $faults = append $faults "autoscaling.enabled and keda.enabled would both set the number of pods: enable one of them." }}
{{- end }}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) }}
{{- $faults = append $faults "autoscaling.minReplicas is more than autoscaling.maxReplicas: make it less." }}
{{- end }}
{{- if and $v.keda.enabled (gt (int $v.keda.minReplicas) (int $v.keda.maxReplicas)) }}
{{- $faults = append $faults "keda.minReplicas is more than keda.maxReplicas: make it less." }}
{{- end }}
{{- if $v.autoscaling.enabled }}
{{- range $resource, $target := dict "cpu" $v.autoscaling.targetCPUUtilizationPercentage "memory" $v.autoscaling.targetMemoryUtilizationPercentage }}
{{- if and (gt (int $target) 0) (not (dig "requests" $resource "" $v.resources)) }}
{{- $faults = append $faults (printf "autoscaling follows the use of %s in percent of what is requested, but resources.requests.%s is not set: set it." $resource $resource) }}
{{- end }}
{{- end }}
{{- if not (or (gt (int $v.autoscaling.targetCPUUtilizationPercentage) 0) (gt (int $v.autoscaling.targetMemoryUtilizationPercentage) 0) $v.autoscaling.metrics) }}
{{- $faults = append $faults "autoscaling.enabled has nothing to follow: set autoscaling.targetCPUUtilizationPercentage, or autoscaling.metrics." }}
{{- end }}
{{- end }}
{{- if and $v.keda.enabled (not $v.keda.prometheusAddress) }}
{{- $faults = append $faults "keda.enabled needs keda.prometheusAddress, where Prometheus answers, such as http://prometheus.monitoring.svc:9090." }}
{{- end }}
{{- if and (eq $v.scope "namespaces") (not $v.scopedNamespaces) }}
{{- $faults = append $faults "scope is namespaces, but scopedNamespaces is empty, so that nothing would be served: name the namespaces, or set scope=cluster." }}
{{- end }}
{{- if and (eq $v.scope "cluster") $v.scopedNamespaces }}
{{- $faults = append $faults "scopedNamespaces is set, but scope is cluster, which serves all namespaces: set scope=namespaces, or leave scopedNamespaces out." }}
{{- end }}
{{- $drain := $v.podDisruptionBudget }}
{{- if and $drain.minAvailable (include "wo.given" $drain.maxUnavailable) }}
{{- $faults = append $faults "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set: set one of them, and the other to \"\"." }}
{{- end }}
{{- if and $drain.enabled (include "wo.many" .) (not (or (include "wo.given" $drain.minAvailable) (include "wo.given" $drain.maxUnavailable))) }}
{{- $faults = append $faults "podDisruptionBudget.maxUnavailable and podDisruptionBudget.minAvailable are both empty: set one of them, such as maxUnavailable=1, or podDisruptionBudget.enabled=false." }}
{{- end }}
{{- $pods := ternary $v.keda.minReplicas (ternary $v.autoscaling.minReplicas $v.replicas $v.autoscaling.enabled) $v.keda.enabled | int }}
{{- if and $drain.enabled (include "wo.many" .) (include "wo.given" $drain.minAvailable) (regexMatch "^[0-9]+$" (include "wo.whole" $drain.minAvailable)) (ge (int $drain.minAvailable) $pods) }}
{{- $faults = append $faults (printf "podDisruptionBudget.minAvailable is %d of %d pods, so that no node could ever be drained: make it less." (int $drain.minAvailable) $pods) }}
{{- end }}
{{- if and $v.monitoring.serviceMonitor.enabled $v.monitoring.podMonitor.enabled }}
{{- $faults = append $faults "monitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled would scrape every pod twice: enable one of them." }}
{{- end }}
{{- if $v.networkPolicy.enabled }}
{{- range $name, $peers := dict "ingress.api" $v.networkPolicy.ingress.api "ingress.metrics" $v.networkPolicy.ingress.metrics "egress.dns" $v.networkPolicy.egress.dns "egress.postgres" $v.networkPolicy.egress.postgres }}
{{- if not $peers }}
{{- $faults = append $faults (printf "networkPolicy.%s is empty, which to Kubernetes means everyone: name peers, or write [{namespaceSelector: {}}] for every pod of the cluster." $name) }}
{{- end }}
{{- end }}
{{- if not (or $v.networkPolicy.egress.receivers.cidrs $v.networkPolicy.egress.services $v.networkPolicy.egress.extra) }}
{{- $faults = append $faults "networkPolicy.egress.receivers.cidrs is empty, and so no receiver could be reached: name ranges, or set networkPolicy.egress.services." }}
{{- end }}
{{- if not $v.networkPolicy.egress.dnsPorts }}
{{- $faults = append $faults "networkPolicy.egress.dnsPorts is empty, which to Kubernetes means all ports: name those of the pods that resolve names, such as [53], or [5353] on OpenShift." }}
{{- end }}
{{- if not $v.networkPolicy.egress.apiServer.ports }}
{{- $faults = append $faults "networkPolicy.egress.apiServer.ports is empty, which to Kubernetes means all ports: name those of the API server, such as [443, 6443]." }}
{{- end }}
{{- end }}
{{- $least := add $v.preStopSeconds (include "wo.seconds" $v.config.shutdownGrace) | int }}
{{- if le (int (include "wo.terminationGrace" .)) $least }}
{{- $faults = append $faults (printf "terminationGracePeriodSeconds is %s, but a pod may take preStopSeconds and config.shutdownGrace, %d s, to end: make it more, or leave it out." (include "wo.terminationGrace" .) $least) }}
{{- end }}
{{- if eq (int $v.service.port) (int $v.service.metricsPort) }}
{{- $faults = append $faults (printf "service.port and service.metricsPort are both %d: make them different." (int $v.service.port)) }}
{{- end }}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) $v.rbac.create }}
{{- $faults = append $faults "serviceAccount.create is false and serviceAccount.name is empty, so that every pod of the namespace would get the operator's rights: name a ServiceAccount." }}
{{- end }}
{{- range $v.extraArgs }}
{{- $flag := first (splitList "=" (first (splitList " " .))) }}
{{- with get (dict "--store" "store.type" "--listen" "service.port" "--metrics" "service.metricsPort" "--namespace" "scopedNamespaces" "--retention" "config.retention" "--allow-http" "config.allowHttp" "--allow-cidr" "config.allowCidrs" "--max-event-bytes" "config.maxEventBytes" "--max-batch-bytes" "config.maxBatchBytes" "--backlog-limit" "config.backlogLimit" "--shutdown-grace" "config.shutdownGrace" "--log-level" "config.logLevel" "--log-format" "config.logFormat" "--lease-name" "config.leaseName" "--lease-namespace" "config.leaseName") $flag }}
{{- $faults = append $faults (printf "extraArgs has %s, which the chart sets itself: set %s instead." $flag .) }}
{{- end }}
{{- end }}
{{- if $faults }}
{{- fail (printf "\n\n  - %s\n" (join "\n  - " $faults)) }}
{{- end }}
{{- end }}
