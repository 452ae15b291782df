{{- define "facecloud.name" -}}
{{- if contains "facecloud" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-facecloud" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "facecloud.selector" -}}
app.kubernetes.io/name: facecloud
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "facecloud.labels" -}}
{{ include "facecloud.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end }}

{{- define "facecloud.secret" -}}
{{ required "existingSecret: the name of the Secret with the keys of the installation" .Values.existingSecret }}
{{- end }}

{{- define "facecloud.fromSecret" -}}
- name: {{ .name }}
  valueFrom: { secretKeyRef: { name: {{ include "facecloud.secret" .root }}, key: {{ .key | default .name }}{{ if .optional }}, optional: true{{ end }} } }
{{- end }}

{{- define "facecloud.databaseUrl" -}}
{{- if .Values.postgresql.bundled }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "POSTGRES_APP_PASSWORD") }}
- name: DATABASE_URL
  value: postgres://facecloud_app:$(POSTGRES_APP_PASSWORD)@{{ include "facecloud.name" . }}-postgres:5432/facecloud
{{- else }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "DATABASE_URL") }}
{{- end }}
{{- end }}

{{/* The environment of every process except the workers. */}}
{{- define "facecloud.env" -}}
{{- $url := required "site.url: the address of the site, such as https://face.example.com" .Values.site.url }}
{{- $parts := urlParse $url }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "DJANGO_SECRET_KEY") }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "ENCRYPTION_KEY") }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "EMAIL_URL") }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "METRICS_TOKEN" "optional" true) }}
{{- include "facecloud.databaseUrl" . }}
{{- if .Values.valkey.bundled }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "VALKEY_PASSWORD") }}
- name: REDIS_URL
  value: redis://facecloud:$(VALKEY_PASSWORD)@{{ include "facecloud.name" . }}-valkey:6379/0
{{- else }}
{{ include "facecloud.fromSecret" (dict "root" . "name" "REDIS_URL") }}
{{- end }}
- { name: SITE_URL, value: {{ $url | quote }} }
- { name: DJANGO_ALLOWED_HOSTS, value: {{ concat (list (splitList ":" $parts.host | first)) .Values.site.hosts (list "localhost") | join "," | quote }} }
{{- if eq $parts.scheme "https" }}
- { name: DJANGO_CSRF_TRUSTED_ORIGINS, value: {{ $url | quote }} }
- { name: SECURE_COOKIES, value: "True" }
{{- end }}
- { name: REGISTRATION, value: {{ .Values.site.registration | quote }} }
- { name: TRUSTED_PROXIES, value: {{ .Values.site.trustedProxies | join "," | quote }} }
- { name: SUPPORT_CONTACT, value: {{ .Values.site.supportContact | quote }} }
- { name: LIVENESS_FILE, value: /tmp/alive }
{{- range $name, $value := .Values.settings }}
- { name: {{ $name }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end }}

{{/* Every pod runs as an unprivileged user without a service-account token. */}}
{{- define "facecloud.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user | default 10001 }}
  runAsGroup: {{ .user | default 10001 }}
  fsGroup: {{ .user | default 10001 }}
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "facecloud.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "facecloud.image" -}}
image: {{ printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ .image.pullPolicy }}
{{- end }}

{{/* Fail if the limits of autoscaling contradict each other, which the schema of the values cannot express. */}}
{{- define "facecloud.replicas" -}}
{{- if gt (int .scaling.minReplicas) (int .scaling.maxReplicas) }}
{{- fail (printf "%s.autoscaling: minReplicas is greater than maxReplicas" .of) }}
{{- end }}
{{- end }}

{{/*
A Celery process touches its file while it is connected and takes messages (common/celery/liveness.py). Without Valkey
it is not ready, and it reconnects by itself. A restart helps only if it hangs, so the probes that restart it wait
for ten minutes. If they failed sooner, an outage of Valkey would restart every pod again and again, and after it
the pods would wait up to five minutes for their next start (CrashLoopBackOff, which a run of ten minutes resets).
*/}}
{{- define "facecloud.alive" -}}
startupProbe:
  exec: { command: [sh, -c, "find /tmp/alive -newermt '-{{ . }} seconds' | grep -q ."] }
  periodSeconds: 3
  timeoutSeconds: 5
  failureThreshold: 220
readinessProbe:
  exec: { command: [sh, -c, "find /tmp/alive -newermt '-{{ . }} seconds' | grep -q ."] }
  periodSeconds: 10
  timeoutSeconds: 5
livenessProbe:
  exec: { command: [sh, -c, "find /tmp/alive -newermt '-600 seconds' | grep -q ."] }
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
