package secretsmanager_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
)

func TestSecretID(t *testing.T) {
	e := newEndpoint(t, "")
	names := []string{"plain", "a/path/to", "ends-a1b2", "ends-a1b2c3-", "ends-a1b2c3"}
	arns := map[string]string{}
	for _, n := range names {
		arns[n] = e.create(t, n, "v1", n)
	}
	partial := func(name string) string { return arns[name][:len(arns[name])-7] }
	const invalid = "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: " +
		"-/_+=.@!"
	tests := []struct {
		id, name, err string
	}{
		{partial("plain"), "plain", ""},
		{partial("a/path/to"), "a/path/to", ""},
		{partial("ends-a1b2"), "ends-a1b2", ""},
		{partial("ends-a1b2c3-"), "ends-a1b2c3-", ""},
		{partial("ends-a1b2c3"), "", noSecret}, // looks complete
		{"plain-" + arns["plain"][len(arns["plain"])-6:], "", noSecret},
		{partial("plain") + "-AAAAAA", "", noSecret},
		{strings.Replace(arns["plain"], "us-east-1", "us-west-2", 1), "", noSecret},
		{strings.Replace(arns["plain"], "123456789012", "210987654321", 1), "", "AccessDeniedException"},
		{"arn:aws:s3:::bucket", "", noSecret},
		{"none", "", noSecret},
		{"Plain", "", noSecret},
		{"has space", "", invalid},
		{"star*", "", invalid},
		{"what?", "", invalid},
		{"bracket]", "", invalid},
		{`back\slash`, "", invalid},
		{"col:on", "", invalid},
		{partial("plain") + "*", "", invalid},
		{strings.Repeat("a", 2049), "", "InvalidParameterException"},
	}
	for _, n := range names {
		tests = append(tests, struct{ id, name, err string }{n, n, ""}, struct{ id, name, err string }{arns[n], n, ""})
	}
	for _, tt := range tests {
		out, err := e.get(tt.id, "", "")
		if tt.err != "" {
			expect(t, err, tt.err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
		} else if *out.Name != tt.name || *out.ARN != arns[tt.name] || *out.SecretString != tt.name {
			t.Errorf("%s names %s", tt.id, *out.Name)
		}
	}
}

// TestInvalidName tries the characters that no name has on all operations, and
// an unknown name on those that need a secret.
func TestInvalidName(t *testing.T) {
	e := newEndpoint(t, "")
	for operation, body := range map[string]string{
		"CancelRotateSecret":       `{"SecretId":"NAME"}`,
		"CreateSecret":             `{"Name":"NAME","ClientRequestToken":"TOKEN"}`,
		"DeleteSecret":             `{"SecretId":"NAME"}`,
		"DescribeSecret":           `{"SecretId":"NAME"}`,
		"GetSecretValue":           `{"SecretId":"NAME"}`,
		"ListSecretVersionIds":     `{"SecretId":"NAME"}`,
		"PutSecretValue":           `{"SecretId":"NAME","SecretString":"x","ClientRequestToken":"TOKEN"}`,
		"RestoreSecret":            `{"SecretId":"NAME"}`,
		"RotateSecret":             `{"SecretId":"NAME","ClientRequestToken":"TOKEN"}`,
		"TagResource":              `{"SecretId":"NAME","Tags":[]}`,
		"UntagResource":            `{"SecretId":"NAME","TagKeys":[]}`,
		"UpdateSecret":             `{"SecretId":"NAME","ClientRequestToken":"TOKEN"}`,
		"UpdateSecretVersionStage": `{"SecretId":"NAME","VersionStage":"X","MoveToVersionId":"TOKEN"}`,
	} {
		body = strings.ReplaceAll(body, "TOKEN", id("v1"))
		_, answer := raw(t, e.url, operation, strings.ReplaceAll(body, "NAME", "a b"))
		if !strings.HasPrefix(answer, `{"__type":"ValidationException"`) {
			t.Errorf("%s of an invalid name: %s", operation, answer)
		}
		if operation == "CreateSecret" {
			continue
		}
		_, answer = raw(t, e.url, operation, strings.ReplaceAll(body, "NAME", "none"))
		if want := `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`; answer != want {
			t.Errorf("%s of an unknown name: %s", operation, answer)
		}
	}
	_, answer := raw(t, e.url, "DeleteSecret", `{"SecretId":"a b","ForceDeleteWithoutRecovery":true}`)
	if !strings.HasPrefix(answer, `{"__type":"ValidationException"`) {
		t.Errorf("forced deletion of an invalid name: %s", answer)
	}
}

func TestCreateAgain(t *testing.T) {
	for _, tt := range []struct {
		name, version, value, err string
	}{
		{"replay", "v1", "a", ""},
		{"other value", "v1", "b", "ResourceExistsException: You can't use ClientRequestToken " + id("v1") +
			" because that value is already in use for a version of secret arn:"},
		{"other token", "v2", "a", "ResourceExistsException: The operation failed because the secret s already exists."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEndpoint(t, "")
			arn := e.create(t, "s", "v1", "a")
			out, err := e.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("s"), ClientRequestToken: aws.String(id(tt.version)),
				SecretString: &tt.value})
			expect(t, err, tt.err)
			if err == nil && (*out.ARN != arn || *out.VersionId != id("v1")) {
				t.Errorf("replay answered %s %s", *out.ARN, *out.VersionId)
			}
			if d := cmp.Diff(map[string]string{"v1": "AWSCURRENT"}, e.labels(t, "s")); d != "" {
				t.Errorf("labels: -want +got\n%s", d)
			}
		})
	}
}

func TestGetSecretValueErrors(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	e.put("s", "v2", "b", "AWSPENDING")
	e.create(t, "empty", "", "")
	for _, tt := range []struct {
		secret, version, stage, err string
	}{
		{"none", "", "", noSecret},
		{"s", "v9", "", "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + id("v9")},
		{"s", "v9", "AWSPENDING", "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + id("v9")},
		{"s", "", "AWSPREVIOUS", "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: " +
			"AWSPREVIOUS"},
		{"empty", "", "", "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"},
		{"empty", "", "AWSPENDING", "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: " +
			"AWSPENDING"},
		{"s", "v1", "AWSPENDING", "InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId."},
		{"s", "v1", "NOBODYS", "InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId."},
		{"s", "v2", "AWSPENDING", ""},
	} {
		_, err := e.get(tt.secret, tt.version, tt.stage)
		expect(t, err, tt.err)
	}
}

func TestLimits(t *testing.T) {
	long := func(n int) *string { return aws.String(strings.Repeat("x", n)) }
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	s := aws.String("s")
	stages := strings.Fields("a b c d e f g h i j k l m n o p q r s t")
	put := func(in sm.PutSecretValueInput) error {
		in.SecretId = s
		_, err := e.PutSecretValue(ctx, &in)
		return err
	}
	random := func(in sm.GetRandomPasswordInput) error { _, err := e.GetRandomPassword(ctx, &in); return err }
	list := func(n int32) error {
		_, err := e.ListSecrets(ctx, &sm.ListSecretsInput{MaxResults: &n})
		return err
	}
	create := func(in sm.CreateSecretInput) error { _, err := e.CreateSecret(ctx, &in); return err }
	const over = "InvalidParameterException"
	for _, tt := range []struct {
		name string
		got  error
		want string
	}{
		{"value", put(sm.PutSecretValueInput{SecretString: long(65536)}), ""},
		{"value over", put(sm.PutSecretValueInput{SecretString: long(65537)}), over},
		{"value in bytes", put(sm.PutSecretValueInput{SecretString: aws.String(strings.Repeat("ü", 32769))}), over},
		{"binary", put(sm.PutSecretValueInput{SecretBinary: []byte(*long(65536))}), ""},
		{"binary over", put(sm.PutSecretValueInput{SecretBinary: []byte(*long(65537))}), over},
		{"no value", put(sm.PutSecretValueInput{}), noValue},
		{"both", put(sm.PutSecretValueInput{SecretString: s, SecretBinary: []byte("x")}),
			"InvalidParameterException: You can't specify both a binary secret value and a string secret value in the same secret."},
		{"labels", put(sm.PutSecretValueInput{SecretString: s, VersionStages: stages}), ""},
		{"labels over", put(sm.PutSecretValueInput{SecretString: s, VersionStages: append(stages, "u")}), over},
		{"label", put(sm.PutSecretValueInput{SecretString: s, VersionStages: []string{*long(256)}}), ""},
		{"label over", put(sm.PutSecretValueInput{SecretString: s, VersionStages: []string{*long(257)}}), over},
		{"token under", put(sm.PutSecretValueInput{SecretString: s, ClientRequestToken: long(31)}), over},
		{"token", put(sm.PutSecretValueInput{SecretString: s, ClientRequestToken: long(64)}), ""},
		{"token over", put(sm.PutSecretValueInput{SecretString: s, ClientRequestToken: long(65)}), over},
		{"name", create(sm.CreateSecretInput{Name: long(512)}), ""},
		{"name over", create(sm.CreateSecretInput{Name: long(513)}), over},
		{"description", create(sm.CreateSecretInput{Name: aws.String("d"), Description: long(2048)}), ""},
		{"description over", create(sm.CreateSecretInput{Name: aws.String("e"), Description: long(2049)}), over},
		{"tag", create(sm.CreateSecretInput{Name: aws.String("t"), Tags: []types.Tag{{Key: long(128), Value: long(256)}}}), ""},
		{"tag key over", create(sm.CreateSecretInput{Name: aws.String("u"), Tags: []types.Tag{{Key: long(129), Value: s}}}), over},
		{"tag value over", create(sm.CreateSecretInput{Name: aws.String("u"), Tags: []types.Tag{{Key: s, Value: long(257)}}}), over},
		{"page", list(100), ""},
		{"page over", list(101), over},
		{"page under", list(0), over},
		{"password", random(sm.GetRandomPasswordInput{PasswordLength: aws.Int64(4096)}), ""},
		{"password over", random(sm.GetRandomPasswordInput{PasswordLength: aws.Int64(4097)}), over},
		{"password under", random(sm.GetRandomPasswordInput{PasswordLength: aws.Int64(0)}), over},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, tt.got, tt.want) })
	}
}

// TestLabelLimit gives a version its twenty-first label by a move.
func TestLabelLimit(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	for i := range 20 {
		want := ""
		if i == 19 {
			want = "LimitExceededException"
		}
		expect(t, e.move("s", fmt.Sprintf("L%d", i), "", "v1"), want)
	}
	expect(t, e.move("s", "L0", "", "v1"), "") // which it has
}

func TestKmsKey(t *testing.T) {
	e := newEndpoint(t, "")
	s := aws.String("s")
	if _, err := e.CreateSecret(ctx, &sm.CreateSecretInput{Name: s, SecretString: s, KmsKeyId: aws.String("alias/one")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"alias/one", "alias/two"} {
		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil || *d.KmsKeyId != want {
			t.Errorf("described %v, %v, want %s", d, err, want)
		}
		l, err := e.ListSecretVersionIds(ctx, &sm.ListSecretVersionIdsInput{SecretId: s})
		if err != nil || l.Versions[0].KmsKeyIds[0] != want {
			t.Errorf("listed %v, %v, want %s", l, err, want)
		}
		if _, err := e.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: s, KmsKeyId: aws.String("alias/two")}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDates(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	describe := func() *sm.DescribeSecretOutput {
		t.Helper()
		out, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("s")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	d := describe()
	if !d.CreatedDate.Equal(start) || !d.LastChangedDate.Equal(start) || d.LastAccessedDate != nil {
		t.Errorf("new: created %v, changed %v, read %v", d.CreatedDate, d.LastChangedDate, d.LastAccessedDate)
	}
	e.clock.add(time.Hour)
	if _, err := e.get("s", "", ""); err != nil {
		t.Fatal(err)
	}
	d = describe()
	if want := start.Truncate(24 * time.Hour); !d.LastAccessedDate.Equal(want) || !d.LastChangedDate.Equal(start) {
		t.Errorf("read: changed %v, read %v", d.LastChangedDate, d.LastAccessedDate)
	}
	// An update with the same value changes the date too.
	if err := update("v1", "a")(e); err != nil {
		t.Fatal(err)
	}
	if d = describe(); !d.LastChangedDate.Equal(start.Add(time.Hour)) {
		t.Errorf("updated: changed %v", d.LastChangedDate)
	}
	out, err := e.get("s", "", "")
	if err != nil || !out.CreatedDate.Equal(start) {
		t.Errorf("version created %v, %v", out, err)
	}
}

// TestPruning checks that versions without labels are kept, until there are more
// than a hundred and they are a day old.
func TestPruning(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	if err := e.move("s", "KEPT", "", "v1"); err != nil {
		t.Fatal(err)
	}
	fill := func(n int) {
		for range n {
			if _, err := e.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("x")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	count := func(want int) {
		t.Helper()
		n := 0
		p := sm.NewListSecretVersionIdsPaginator(e.Client, &sm.ListSecretVersionIdsInput{
			SecretId: aws.String("s"), IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(7)})
		seen := map[string]bool{}
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range out.Versions {
				seen[*v.VersionId] = true
				n++
			}
		}
		if n != want || len(seen) != want {
			t.Errorf("%d versions listed, %d different, want %d", n, len(seen), want)
		}
	}
	fill(149)
	count(150)
	e.clock.add(25 * time.Hour)
	fill(1)
	count(103) // a hundred, and those with KEPT, AWSPREVIOUS, AWSCURRENT
	if _, err := e.get("s", "v1", "KEPT"); err != nil {
		t.Error(err)
	}
}
