{{- define "meter-projector.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "meter-projector.labels" -}}
{{ include "meter-projector.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- /* A drain and a revoke may each take PROJECTOR_SHUTDOWN_SECONDS. */ -}}
{{- define "meter-projector.grace" -}}
{{ add 20 (mul 2 (ceil (float64 (default "20" .Values.settings.PROJECTOR_SHUTDOWN_SECONDS)))) }}
{{- end }}

{{- /* What each pod has, whatever runs in it: root, component, and optionally instance and serves. */ -}}
{{- define "meter-projector.pod" -}}
metadata:
  labels:
    {{- include "meter-projector.labels" . | nindent 4 }}
  {{- with .root.Values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  # Kubernetes would set PROJECTOR_..._SERVICE_HOST for a service whose name begins so, which is no setting.
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  terminationGracePeriodSeconds: {{ include "meter-projector.grace" .root }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  restartPolicy: {{ .restart | default "Always" }}
  containers:
    - name: {{ .component }}
      image: {{ printf "%s:%s" .root.Values.image.repository (default .root.Chart.AppVersion .root.Values.image.tag) | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: {{ toJson .command }}
      envFrom:
        - secretRef: {name: {{ .secret | quote }}}
      env:
        {{- include "meter-projector.env" . | trim | nindent 8 }}
      {{- if .serves }}
      {{- include "meter-projector.probes" . | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if .root.Values.secrets.files }}
        - {name: files, mountPath: /etc/projector, readOnly: true}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
    {{- if .root.Values.secrets.files }}
    - name: files
      secret: {secretName: {{ .root.Values.secrets.files | quote }}, defaultMode: 0440}
    {{- end }}
{{- end }}

{{- define "meter-projector.env" -}}
{{- range $name, $value := .root.Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- if .serves }}
- {name: PROJECTOR_METRICS_ADDRESS, value: {{ printf "%s:9464" .root.Values.metrics.host | quote }}}
{{- end }}
{{- if .member }}
# A pod that comes back under its name gets its partitions back, and the others keep theirs.
- name: PROJECTOR_KAFKA__GROUP_INSTANCE_ID
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- end }}

{{- define "meter-projector.probes" -}}
ports:
  - {name: metrics, containerPort: 9464}
# The program itself decides how long its loop may be silent; it serves before it has reached PostgreSQL and Kafka.
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}
