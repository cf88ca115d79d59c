package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/rotation"
)

// iamPolicy is the policy of a worker: the part of IAM's language that docs/worker.md uses.
type iamPolicy struct {
	Version   string
	Statement []iamStatement
}

type iamStatement struct {
	Sid, Effect      string
	Action, Resource []string
	Condition        map[string]map[string]any
}

// documentedPolicy returns the policy in docs/worker.md for the dev stack. deploy/check compares it with the Terraform module.
func documentedPolicy(t *testing.T, s *stack.Stack, prefix, master string) (p iamPolicy) {
	t.Helper()
	root, err := stack.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/worker.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	text, _, _ := strings.Cut(rest, "```\n")
	text = strings.NewReplacer("REGION", "us-east-1", "ACCOUNT", "123456789012", "PREFIX", prefix, "MASTER", master, "NAME", "tutorial").Replace(text)
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// allowing returns the statements that allow an action. What this does not know allows nothing.
func (p iamPolicy) allowing(action, resource string, tags map[string]string) (sids []string) {
	for _, s := range p.Statement {
		matches := func(pattern string) bool {
			pattern = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
			return regexp.MustCompile("^" + pattern + "$").MatchString(resource)
		}
		if s.Effect == "Allow" && slices.Contains(s.Action, action) && slices.ContainsFunc(s.Resource, matches) && s.holds(tags) {
			sids = append(sids, s.Sid)
		}
	}
	return sids
}

func (s iamStatement) holds(tags map[string]string) bool {
	for operator, conditions := range s.Condition {
		for key, want := range conditions {
			key, ofTag := strings.CutPrefix(key, "aws:ResourceTag/")
			value, tagged := tags[key]
			var holds bool
			switch operator {
			case "Null":
				holds = want == "false" && tagged
			case "StringEquals":
				holds = tagged && slices.Contains(want.([]any), any(value))
			}
			if !ofTag || !holds {
				return false
			}
		}
	}
	return true
}

// guard stands before AWS and lets through what the policy allows.
type guard struct {
	*stack.Stack
	policy iamPolicy

	mu      sync.Mutex
	needed  map[string]bool // statement and action, if a call was allowed by nothing else
	refused []string
}

// permit checks a call to the resource with this ARN.
func (g *guard) permit(action, resource string, tags map[string]string) bool {
	sids := g.policy.allowing(action, resource, tags)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch len(sids) {
	case 0:
		g.refused = append(g.refused, action+" on "+resource)
	case 1:
		g.needed[sids[0]+" "+action] = true
	}
	return len(sids) > 0
}

// wasRefused checks which calls were refused since it was last called, by their beginnings.
func (g *guard) wasRefused(t *testing.T, want ...string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.EqualFunc(g.refused, want, strings.HasPrefix) {
		t.Errorf("refused: %q, want %q", g.refused, want)
	}
	g.refused = nil
}

func (g *guard) secretsManager(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in struct {
		SecretID string `json:"SecretId"`
		Name     string
	}
	if err != nil || json.Unmarshal(body, &in) != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	name := in.SecretID + in.Name
	resource, tags := "*", map[string]string{}
	if name != "" {
		if resource = name; !strings.HasPrefix(name, "arn:") {
			resource = "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + name + "-??????"
		}
		if d, err := g.Client.DescribeSecret(r.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name}); err == nil {
			resource = *d.ARN
			for _, tag := range d.Tags {
				tags[*tag.Key] = *tag.Value
			}
		}
	}
	if !g.permit("secretsmanager:"+operation, resource, tags) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":"AccessDeniedException","Message":"not authorized to perform secretsmanager:%s on %s"}`, operation, resource)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.Secrets.ServeHTTP(w, r)
}

func (g *guard) rds(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	form, parseErr := url.ParseQuery(string(body))
	if err != nil || parseErr != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	if !g.permit("rds:"+form.Get("Action"), form.Get("DBInstanceIdentifier")+form.Get("DBClusterIdentifier"), nil) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.RDS.ServeHTTP(w, r)
}

// TestTheLeastPolicy runs a worker with the policy in docs/worker.md, and checks that it may do everything that it has to, and that no
// action of the policy is superfluous.
func TestTheLeastPolicy(t *testing.T) {
	t.Parallel()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), Mysqld: mysqldtest.Programs(t)[0].Engine, ManagedMaster: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	g := &guard{Stack: s, policy: documentedPolicy(t, s, "made", stack.MasterSecret), needed: map[string]bool{}}
	secrets, databases := httptest.NewServer(http.HandlerFunc(g.secretsManager)), httptest.NewServer(http.HandlerFunc(g.rds))
	t.Cleanup(secrets.Close)
	t.Cleanup(databases.Close)
	env := append(s.Environment(), "AWS_ENDPOINT_URL_SECRETS_MANAGER="+secrets.URL, "AWS_ENDPOINT_URL_RDS="+databases.URL)
	w, err := stack.RunWorker(t.Context(), filepath.Join(bin, "worker"), env, nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	e := &e2e{running: running{Stack: s, bin: bin, worker: w}, temporal: dial(t, s.Temporal.Address())}

	e.create(t, "made/one", "policy1", "SELECT ON *.*")
	e.create(t, "made/app", "policy2", "SELECT ON *.*")
	g.wasRefused(t)
	e.starterExits(t, 1, "create", "--secret-id", "other/one", "--master-secret-id", stack.MasterSecret, "--username", "policy3")
	g.wasRefused(t, "secretsmanager:DescribeSecret on arn:aws:secretsmanager:us-east-1:123456789012:secret:other/one-")
	e.starter(t, "start", "--secret-id", "made/one")
	e.rotateAndRecover(t, "made/one")
	e.starter(t, "delete", "--secret-id", "made/one", "--force")

	// The secret of another tool, on a database whose master secret RDS manages. A tag adopts it.
	e.withoutTool(t, "made/app", "shop/app")
	g.wasRefused(t)
	e.starterExits(t, 1, "validate", "--secret-id", "shop/app")
	g.wasRefused(t, "secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/app-")
	if _, err := s.Client.TagResource(t.Context(), &secretsmanager.TagResourceInput{
		SecretId: aws.String("shop/app"), Tags: []types.Tag{{Key: aws.String(rotation.FleetTag), Value: aws.String("30d")}},
	}); err != nil {
		t.Fatal(err)
	}
	e.starter(t, "fleet", "sync", "--over", "0s", "--master-secret-id", s.MasterID)
	waitFor(t, func() bool { return !e.status(t, "shop/app").LastRotatedDate.IsZero() })
	e.starter(t, "fleet", "stop")
	e.rotateAndRecover(t, "shop/app")

	g.wasRefused(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, statement := range g.policy.Statement {
		for _, action := range statement.Action {
			if !g.needed[statement.Sid+" "+action] {
				t.Errorf("%s: nothing needed %s", statement.Sid, action)
			}
		}
	}
}

// rotateAndRecover rotates a secret, puts a wrong password into it, and lets the worker find the right one.
func (e *e2e) rotateAndRecover(t *testing.T, secretID string) {
	t.Helper()
	e.starter(t, "rotate", "--secret-id", secretID, "--force", "--revoke-previous")
	e.starter(t, "plan", "--secret-id", secretID)
	_, c, err := e.Read(t.Context(), secretID, "AWSCURRENT")
	if err != nil {
		t.Fatal(err)
	}
	c.Password = "wrong"
	if _, err := e.Client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &secretID, SecretString: aws.String(credentialText(t, c)),
	}); err != nil {
		t.Fatal(err)
	}
	e.starterExits(t, 1, "validate", "--secret-id", secretID)
	e.starter(t, "recover", "--secret-id", secretID)
	e.starter(t, "validate", "--secret-id", secretID)
}

// withoutTool copies the credential in a secret to a new one that names no master secret.
func (e *e2e) withoutTool(t *testing.T, from, to string) {
	t.Helper()
	_, c, err := e.Read(t.Context(), from, "AWSCURRENT")
	if err != nil {
		t.Fatal(err)
	}
	c.MasterARN = ""
	if _, err := e.Client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: &to, SecretString: aws.String(credentialText(t, c)),
	}); err != nil {
		t.Fatal(err)
	}
}

func credentialText(t *testing.T, c stack.Credential) string {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
