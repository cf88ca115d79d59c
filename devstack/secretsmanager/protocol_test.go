package secretsmanager_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// raw sends a body as no SDK would, and returns the status and the answer.
func raw(t *testing.T, url, operation, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
		t.Errorf("Content-Type %q", got)
	}
	return answer.StatusCode, string(b)
}

func TestWire(t *testing.T) {
	const (
		token   = `"ClientRequestToken":"0123456789abcdef0123456789abcdef"`
		noToken = `"Message":"You must provide a ClientRequestToken value. We recommend a UUID-type value."}`
	)
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	for _, tt := range []struct {
		name, operation, body string
		status                int
		want                  string
	}{
		{"service error", "GetSecretValue", `{"SecretId":"none"}`, 400,
			`{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`},
		{"create without token", "CreateSecret", `{"Name":"n","SecretString":"x"}`, 400, `{"__type":"InvalidRequestException",` + noToken},
		{"put without token", "PutSecretValue", `{"SecretId":"none","SecretString":"x"}`, 400, `{"__type":"InvalidRequestException",` + noToken},
		{"update without token", "UpdateSecret", `{"SecretId":"none","SecretString":"x"}`, 400, `{"__type":"InvalidRequestException",` + noToken},
		{"rotate without token", "RotateSecret", `{"SecretId":"none"}`, 400, `{"__type":"InvalidParameterException",` + noToken},
		{"unknown operation", "PutSecret", `{"SecretId":"s"}`, 400,
			`{"__type":"UnknownOperationException","Message":"this endpoint does not know the operation \"PutSecret\""}`},
		{"unknown parameter", "CreateSecret", `{"Name":"n",` + token + `,"Owner":[]}`, 400,
			`{"__type":"UnknownParameterException","Message":"this endpoint does not know the parameter \"Owner\""}`},
		{"wrong type", "GetSecretValue", `{"SecretId":1}`, 400,
			`{"__type":"SerializationException","Message":"parameter \"SecretId\" has the wrong JSON type"}`},
		{"no JSON", "GetSecretValue", `SecretId=s`, 400,
			`{"__type":"SerializationException","Message":"the request is not a JSON object, or one of its values is malformed"}`},
		{"more than JSON", "GetSecretValue", `{"SecretId":"s"}{}`, 400,
			`{"__type":"SerializationException","Message":"more than one JSON value in the request"}`},
		{"too much", "GetSecretValue", strings.Repeat(" ", 2<<20), 413, `{"__type":"RequestEntityTooLargeException","Message":""}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := raw(t, e.url, tt.operation, tt.body)
			if status != tt.status || body != tt.want {
				t.Errorf("got %d %s\nwant %d %s", status, body, tt.status, tt.want)
			}
		})
	}
}

// TestAnOperationThatItLacksIsNamed checks that callers of the SDK learn which operation this endpoint lacks.
func TestAnOperationThatItLacksIsNamed(t *testing.T) {
	e := newEndpoint(t, "")
	arn := aws.String(e.create(t, "s", "v1", "a"))
	for operation, call := range map[string]func() error{
		"ListResourcePolicies": func() error {
			_, err := e.ListResourcePolicies(ctx, &sm.ListResourcePoliciesInput{SecretId: arn})
			return err
		},
		"AssociateCrossAccountReplica": func() error {
			_, err := e.AssociateCrossAccountReplica(ctx, &sm.AssociateCrossAccountReplicaInput{SecretId: arn, CrossAccountReplicaARN: arn})
			return err
		},
		"DisassociateCrossAccountReplica": func() error {
			_, err := e.DisassociateCrossAccountReplica(ctx, &sm.DisassociateCrossAccountReplicaInput{SecretId: arn, CrossAccountReplicaARN: arn})
			return err
		},
	} {
		expect(t, call(), `UnknownOperationException: this endpoint does not know the operation "`+operation+`"`)
	}
}

// TestAnswers compares whole answers as they are on the wire, where the SDK does
// not tell an absent field from an empty one.
func TestAnswers(t *testing.T) {
	e := newEndpoint(t, "")
	ask := func(operation, body string) map[string]any {
		t.Helper()
		status, answer := raw(t, e.url, operation, body)
		if status != 200 {
			t.Fatalf("%s: %d %s", operation, status, answer)
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(answer), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := func(operation, body string, want map[string]any) {
		t.Helper()
		if d := cmp.Diff(want, ask(operation, body)); d != "" {
			t.Errorf("%s: -want +got\n%s", operation, d)
		}
	}
	type object = map[string]any
	type list = []any
	const noon, midnight = 1773500966.535, 1773446400.0
	v1, v2, v3 := id("v1"), id("v2"), id("v3")

	arn := ask("CreateSecret", `{"Name":"s","SecretString":"a","ClientRequestToken":"`+v1+`"}`)["ARN"]
	want("DescribeSecret", `{"SecretId":"s"}`, object{"ARN": arn, "Name": "s", "CreatedDate": noon, "LastChangedDate": noon,
		"VersionIdsToStages": object{v1: list{"AWSCURRENT"}}})
	want("GetSecretValue", `{"SecretId":"s"}`, object{"ARN": arn, "Name": "s", "CreatedDate": noon,
		"SecretString": "a", "VersionId": v1, "VersionStages": list{"AWSCURRENT"}})
	want("PutSecretValue", `{"SecretId":"s","SecretBinary":"Zm9vdGVzdA==","ClientRequestToken":"`+v2+`"}`,
		object{"ARN": arn, "Name": "s", "VersionId": v2, "VersionStages": list{"AWSCURRENT"}})
	want("UpdateSecret", `{"SecretId":"s","SecretBinary":"Zm9vdGVzdA==","ClientRequestToken":"`+v3+`"}`,
		object{"ARN": arn, "Name": "s", "VersionId": v3})
	want("GetSecretValue", `{"SecretId":"s"}`, object{"ARN": arn, "Name": "s", "CreatedDate": noon,
		"SecretBinary": "Zm9vdGVzdA==", "VersionId": v3, "VersionStages": list{"AWSCURRENT"}})
	want("UpdateSecretVersionStage", `{"SecretId":"s","VersionStage":"X","MoveToVersionId":"`+v2+`"}`, object{"ARN": arn, "Name": "s"})
	keys := list{"DefaultEncryptionKey"}
	want("ListSecretVersionIds", `{"SecretId":"s","IncludeDeprecated":true}`, object{"ARN": arn, "Name": "s", "Versions": list{
		object{"VersionId": v1, "CreatedDate": noon, "LastAccessedDate": midnight, "KmsKeyIds": keys},
		object{"VersionId": v2, "CreatedDate": noon, "KmsKeyIds": keys, "VersionStages": list{"AWSPREVIOUS", "X"}},
		object{"VersionId": v3, "CreatedDate": noon, "LastAccessedDate": midnight, "KmsKeyIds": keys, "VersionStages": list{"AWSCURRENT"}},
	}})
	want("UpdateSecret", `{"SecretId":"s","Description":"d","ClientRequestToken":"`+v3+`"}`, object{"ARN": arn, "Name": "s"})
	want("TagResource", `{"SecretId":"s","Tags":[{"Key":"k","Value":"v"}]}`, object{})
	want("ListSecrets", `{}`, object{"SecretList": list{
		object{"ARN": arn, "Name": "s", "Description": "d", "CreatedDate": noon, "LastChangedDate": noon, "LastAccessedDate": midnight,
			"Tags":                   list{object{"Key": "k", "Value": "v"}},
			"SecretVersionsToStages": object{v2: list{"AWSPREVIOUS", "X"}, v3: list{"AWSCURRENT"}}},
	}})
	want("UntagResource", `{"SecretId":"s","TagKeys":["k"]}`, object{})
	want("DescribeSecret", `{"SecretId":"s"}`, object{"ARN": arn, "Name": "s", "Description": "d",
		"CreatedDate": noon, "LastChangedDate": noon, "LastAccessedDate": midnight, "Tags": list{},
		"VersionIdsToStages": object{v2: list{"AWSPREVIOUS", "X"}, v3: list{"AWSCURRENT"}}})
	want("DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":7}`, object{"ARN": arn, "Name": "s", "DeletionDate": noon + 7*86400})
	want("RestoreSecret", `{"SecretId":"s"}`, object{"ARN": arn, "Name": "s"})

	empty := ask("CreateSecret", `{"Name":"e","ClientRequestToken":"`+v1+`"}`)
	if d := cmp.Diff(object{"ARN": empty["ARN"], "Name": "e"}, empty); d != "" {
		t.Errorf("CreateSecret without value: -want +got\n%s", d)
	}
	want("DescribeSecret", `{"SecretId":"e"}`, object{"ARN": empty["ARN"], "Name": "e", "CreatedDate": noon, "LastChangedDate": noon})
}

// TestOneWrite checks that the head of an answer does not travel alone, which
// costs clients of the Go SDK an answer now and then.
func TestOneWrite(t *testing.T) {
	s, err := secretsmanager.New(secretsmanager.Options{})
	if err != nil {
		t.Fatal(err)
	}
	writes := make(chan []byte, 10)
	web := httptest.NewUnstartedServer(s)
	web.Listener = recordingListener{web.Listener, writes}
	web.Start()
	defer web.Close()
	raw(t, web.URL, "GetRandomPassword", `{"PasswordLength":1000}`)
	if first := <-writes; !bytes.Contains(first, []byte("RandomPassword")) {
		t.Errorf("the first write has no body:\n%s", first)
	}
}

type recordingListener struct {
	net.Listener
	writes chan<- []byte
}

func (l recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return recordingConn{c, l.writes}, err
}

type recordingConn struct {
	net.Conn
	writes chan<- []byte
}

func (c recordingConn) Write(b []byte) (int, error) {
	c.writes <- bytes.Clone(b)
	return c.Conn.Write(b)
}

func TestLog(t *testing.T) {
	var log bytes.Buffer
	s, err := secretsmanager.New(secretsmanager.Options{Log: slog.New(slog.NewTextHandler(&log,
		&slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	const canary = "kanarienvogel"
	e := &endpoint{client(web.URL), s, web.URL, nil}
	e.create(t, "s", "v1", canary)
	e.get("s", "", "")
	e.put("s", "v1", "other-"+canary)
	raw(t, web.URL, "PutSecretValue", `{"SecretId":"s","SecretString":["`+canary+`"]}`)
	raw(t, web.URL, "PutSecretValue", `{"SecretId":"s","SecretBinary":"!`+canary+`"}`)
	raw(t, web.URL, "PutSecretValue", `{"SecretId":"s","Nonsense":"`+canary+`"}`)
	raw(t, web.URL, "PutSecret", `{"SecretId":"s"}`)
	web.Close() // waits for the calls, which log before they are answered

	text := log.String()
	if strings.Contains(text, canary) {
		t.Errorf("a value is in the log:\n%s", text)
	}
	for _, want := range []string{
		`level=DEBUG msg=call operation=CreateSecret secret=s error=""`,
		`level=DEBUG msg=call operation=PutSecretValue secret=s error=ResourceExistsException`,
		`level=WARN msg="unknown parameter" operation=PutSecretValue secret=s error="this endpoint does not know the parameter \"Nonsense\""`,
		`level=WARN msg="unknown operation" target=secretsmanager.PutSecret`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not in the log: %s\n%s", want, text)
		}
	}
	values := strings.Join(s.Values(), " ")
	if values != canary {
		t.Errorf("values stored: %q", values)
	}
}

func TestCalls(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	e.get("s", "", "")
	e.get("none", "", "")
	raw(t, e.url, "Nonsense", `{}`)
	if d := cmp.Diff(map[string]int{"CreateSecret": 1, "GetSecretValue": 2, "": 1}, e.server.Calls()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	e.server.ResetCalls()
	if calls := e.server.Calls(); len(calls) != 0 {
		t.Errorf("after the reset: %v", calls)
	}
}

func TestARN(t *testing.T) {
	s, err := secretsmanager.New(secretsmanager.Options{Region: "eu-central-1", AccountID: "000000000042"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	e := &endpoint{clientOf(web.URL, "eu-central-1", "any"), s, web.URL, nil}
	form := regexp.MustCompile(`^arn:aws:secretsmanager:eu-central-1:000000000042:secret:a/b_c\+d=e\.f@g-[A-Za-z0-9]{6}$`)
	name := "a/b_c+d=e.f@g"
	first := e.create(t, name, "v1", "a")
	if !form.MatchString(first) {
		t.Errorf("ARN %s", first)
	}
	force := true
	if _, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: &force}); err != nil {
		t.Fatal(err)
	}
	if second := e.create(t, name, "v1", "a"); second == first {
		t.Errorf("the ARN of a deleted secret came back: %s", second)
	}
	_, err = e.get(first, "", "")
	expect(t, err, noSecret)
}
