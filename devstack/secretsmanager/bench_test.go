package secretsmanager_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// BenchmarkRotation measures the calls of a rotation, two reads and three writes,
// on one of 10,000 secrets, without the network and the client.
func BenchmarkRotation(b *testing.B) {
	s, err := secretsmanager.New(secretsmanager.Options{})
	if err != nil {
		b.Fatal(err)
	}
	call := func(operation, format string, args ...any) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(fmt.Sprintf(format, args...)))
		r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Errorf("%s: %s", operation, w.Body)
		}
	}
	const secrets = 10000
	versions := make([]atomic.Int64, secrets)
	for i := range secrets {
		call("CreateSecret", `{"Name":"fleet/%d","SecretString":"{}","ClientRequestToken":"%032d"}`, i, 0)
	}
	var next atomic.Int64
	b.ReportAllocs()
	for b.Loop() {
		i := next.Add(1) % secrets
		old := versions[i].Add(1) - 1
		call("GetSecretValue", `{"SecretId":"fleet/%d"}`, i)
		call("PutSecretValue", `{"SecretId":"fleet/%d","SecretString":"{}","VersionStages":["AWSPENDING"],"ClientRequestToken":"%032d"}`, i,
			old+1)
		call("GetSecretValue", `{"SecretId":"fleet/%d","VersionStage":"AWSPENDING"}`, i)
		call("UpdateSecretVersionStage", `{"SecretId":"fleet/%d","VersionStage":"AWSCURRENT","RemoveFromVersionId":"%032d","MoveToVersionId":"%032d"}`, i, old, old+1)
		call("UpdateSecretVersionStage", `{"SecretId":"fleet/%d","VersionStage":"AWSPENDING","RemoveFromVersionId":"%032d"}`, i, old+1)
	}
}

// BenchmarkListSecrets measures one page of 100 of 10,000 secrets.
func BenchmarkListSecrets(b *testing.B) {
	s, err := secretsmanager.New(secretsmanager.Options{})
	if err != nil {
		b.Fatal(err)
	}
	call := func(operation, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	for i := range 10000 {
		call("CreateSecret", fmt.Sprintf(`{"Name":"fleet/%d","SecretString":"{}","ClientRequestToken":"%032d"}`, i, 0))
	}
	for b.Loop() {
		call("ListSecrets", `{"Filters":[{"Key":"name","Values":["fleet/"]}]}`)
	}
}
