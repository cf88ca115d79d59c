{{- define "rotate-user.name" -}}
{{- ternary .Release.Name (printf "%s-rotate-user" .Release.Name) (contains "rotate-user" .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "rotate-user.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "rotate-user.name" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "rotate-user.tag" -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end }}

{{- define "rotate-user.selector" -}}
app.kubernetes.io/name: rotate-user
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rotate-user.labels" -}}
{{ include "rotate-user.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "rotate-user.env" -}}
{{- $values := .root.Values }}
{{- with $values.temporal }}
- name: TEMPORAL_ADDRESS
  value: {{ .address | quote }}
- name: TEMPORAL_NAMESPACE
  value: {{ .namespace | quote }}
{{- with .apiKeySecret }}
- name: TEMPORAL_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: api-key
{{- end }}
{{- if .tls.enabled }}
- name: TEMPORAL_TLS
  value: "true"
{{- end }}
{{- if .tls.clientCertSecret }}
- name: TEMPORAL_TLS_CLIENT_CERT_PATH
  value: /etc/rotate-user/temporal-client/tls.crt
- name: TEMPORAL_TLS_CLIENT_KEY_PATH
  value: /etc/rotate-user/temporal-client/tls.key
{{- end }}
{{- if .tls.caSecret }}
- name: TEMPORAL_TLS_SERVER_CA_CERT_PATH
  value: /etc/rotate-user/temporal-ca/ca.crt
{{- end }}
{{- with .tls.serverName }}
- name: TEMPORAL_TLS_SERVER_NAME
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- with $values.versioning.deployment }}
- name: TEMPORAL_DEPLOYMENT_NAME
  value: {{ . | quote }}
- name: TEMPORAL_WORKER_BUILD_ID
  value: {{ $.tag | quote }}
{{- end }}
- name: ROTATE_USER_METRICS_ADDRESS
  value: ":9464"
{{- if $values.database.caConfigMap }}
- name: ROTATE_USER_TLS_CA_FILE
  value: /etc/rotate-user/database-ca/ca.pem
{{- end }}
{{- with $values.database.tlsServerNames }}
{{- $names := list }}
{{- range $host, $name := . }}
{{- $names = append $names (printf "%s=%s" $host $name) }}
{{- end }}
- name: ROTATE_USER_TLS_SERVER_NAME
  value: {{ join "," $names | quote }}
{{- end }}
{{- range $name, $value := $values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What is mounted: Secrets and ConfigMaps, by the name of their volume. The worker reads the files again when they change. */}}
{{- define "rotate-user.files" -}}
{{- with .Values.temporal.tls.clientCertSecret }}
temporal-client: {secret: {secretName: {{ . }}}}
{{- end }}
{{- with .Values.temporal.tls.caSecret }}
temporal-ca: {secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}}
{{- end }}
{{- with .Values.database.caConfigMap }}
database-ca: {configMap: {name: {{ . }}}}
{{- end }}
{{- end }}

{{- define "rotate-user.mounts" -}}
{{- with include "rotate-user.files" . | fromYaml }}
volumeMounts:
  {{- range $name, $_ := . }}
  - name: {{ $name }}
    mountPath: /etc/rotate-user/{{ $name }}
    readOnly: true
  {{- end }}
{{- end }}
{{- end }}

{{- define "rotate-user.volumes" -}}
{{- with include "rotate-user.files" . | fromYaml }}
volumes:
  {{- range $name, $source := . }}
  - name: {{ $name }}
    {{- toYaml $source | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
