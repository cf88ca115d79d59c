package activities

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/internal/account"
	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// keeper fakes Secrets Manager for a user's secret "app" and a master secret "prod/admin", by name
// or by ARN.
type keeper struct {
	server string // in both secrets
	writes atomic.Int32
}

const accountARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"

func (k *keeper) Do(r *http.Request) (*http.Response, error) {
	var in struct {
		SecretID string `json:"SecretId"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(k.server)
	if err != nil {
		return nil, err
	}
	name := "app"
	if strings.Contains(in.SecretID, "admin") {
		name = "prod/admin"
	}
	answer := map[string]any{"Name": name, "ARN": accountARN + name + "-AbCdEf", "VersionId": name + "-1"}
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "DescribeSecret":
		answer["VersionIdsToStages"] = map[string][]string{name + "-1": {secret.Current}}
	case "GetSecretValue":
		answer["SecretString"] = fmt.Sprintf(`{"engine":"mysql","host":%q,"port":%s,"username":"u","password":"p3y8Lw","masterarn":"prod/admin","ssl":false}`, host, port)
		answer["VersionStages"] = []string{secret.Current}
	default:
		k.writes.Add(1)
	}
	body, err := json.Marshal(answer)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))),
		Request: r}, err
}

// database counts connections and answers none of them.
func database(t *testing.T) (address string, connections *atomic.Int32) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	connections = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = c.Close()
		}
	}()
	return l.Addr().String(), connections
}

// No activity opens a connection with a master secret that is not allowed, however its input spells
// the name.
func TestAMasterSecretThatIsNotListedIsNotUsed(t *testing.T) {
	t.Parallel()
	address, connections := database(t)
	k := &keeper{server: address}
	a := &Activities{
		Secrets: secret.NewStore(secretsmanager.New(secretsmanager.Options{
			Region: "eu-west-1", HTTPClient: k, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), Retryer: aws.NopRetryer{},
		})),
		Accounts: new(account.Dialer),
		Masters:  []MasterPattern{"test/*", "app", accountARN + "test/*"},
	}
	t.Cleanup(func() { _ = a.Accounts.Close() })
	for _, master := range []string{"prod/admin", accountARN + "prod/admin", accountARN + "prod/admin-AbCdEf"} {
		r := rotation.StepInput{
			SecretID: "app", MasterSecretID: master, VersionID: "app-1", CurrentVersionID: "app-0", MasterVersionID: "prod/admin-1", Server: address,
			Source: grants.Name{User: "u_clone", Host: "%"}, Standby: grants.Name{User: "u", Host: "%"},
		}
		staged, err := a.Secrets.Version(t.Context(), "app", "app-1")
		if err != nil {
			t.Fatal(err)
		}
		r.ValueSHA256 = staged.SHA256()
		d := rotation.Deletion{SecretID: "app", MasterSecretID: master, Server: address, Accounts: []grants.Name{r.Standby},
			Users: []string{"u", "u_clone"}}
		create := rotation.CreateAccountInput{SecretID: "app", MasterSecretID: master, Account: r.Standby, VersionID: "app-1"}
		clone := rotation.CloneUserInput{SecretID: "app", MasterSecretID: master}
		for name, in := range map[string]any{
			rotation.CloneUser:       clone,
			rotation.PlanRotation:    rotation.PlanRotationInput{CloneUserInput: clone},
			rotation.RecoverSecret:   rotation.RecoverSecretInput{CloneUserInput: clone},
			rotation.SetPassword:     r,
			rotation.PromotePassword: r,
			rotation.RevokePrevious:  r,
			rotation.StoreSecret:     create,
			rotation.FindAccounts:    rotation.FindAccountsInput{CloneUserInput: clone},
			rotation.DeleteSecret:    d,
			rotation.LockAccounts:    d,
			rotation.UnlockAccounts:  d,
			rotation.DropAccounts:    d,
		} {
			_, err := intercepted(t, a, name, in)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != rotation.ErrorMasterNotAllowed || !app.NonRetryable() ||
				!strings.Contains(app.Message(), "--allowed-master-secrets") {
				t.Errorf("%s with master secret %s: %v", name, master, err)
			}
		}
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections to the database", n)
	}
	if n := k.writes.Load(); n > 0 {
		t.Errorf("%d writes to Secrets Manager", n)
	}
}

func TestMasterPatterns(t *testing.T) {
	t.Parallel()
	m := secret.Version{Name: "prod/admin", ARN: accountARN + "prod/admin-AbCdEf"}
	for pattern, want := range map[MasterPattern]bool{
		"prod/admin":                     true,
		"prod/*":                         true,
		"prod/admin*":                    true,
		"*":                              true,
		accountARN + "prod/admin":        true,
		accountARN + "prod/admin-AbCdEf": true,
		accountARN + "*":                 true,
		"prod":                           false,
		"prod/admin2*":                   false,
		"PROD/*":                         false,
		"admin":                          false,
		accountARN + "prod/adm":          false,
		accountARN + "prod/admin-XXXXXX": false,
		"arn:aws:secretsmanager:eu-west-1:999999*": false,
	} {
		if got := pattern.matches(m); got != want {
			t.Errorf("%s: %t", pattern, got)
		}
	}
}
