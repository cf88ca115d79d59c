package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/internal/freeport"
)

func TestSetupIsDoneOnce(t *testing.T) {
	dir := t.TempDir()
	owners := map[string]int{}
	chown := func(path string, uid, _ int) error { owners[filepath.Base(path)] = uid; return nil }
	var first []byte
	for range 2 {
		if err := setup(dir, chown); err != nil {
			t.Fatal(err)
		}
		value, err := os.ReadFile(filepath.Join(dir, "master.json"))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = value
		} else if string(first) != string(value) {
			t.Error("the second setup created another password")
		}
	}
	for name, user := range map[string]int{"server-key.pem": mysqlUser, "root-password.new": mysqlUser, "admin-password.new": mysqlUser,
		"master.json.new": nonrootUser} {
		if owners[name] != user {
			t.Errorf("%s belongs to user %d, want %d", name, owners[name], user)
		}
	}
	for _, name := range []string{"server-key.pem", "root-password", "admin-password", "master.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	var master struct{ Host, Password string }
	admin, err := os.ReadFile(filepath.Join(dir, "admin-password"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(first, &master); err != nil || master.Host != "mysql" || master.Password != string(admin) {
		t.Errorf("the master secret names host %q, or has another password than the administrator (%v)", master.Host, err)
	}
}

func TestServeHasTheSecret(t *testing.T) {
	address, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte(`{"username":"adminuser"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- run(serving, []string{"serve", "--address", address, "--secret", "Master=" + file}) }()
	for run(ctx, []string{"health", "--address", address}) != nil {
		select {
		case err := <-done:
			t.Fatal(err)
		case <-ctx.Done():
			t.Fatal("the endpoint does not become healthy")
		case <-time.After(5 * time.Millisecond):
		}
	}
	client := secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + address),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("Master")})
	if err != nil || aws.ToString(out.SecretString) != `{"username":"adminuser"}` {
		t.Errorf("got %v, %v", out, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
