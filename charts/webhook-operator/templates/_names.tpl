{{- define "wo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Room is left for suffixes such as -publisher within 63 characters. */ -}}
{{- define "wo.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "wo.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "wo.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "wo.leaseName" -}}
{{- default (include "wo.fullname" .) .Values.config.leaseName }}
{{- end }}

{{- define "wo.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "wo.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "wo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "wo.commonLabels" -}}
app.kubernetes.io/name: {{ include "wo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: webhook-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "wo.labels" -}}
{{ include "wo.commonLabels" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- /* wo.annotations (list $ more…): a line break, heading and annotations of one object's metadata; nothing if there are none. */ -}}
{{- define "wo.annotations" -}}
{{- $all := dict }}
{{- range rest . }}
{{- $all = merge $all (default dict .) }}
{{- end }}
{{- with merge $all (first .).Values.commonAnnotations }}
  {{- print "\n  annotations:" }}
  {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "wo.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A whole number or text, as it was written: a number of a values file is a float here, and prints as 2.097152e+06. */ -}}
{{- define "wo.whole" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ int64 . }}{{ end }}
{{- end }}

{{- /* Not empty if a value is there: 0 is one, null and "" are none. */ -}}
{{- define "wo.given" -}}
{{- if not (or (kindIs "invalid" .) (eq (toString .) "")) }}yes{{ end }}
{{- end }}

{{- /* Whole seconds of a duration such as 1m5s. */ -}}
{{- define "wo.seconds" -}}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 }}
{{- $n := regexFind "^[0-9]+" . | int }}
{{- if hasSuffix "ms" . }}{{ $sum = add $sum (div (add $n 999) 1000) }}
{{- else if hasSuffix "s" . }}{{ $sum = add $sum $n }}
{{- else if hasSuffix "m" . }}{{ $sum = add $sum (mul $n 60) }}
{{- else }}{{ $sum = add $sum (mul $n 3600) }}
{{- end }}
{{- end }}
{{- $sum }}
{{- end }}

{{- define "wo.terminationGrace" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- add .Values.preStopSeconds (include "wo.seconds" .Values.config.shutdownGrace) 20 }}
{{- else }}
{{- .Values.terminationGracePeriodSeconds | int }}
{{- end }}
{{- end }}

{{- /* Not empty if there can be more than one pod. */ -}}
{{- define "wo.many" -}}
{{- if or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled .Values.keda.enabled }}yes{{ end }}
{{- end }}

{{- /* Not empty if the number of pods is another's to set. */ -}}
{{- define "wo.scaled" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled }}yes{{ end }}
{{- end }}

{{- /* wo.has (list $ group/version kind): not empty if the object can be made; fails if it must be and can't. */ -}}
{{- define "wo.has" -}}
{{- $root := index . 0 }}{{ $api := index . 1 }}{{ $what := index . 2 }}
{{- if $root.Capabilities.APIVersions.Has $api }}yes
{{- else if not $root.Values.monitoring.skipIfMissing }}
{{- fail (printf "%s is enabled, but the cluster does not know %s. Install what brings it first, set monitoring.skipIfMissing=true to leave the object out, or, when rendering without a cluster, add --api-versions %s." $what $api $api) }}
{{- end }}
{{- end }}

{{- /* The namespace of the test: one that is served. */ -}}
{{- define "wo.testNamespace" -}}
{{- if and (eq .Values.scope "namespaces") (not (has .Release.Namespace .Values.scopedNamespaces)) }}
{{- first .Values.scopedNamespaces }}
{{- else }}
{{- .Release.Namespace }}
{{- end }}
{{- end }}
