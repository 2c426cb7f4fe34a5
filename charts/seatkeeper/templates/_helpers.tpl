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

{{/* The Secret that somebody else makes for serving seats over HTTPS. Empty if there is none. */}}
{{- define "seatkeeper.seatsTlsSecret" -}}
{{- with .Values.seats.tls -}}
{{- $made := or .secretName .certManager.issuerRef.name -}}
{{- if and $made (not .enabled) -}}
{{- fail "seats.tls.enabled is false: remove seats.tls.secretName and seats.tls.certManager.issuerRef" -}}
{{- end -}}
{{- if .secretName -}}
{{- .secretName -}}
{{- else if .certManager.issuerRef.name -}}
{{- include "seatkeeper.fullname" $ }}-seats-tls
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Not empty if the operator makes the certificate, with an authority of its own. */}}
{{- define "seatkeeper.seatsTlsOwn" -}}
{{- if and .Values.seats.tls.enabled (not (include "seatkeeper.seatsTlsSecret" .)) -}}
own
{{- end -}}
{{- end -}}

{{/* The name that its certificate must be valid for. */}}
{{- define "seatkeeper.seatsTlsName" -}}
{{ include "seatkeeper.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end -}}
