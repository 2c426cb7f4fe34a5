{{/* The name of the chart's objects: the release's name if it contains the chart's, else release and chart name. */}}
{{- define "seatkeeper.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "seatkeeper.serviceAccountName" -}}
{{- default (include "seatkeeper.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The operator's user name at the API server. */}}
{{- define "seatkeeper.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "seatkeeper.serviceAccountName" . }}
{{- end -}}

{{/* The labels that select the operator's pods. They never change. */}}
{{- define "seatkeeper.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "seatkeeper.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "seatkeeper.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "seatkeeper.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* The Secret for serving seats over HTTPS. Empty if they are served over HTTP. */}}
{{- define "seatkeeper.seatsTlsSecret" -}}
{{- with .Values.seats.tls -}}
{{- if .secretName -}}
{{- .secretName -}}
{{- else if .certManager.issuerRef.name -}}
{{- include "seatkeeper.fullname" $ }}-seats-tls
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name that its certificate must be valid for. */}}
{{- define "seatkeeper.seatsTlsName" -}}
{{ include "seatkeeper.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end -}}
