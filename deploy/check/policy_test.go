package check

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "../terraform/policy"

// policies evaluates the module with OpenTofu.
func policies(t *testing.T, variables map[string]any) (policy, trust string) {
	t.Helper()
	t.Setenv("TF_DATA_DIR", t.TempDir())
	t.Setenv("TF_CLI_CONFIG_FILE", os.DevNull)
	state := filepath.Join(t.TempDir(), "state")
	file := filepath.Join(t.TempDir(), "variables.tfvars.json")
	data, err := json.Marshal(variables)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		out, errs, err := tool(t, "tofu", append([]string{"-chdir=" + module}, args...)...)
		if err != nil {
			t.Fatalf("tofu %s: %v\n%s%s", args, err, out, errs)
		}
		return out
	}
	run("init", "-input=false")
	run("validate")
	run("apply", "-input=false", "-auto-approve", "-state="+state, "-var-file="+file)
	return run("output", "-raw", "-state="+state, "policy"), run("output", "-raw", "-state="+state, "trust_policy")
}

func example() map[string]any {
	return map[string]any{
		"region": "REGION", "account_id": "ACCOUNT", "created_prefix": "PREFIX/", "fleet_sync": true,
		"master_secret_arns": []string{"arn:aws:secretsmanager:REGION:ACCOUNT:secret:MASTER-??????"},
		"database_arns":      []string{"arn:aws:rds:REGION:ACCOUNT:db:NAME"},
		"oidc_provider_arn":  "arn:aws:iam::ACCOUNT:oidc-provider/oidc.eks.REGION.amazonaws.com/id/ID",
		"namespace":          "rotate-user", "service_account": "rotate-user",
	}
}

// The policy in the documentation is the module's. The end-to-end tests run a worker with it.
func TestThePolicyOfTheDocumentation(t *testing.T) {
	policy, _ := policies(t, example())
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(policy), "", "  "); err != nil {
		t.Fatal(err)
	}
	const page, fence = "../../docs/worker.md", "```json\n"
	text := read(t, page)
	before, rest, _ := strings.Cut(text, fence)
	_, after, found := strings.Cut(rest, "\n```\n")
	if !found {
		t.Fatalf("%s has no policy", page)
	}
	golden(t, page, before+fence+pretty.String()+"\n```\n"+after)
}

func TestPolicies(t *testing.T) {
	variables := example()
	maps.DeleteFunc(variables, func(name string, _ any) bool {
		return slices.Contains([]string{"created_prefix", "fleet_sync", "master_secret_arns"}, name)
	})
	variables["database_arns"] = []string{"arn:aws:rds:REGION:ACCOUNT:cluster:NAME"}
	variables["kms_key_arns"] = []string{"arn:aws:kms:REGION:ACCOUNT:key/ID"}
	policy, trust := policies(t, variables)
	var got struct {
		Statement []struct {
			Sid       string
			Action    []string
			Condition map[string]map[string]any
		}
	}
	if err := json.Unmarshal([]byte(policy), &got); err != nil {
		t.Fatal(err)
	}
	var sids []string
	for _, s := range got.Statement {
		sids = append(sids, s.Sid)
		if s.Sid == "FindCluster" && !slices.Equal(s.Action, []string{"rds:DescribeDBClusters"}) {
			t.Errorf("%+v", s)
		}
		if s.Sid == "UseKeys" && s.Condition["StringEquals"]["kms:ViaService"] != "secretsmanager.REGION.amazonaws.com" {
			t.Errorf("%+v", s)
		}
	}
	if want := []string{"RotateTagged", "ReadMasterOfCluster", "FindCluster", "UseKeys"}; !slices.Equal(sids, want) {
		t.Errorf("statements %v, want %v", sids, want)
	}
	const issuer = "oidc.eks.REGION.amazonaws.com/id/ID"
	want := `{"Statement":[{"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"` + issuer + `:aud":"sts.amazonaws.com","` +
		issuer + `:sub":"system:serviceaccount:rotate-user:rotate-user"}},"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::ACCOUNT:` +
		`oidc-provider/` + issuer + `"}}],"Version":"2012-10-17"}`
	if trust != want {
		t.Errorf("trust policy %s", trust)
	}
}

func TestFormat(t *testing.T) {
	if out, errs, err := tool(t, "tofu", "fmt", "-check", "-diff", "-recursive", "../terraform"); err != nil {
		t.Errorf("tofu fmt: %v\n%s%s", err, out, errs)
	}
}
