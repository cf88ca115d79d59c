package secretsmanager_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// TestState compares what an endpoint and its successor on the same file say of
// secrets in all states.
func TestState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	e := newEndpoint(t, path)
	e.create(t, "empty", "", "")
	e.create(t, "s", "v1", "a")
	e.put("s", "v2", "b")
	e.put("s", "v3", "c", "AWSPENDING", "X")
	e.put("s", "v4", "d")
	e.get("s", "v2", "")
	if _, err := e.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("binary"), SecretBinary: []byte{0, 255},
		ClientRequestToken: aws.String(id("v1")), Description: aws.String("d"), KmsKeyId: aws.String("alias/k"),
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("")}}}); err != nil {
		t.Fatal(err)
	}
	e.create(t, "untagged", "v1", "a")
	for _, err := range []error{
		func() error {
			_, err := e.TagResource(ctx, &sm.TagResourceInput{SecretId: aws.String("untagged"),
				Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
			return err
		}(),
		func() error {
			_, err := e.UntagResource(ctx, &sm.UntagResourceInput{SecretId: aws.String("untagged"), TagKeys: []string{"k"}})
			return err
		}(),
		e.server.EnableRotation("binary"),
		func() error {
			_, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("untagged")})
			return err
		}(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	tell := func(e *endpoint) []string {
		var answers []string
		ask := func(operation, body string) {
			_, answer := raw(t, e.url, operation, body)
			answers = append(answers, operation+" "+body+"\n"+answer)
		}
		ask("ListSecrets", `{"IncludePlannedDeletion":true}`)
		for _, s := range []string{"empty", "s", "binary", "untagged"} {
			ask("DescribeSecret", `{"SecretId":"`+s+`"}`)
			ask("ListSecretVersionIds", `{"SecretId":"`+s+`","IncludeDeprecated":true}`)
			ask("GetSecretValue", `{"SecretId":"`+s+`","VersionId":"`+id("v1")+`"}`)
		}
		return answers
	}
	tell(e) // its reads leave dates of access
	successor := newEndpoint(t, path)
	if d := cmp.Diff(tell(e), tell(successor)); d != "" {
		t.Errorf("-before +after\n%s", d)
	}
	if _, err := successor.put("s", "v4", "other"); err == nil {
		t.Error("the successor forgot a token")
	}
	if got := strings.Join(successor.server.Values(), ""); len(got) != 5 { // a b c d, and a of untagged
		t.Errorf("values %q", got)
	}

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("files left: %v, %v", files, err)
	}
}

// TestAnswerIsDurable opens the file as soon as each of many concurrent calls is
// answered: what was answered must be in it.
func TestAnswerIsDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	e := newEndpoint(t, path)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 5 {
				value := fmt.Sprintf("value %d %d", i, j)
				name := fmt.Sprintf("s%d-%d", i, j)
				if _, err := e.CreateSecret(ctx, &sm.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
					t.Error(err)
					return
				}
				b, err := os.ReadFile(path)
				if err != nil || !strings.Contains(string(b), value) {
					t.Errorf("%s was answered before it was in the file (%v)", name, err)
				}
			}
		})
	}
	all.Wait()
}

func TestStateFailures(t *testing.T) {
	dir := t.TempDir()
	t.Run("damaged", func(t *testing.T) {
		for _, content := range []string{"", "{}", `{"Secrets":{"s":`, "secret"} {
			path := filepath.Join(dir, "damaged")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := secretsmanager.New(secretsmanager.Options{Path: path})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %v", content, err)
			}
		}
	})
	t.Run("cannot be written", func(t *testing.T) {
		e := newEndpoint(t, filepath.Join(dir, "none", "state"))
		status, answer := raw(t, e.url, "CreateSecret", `{"Name":"s","ClientRequestToken":"`+id("v1")+`"}`)
		if status != 500 || !strings.HasPrefix(answer, `{"__type":"InternalServiceError"`) {
			t.Errorf("%d %s", status, answer)
		}
		if err := os.Mkdir(filepath.Join(dir, "none"), 0o700); err != nil {
			t.Fatal(err)
		}
		e.create(t, "t", "v1", "a")
	})
}

// TestConcurrency rotates one secret from many clients at once, who meet each
// other's labels, while others read: AWSCURRENT is on one version at any time.
func TestConcurrency(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v0", "v0")
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		writers.Go(func() {
			for j := range 20 {
				version := fmt.Sprintf("v%d.%d", i, j)
				if _, err := e.put("s", version, version, "AWSPENDING"); err != nil {
					t.Error(err)
				}
				now, err := e.get("s", "", "")
				if err != nil {
					t.Error(err)
					return
				}
				// Refused if another client was faster.
				_ = e.move("s", "AWSCURRENT", short(*now.VersionId), version)
				_ = e.move("s", "AWSPENDING", version, "")
			}
		})
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				v, err := e.get("s", "", "")
				if err != nil || *v.SecretString != short(*v.VersionId) {
					t.Errorf("read %v, %v", v, err)
					return
				}
				list, err := e.ListSecrets(ctx, &sm.ListSecretsInput{})
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for _, stages := range list.SecretList[0].SecretVersionsToStages {
					for _, s := range stages {
						if s == "AWSCURRENT" {
							n++
						}
					}
				}
				if n != 1 {
					t.Errorf("AWSCURRENT is on %d versions", n)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if n := len(e.labels(t, "s")); n != 81 {
		t.Errorf("%d versions, want 81", n)
	}
}
