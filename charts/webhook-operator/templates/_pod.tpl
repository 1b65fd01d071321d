{{- /* The pod template of the Deployment and of the StatefulSet. */ -}}
{{- define "wo.pod" -}}
metadata:
  labels:
    {{- include "wo.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "wo.serviceAccountName" . }}
  terminationGracePeriodSeconds: {{ include "wo.terminationGrace" . }}
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    seccompProfile: { type: RuntimeDefault }
    {{- if and (eq .Values.store.type "sqlite") .Values.podSecurityContext.fsGroup (not (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}
    fsGroup: {{ int64 .Values.podSecurityContext.fsGroup }}
    fsGroupChangePolicy: OnRootMismatch
    {{- end }}
    {{- with .Values.podSecurityContext.extra }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: operator
      image: {{ include "wo.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - run
        - --listen=http://0.0.0.0:8080
        - --metrics=http://0.0.0.0:9090
        - --store={{ if eq .Values.store.type "sqlite" }}sqlite:/var/lib/webhook-operator/webhook-operator.db{{ else }}postgres{{ end }}
        - --lease-namespace={{ .Release.Namespace }}
        - --lease-name={{ include "wo.leaseName" . }}
        {{- if eq .Values.scope "namespaces" }}
        {{- range .Values.scopedNamespaces }}
        - --namespace={{ . }}
        {{- end }}
        {{- end }}
        {{- with .Values.config }}
        - --retention={{ .retention }}
        {{- if .allowHttp }}
        - --allow-http
        {{- end }}
        {{- range .allowCidrs }}
        - --allow-cidr={{ . }}
        {{- end }}
        - --max-event-bytes={{ include "wo.whole" .maxEventBytes }}
        - --max-batch-bytes={{ include "wo.whole" .maxBatchBytes }}
        - --backlog-limit={{ int64 .backlogLimit }}
        - --shutdown-grace={{ .shutdownGrace }}
        - --log-level={{ .logLevel }}
        - --log-format={{ .logFormat }}
        {{- end }}
        {{- range .Values.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      {{- if or .Values.extraEnv (eq .Values.store.type "postgres") }}
      env:
        {{- if eq .Values.store.type "postgres" }}
        - name: WEBHOOK_OPERATOR_POSTGRES
          valueFrom:
            secretKeyRef:
              name: {{ .Values.store.postgres.existingSecret }}
              key: {{ .Values.store.postgres.key }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - { name: api, containerPort: 8080, protocol: TCP }
        - { name: metrics, containerPort: 9090, protocol: TCP }
      startupProbe:
        httpGet: { path: /healthz, port: metrics }
        periodSeconds: {{ .Values.startupProbe.periodSeconds }}
        failureThreshold: {{ .Values.startupProbe.failureThreshold }}
      livenessProbe:
        httpGet: { path: /healthz, port: metrics }
        {{- toYaml .Values.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet: { path: /readyz, port: metrics }
        {{- toYaml .Values.readinessProbe | nindent 8 }}
      {{- if gt (int .Values.preStopSeconds) 0 }}
      lifecycle:
        preStop:
          sleep: { seconds: {{ int .Values.preStopSeconds }} }
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "wo.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - { name: tmp, mountPath: /tmp }
        {{- if eq .Values.store.type "sqlite" }}
        - { name: data, mountPath: /var/lib/webhook-operator }
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    {{- if eq .Values.store.type "sqlite" }}
    {{- with .Values.store.sqlite.persistence }}
    {{- if not .enabled }}
    - name: data
      emptyDir: {}
    {{- else if .existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .existingClaim }}
    {{- end }}
    {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if and (include "wo.many" .) .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range .Values.topologySpreadConstraints }}
    - {{- toYaml (merge (dict) . (dict "labelSelector" (dict "matchLabels" (include "wo.selectorLabels" $ | fromYaml)))) | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "wo.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
