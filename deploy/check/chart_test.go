// Package check checks what is in deploy/ with the tools that people use it with, Helm and OpenTofu, and decodes what Helm renders
// into the types of the Kubernetes API. It is a module of its own because these tools bring hundreds of others.
package check

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chart = "../helm/rotate-user"

var update = flag.Bool("update", false, "rewrite the manifests and the policies")

// paths builds a program that go.mod pins, if Go's cache does not have it, and returns its path.
var paths = map[string]func() (string, error){"helm": path("helm"), "tofu": path("tofu")}

func path(program string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		out, err := exec.Command("go", "tool", "-n", program).Output()
		return strings.TrimSpace(string(out)), err
	})
}

// tool runs a program that go.mod pins, and returns what it prints to each output.
func tool(t *testing.T, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path, err := paths[program]()
	if err != nil {
		t.Fatalf("go tool -n %s: %v", program, err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// template renders the chart.
func template(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := tool(t, "helm", append([]string{"template", "rotate-user", chart}, args...)...)
	if err != nil {
		t.Fatalf("helm template %s: %v\n%s", args, err, errs)
	}
	return out
}

// objects are what a chart renders, by kind.
type objects struct {
	deployments []apps.Deployment
	accounts    []core.ServiceAccount
	budgets     []policy.PodDisruptionBudget
	maps        []core.ConfigMap
	monitors    []monitoring.PodMonitor
	rules       []monitoring.PrometheusRule
}

// decode decodes manifests, and refuses fields that the API does not know.
func decode(t *testing.T, manifests string) objects {
	t.Helper()
	var all objects
	for _, text := range strings.Split("\n"+manifests, "\n---\n") {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
			t.Fatal(err)
		}
		var err error
		switch kind.APIVersion + " " + kind.Kind {
		case " ": // only comments
		case "apps/v1 Deployment":
			err = add(text, &all.deployments)
		case "v1 ServiceAccount":
			err = add(text, &all.accounts)
		case "policy/v1 PodDisruptionBudget":
			err = add(text, &all.budgets)
		case "v1 ConfigMap":
			err = add(text, &all.maps)
		case "monitoring.coreos.com/v1 PodMonitor":
			err = add(text, &all.monitors)
		case "monitoring.coreos.com/v1 PrometheusRule":
			err = add(text, &all.rules)
		default:
			err = fmt.Errorf("the test does not know %s", kind)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	return all
}

func add[T any](text string, all *[]T) error {
	var one T
	err := yaml.UnmarshalStrict([]byte(text), &one)
	*all = append(*all, one)
	return err
}

func TestLint(t *testing.T) {
	files, err := filepath.Glob("values/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if out, errs, err := tool(t, "helm", "lint", "--strict", "--values", file, chart); err != nil {
			t.Errorf("%s: %v\n%s%s", file, err, out, errs)
		}
		decode(t, template(t, "--values", file))
	}
}

func TestOnlyTheAddress(t *testing.T) {
	all := decode(t, template(t, "--values", "values/address.yaml"))
	if len(all.deployments) != 1 || len(all.accounts) != 1 || len(all.budgets) != 1 || len(all.maps)+len(all.monitors)+len(all.rules) != 0 {
		t.Fatalf("unexpected objects: %+v", all)
	}
	d := all.deployments[0]
	pod, worker := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
	for label, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[label] != value {
			t.Errorf("the selector's label %s is not on the pods", label)
		}
	}
	if pod.ServiceAccountName != all.accounts[0].Name || len(pod.Volumes)+len(worker.VolumeMounts) != 0 {
		t.Errorf("service account %s, volumes %v", pod.ServiceAccountName, pod.Volumes)
	}
	if *pod.TerminationGracePeriodSeconds != 90 || !*pod.SecurityContext.RunAsNonRoot ||
		pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%+v", pod.SecurityContext)
	}
	if s := worker.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation ||
		!slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("%+v", s)
	}
	if live, ready := worker.LivenessProbe.HTTPGet, worker.ReadinessProbe.HTTPGet; live.Path != "/healthz" || ready.Path != "/readyz" ||
		live.Port.StrVal != worker.Ports[0].Name || ready.Port.StrVal != worker.Ports[0].Name || worker.Ports[0].ContainerPort != 9464 {
		t.Errorf("probes %v, %v, ports %v", live, ready, worker.Ports)
	}
	if worker.Resources.Requests.Memory().IsZero() || worker.Resources.Limits.Memory().IsZero() {
		t.Errorf("%v", worker.Resources)
	}
	want := map[string]string{"TEMPORAL_ADDRESS": "temporal-frontend.temporal.svc:7233", "TEMPORAL_NAMESPACE": "default",
		"ROTATE_USER_METRICS_ADDRESS": ":9464"}
	if got := environment(worker); !maps.Equal(got, want) {
		t.Errorf("environment %v", got)
	}
}

// environment returns the variables of a container. The value of one from a Secret is the Secret's name and key.
func environment(c core.Container) map[string]string {
	all := map[string]string{}
	for _, e := range c.Env {
		all[e.Name] = e.Value
		if e.ValueFrom != nil {
			all[e.Name] = "secret " + e.ValueFrom.SecretKeyRef.Name + " " + e.ValueFrom.SecretKeyRef.Key
		}
	}
	return all
}

func TestEverything(t *testing.T) {
	all := decode(t, template(t, "--values", "values/everything.yaml"))
	if got := all.accounts[0].Annotations["eks.amazonaws.com/role-arn"]; got != "arn:aws:iam::123456789012:role/rotate-user" {
		t.Errorf("role %q", got)
	}
	if len(all.deployments) != 2 || all.deployments[0].Name != "rotate-user-1.5.0" || all.deployments[1].Name != "rotate-user-1.4.0" {
		t.Fatalf("%d deployments", len(all.deployments))
	}
	pods := map[string]string{"app.kubernetes.io/name": "rotate-user", "app.kubernetes.io/instance": "rotate-user"}
	for i, tag := range []string{"1.5.0", "1.4.0"} {
		d := all.deployments[i]
		worker := d.Spec.Template.Spec.Containers[0]
		if d.Spec.Selector.MatchLabels["app.kubernetes.io/version"] != tag || d.Spec.Template.Labels["app.kubernetes.io/version"] != tag {
			t.Errorf("%s selects the pods of another version", tag)
		}
		if worker.Image != "registry.example.com/rotate-user:"+tag {
			t.Errorf("image %s", worker.Image)
		}
		want := map[string]string{
			"TEMPORAL_ADDRESS": "prod.abcde.tmprl.cloud:7233", "TEMPORAL_NAMESPACE": "prod.abcde", "TEMPORAL_TLS": "true",
			"TEMPORAL_API_KEY":              "secret temporal-api-key api-key",
			"TEMPORAL_TLS_CLIENT_CERT_PATH": "/etc/rotate-user/temporal-client/tls.crt", "TEMPORAL_TLS_SERVER_NAME": "temporal.example.com",
			"TEMPORAL_TLS_CLIENT_KEY_PATH":     "/etc/rotate-user/temporal-client/tls.key",
			"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/etc/rotate-user/temporal-ca/ca.crt",
			"TEMPORAL_DEPLOYMENT_NAME":         "rotate-user", "TEMPORAL_WORKER_BUILD_ID": tag,
			"ROTATE_USER_METRICS_ADDRESS": ":9464", "ROTATE_USER_TLS_CA_FILE": "/etc/rotate-user/database-ca/ca.pem",
			"ROTATE_USER_TLS_SERVER_NAME": "10.0.0.5=my-project:my-instance,10.0.0.6=other:instance",
			"AWS_REGION":                  "eu-central-1", "ROTATE_USER_ALLOWED_MASTER_SECRETS": "prod/mysql-admin,test/*",
		}
		if got := environment(worker); !maps.Equal(got, want) {
			t.Errorf("environment %v", got)
		}
		if len(worker.VolumeMounts) != 3 || len(d.Spec.Template.Spec.Volumes) != 3 {
			t.Errorf("mounts %v", worker.VolumeMounts)
		}
	}
	if !maps.Equal(all.budgets[0].Spec.Selector.MatchLabels, pods) {
		t.Errorf("the budget is for %v", all.budgets[0].Spec.Selector)
	}

	monitor := all.monitors[0]
	if e := monitor.Spec.PodMetricsEndpoints[0]; !e.HonorLabels || *e.Port != "metrics" || !maps.Equal(monitor.Spec.Selector.MatchLabels, pods) ||
		monitor.Labels["release"] != "prometheus" || all.rules[0].Labels["release"] != "prometheus" {
		t.Errorf("%+v", monitor)
	}
	var want monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(read(t, "../prometheus/rules.yaml")), &want); err != nil {
		t.Fatal(err)
	}
	if got, want := marshal(t, all.rules[0].Spec), marshal(t, want); got != want || len(all.rules[0].Spec.Groups) == 0 {
		t.Errorf("the rules are\n%s", got)
	}
	if got := all.maps[0].Data["rotate-user.json"]; strings.TrimSpace(got) != strings.TrimSpace(read(t, "../grafana/rotate-user.json")) {
		t.Error("the dashboard is not that of deploy/grafana")
	}
}

// A chart that is packaged has the files that its directory links to.
func TestPackage(t *testing.T) {
	dir := t.TempDir()
	if _, errs, err := tool(t, "helm", "package", "--destination", dir, chart); err != nil {
		t.Fatalf("helm package: %v\n%s", err, errs)
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packages) != 1 {
		t.Fatal(packages, err)
	}
	out, errs, err := tool(t, "helm", "template", "rotate-user", packages[0], "--values", "values/everything.yaml")
	if err != nil || out != template(t, "--values", "values/everything.yaml") {
		t.Errorf("the package renders something else than the directory: %v\n%s", err, errs)
	}
}

func TestRefusedValues(t *testing.T) {
	for text, names := range map[string]string{
		"{}":                                                    "/temporal/address",
		"temporal: {address: t}":                                "/temporal/address",
		"temporal: {address: 't:1', host: x}":                   "host",
		"image: {tag: latest build}":                            "/image/tag",
		"replicas: 0":                                           "/replicas",
		"terminationGracePeriodSeconds: 89":                     "/terminationGracePeriodSeconds",
		"serviceAccount: {roleArn: rotate-user}":                "/serviceAccount/roleArn",
		"env: {TEMPORAL_API_KEY: x}":                            "TEMPORAL_API_KEY",
		"env: {AWS_SECRET_ACCESS_KEY: x}":                       "AWS_SECRET_ACCESS_KEY",
		"env: {TEMPORAL_ADDRESS: 'x:1'}":                        "TEMPORAL_ADDRESS",
		"monitoring: {serviceMonitor: true}":                    "serviceMonitor",
		"versioning: {previous: [1.4.0]}":                       "versioning.deployment",
		"serviceAccount: {create: false, roleArn: " + arn + "}": "serviceAccount.create",
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"template", "rotate-user", chart, "--values", file}
		if !strings.Contains(names, "address") && names != "host" {
			args = append(args, "--set", "temporal.address=t:1")
		}
		if _, errs, err := tool(t, "helm", args...); err == nil || !strings.Contains(errs, names) {
			t.Errorf("%s: %v\n%s", text, err, errs)
		}
	}
}

const arn = "arn:aws:iam::123456789012:role/rotate-user"

func TestManifests(t *testing.T) {
	got := "# Rendered from deploy/helm/rotate-user: run `make manifests` after a change. Set the address of Temporal, the image and the role.\n" +
		template(t, "--namespace", "rotate-user", "--values", "values/manifests.yaml")
	golden(t, "../kubernetes/rotate-user.yaml", got)
	decode(t, got)
}

// golden compares a file with what it should be, or writes it.
func golden(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, file) != want {
		t.Errorf("%s is out of date: run `make manifests`", file)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
