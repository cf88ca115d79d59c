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

func TestDeletion(t *testing.T) {
	s := aws.String("s")
	remove := func(e *endpoint, days int64, force bool) error {
		in := sm.DeleteSecretInput{SecretId: s}
		if days > 0 {
			in.RecoveryWindowInDays = &days
		}
		if force {
			in.ForceDeleteWithoutRecovery = &force
		}
		_, err := e.DeleteSecret(ctx, &in)
		return err
	}

	t.Run("scheduled", func(t *testing.T) {
		e := newEndpoint(t, "")
		e.create(t, "s", "v1", "a")
		e.put("s", "v2", "b")
		before := e.labels(t, "s")
		out, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: s})
		if err != nil {
			t.Fatal(err)
		}
		if want := start.AddDate(0, 0, 30); !out.DeletionDate.Equal(want) {
			t.Errorf("default window ends %v, want %v", out.DeletionDate, want)
		}
		_, get := e.get("s", "", "")
		_, putErr := e.put("s", "v3", "c")
		_, rotate := e.RotateSecret(ctx, &sm.RotateSecretInput{SecretId: s})
		_, cancel := e.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: s})
		_, tag := e.TagResource(ctx, &sm.TagResourceInput{SecretId: s, Tags: []types.Tag{{Key: s, Value: s}}})
		_, untag := e.UntagResource(ctx, &sm.UntagResourceInput{SecretId: s, TagKeys: []string{"s"}})
		for operation, err := range map[string]error{
			"get": get, "put": putErr, "update": update("v3", "c")(e), "move": e.move("s", "X", "", "v1"),
			"rotate": rotate, "cancel": cancel, "tag": tag, "untag": untag, "delete": remove(e, 0, false),
		} {
			t.Run(operation, func(t *testing.T) { expect(t, err, scheduled) })
		}
		expect(t, create("v9", "z")(e), "InvalidRequestException: You can't create this secret because a secret with this name is already "+
			"scheduled for deletion.")
		expect(t, create("v1", "a")(e), "InvalidRequestException")

		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil || !d.DeletedDate.Equal(*out.DeletionDate) {
			t.Errorf("described %v, %v", d, err)
		}
		for _, planned := range []bool{false, true} {
			list, err := e.ListSecrets(ctx, &sm.ListSecretsInput{IncludePlannedDeletion: &planned})
			if err != nil || len(list.SecretList) > 0 != planned {
				t.Errorf("IncludePlannedDeletion %v lists %d, %v", planned, len(list.SecretList), err)
			}
		}
		for range 2 { // the second finds a live secret
			if _, err := e.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: s}); err != nil {
				t.Fatal(err)
			}
		}
		d, err = e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil || d.DeletedDate != nil {
			t.Errorf("restored: %v, %v", d, err)
		}
		if diff := cmp.Diff(before, e.labels(t, "s")); diff != "" {
			t.Errorf("labels after restoration: -want +got\n%s", diff)
		}
		if v, err := e.get("s", "", ""); err != nil || *v.SecretString != "b" {
			t.Errorf("value after restoration: %v, %v", v, err)
		}
	})

	t.Run("window passed", func(t *testing.T) {
		e := newEndpoint(t, "")
		arn := e.create(t, "s", "v1", "a")
		if err := remove(e, 7, false); err != nil {
			t.Fatal(err)
		}
		e.clock.add(7*24*time.Hour - time.Millisecond)
		_, err := e.get("s", "", "")
		expect(t, err, scheduled)
		e.clock.add(time.Millisecond)
		list, err := e.ListSecrets(ctx, &sm.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
		if err != nil || len(list.SecretList) != 0 {
			t.Errorf("listed after its end: %v, %v", list, err)
		}
		_, err = e.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: s})
		expect(t, err, noSecret)
		if e.create(t, "s", "v1", "b") == arn {
			t.Error("the name came back with its old ARN")
		}
	})

	t.Run("refused", func(t *testing.T) {
		e := newEndpoint(t, "")
		expect(t, remove(e, 0, false), noSecret)
		e.create(t, "s", "v1", "a")
		expect(t, remove(e, 6, false), "InvalidParameterException")
		expect(t, remove(e, 31, false), "InvalidParameterException")
		expect(t, remove(e, 7, true), "InvalidParameterException")
		if _, err := e.get("s", "", ""); err != nil {
			t.Error(err)
		}
	})

	t.Run("forced", func(t *testing.T) {
		e := newEndpoint(t, "")
		e.create(t, "s", "v1", "a")
		if err := remove(e, 30, false); err != nil {
			t.Fatal(err)
		}
		if err := remove(e, 0, true); err != nil {
			t.Errorf("of a scheduled secret: %v", err)
		}
		_, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		expect(t, err, noSecret)
		out, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: s, ForceDeleteWithoutRecovery: aws.Bool(true)})
		if err != nil {
			t.Fatalf("of an unknown secret: %v", err)
		}
		if *out.Name != "s" || !strings.HasPrefix(*out.ARN, "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-") ||
			out.DeletionDate == nil {
			t.Errorf("of an unknown secret: %s %s %v", *out.Name, *out.ARN, out.DeletionDate)
		}
	})
}

func TestTags(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	s := aws.String("s")
	tags := func(want string) {
		t.Helper()
		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tag := range d.Tags {
			got = append(got, *tag.Key+"="+*tag.Value)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("tags %q, want %q", got, want)
		}
	}
	tag := func(pairs ...string) {
		t.Helper()
		in := sm.TagResourceInput{SecretId: s}
		for i := 0; i < len(pairs); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		if _, err := e.TagResource(ctx, &in); err != nil {
			t.Fatal(err)
		}
	}
	tags("")
	tag("a", "1", "b", "2")
	tag("b", "3", "c", "4")
	tags("a=1 b=3 c=4")
	if _, err := e.UntagResource(ctx, &sm.UntagResourceInput{SecretId: s, TagKeys: []string{"a", "c", "nobody"}}); err != nil {
		t.Fatal(err)
	}
	tags("b=3")
	if d := cmp.Diff(map[string]string{"v1": "AWSCURRENT"}, e.labels(t, "s")); d != "" {
		t.Errorf("labels: -want +got\n%s", d)
	}
}

func TestRotateSecret(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	s := aws.String("s")
	rotate := func(token string, f func(*sm.RotateSecretInput)) error {
		in := sm.RotateSecretInput{SecretId: s, ClientRequestToken: aws.String(id(token))}
		if f != nil {
			f(&in)
		}
		_, err := e.RotateSecret(ctx, &in)
		return err
	}
	describe := func() *sm.DescribeSecretOutput {
		t.Helper()
		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	labels := func(want map[string]string) {
		t.Helper()
		if d := cmp.Diff(want, e.labels(t, "s")); d != "" {
			t.Errorf("labels: -want +got\n%s", d)
		}
	}
	expect(t, rotate("v2", nil), "InvalidRequestException: No Lambda rotation function ARN is associated with this secret.")
	expect(t, rotate("v2", func(in *sm.RotateSecretInput) {
		in.RotationLambdaARN = aws.String("arn:aws:lambda:us-east-1:123456789012:function:none")
	}), "AccessDeniedException: Secrets Manager cannot invoke the specified Lambda function.")
	_, err := e.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: s})
	expect(t, err, "InvalidRequestException")
	if d := describe(); d.RotationEnabled != nil || d.RotationLambdaARN != nil || d.RotationRules != nil || d.NextRotationDate != nil {
		t.Errorf("rotation configured by failures: %+v", d)
	}
	labels(map[string]string{"v1": "AWSCURRENT"})

	if err := e.server.EnableRotation("s"); err != nil {
		t.Fatal(err)
	}
	if d := describe(); !*d.RotationEnabled || *d.RotationRules.AutomaticallyAfterDays != 30 ||
		!d.NextRotationDate.Equal(start.AddDate(0, 0, 30)) {
		t.Errorf("enabled: %+v", d)
	}
	if err := rotate("v2", func(in *sm.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }); err != nil {
		t.Fatal(err)
	}
	labels(map[string]string{"v1": "AWSCURRENT"})
	if err := rotate("v2", func(in *sm.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(7)}
	}); err != nil {
		t.Fatal(err)
	}
	if d := describe(); *d.RotationRules.AutomaticallyAfterDays != 7 || !d.NextRotationDate.Equal(start.AddDate(0, 0, 7)) {
		t.Errorf("rules: %+v, next %v", d.RotationRules, d.NextRotationDate)
	}
	if err := rotate("v2", func(in *sm.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{ScheduleExpression: aws.String("rate(10 days)"), Duration: aws.String("3h")}
	}); err != nil {
		t.Fatal(err)
	}
	if d := describe(); *d.RotationRules.ScheduleExpression != "rate(10 days)" || *d.RotationRules.Duration != "3h" ||
		d.NextRotationDate != nil {
		t.Errorf("rules: %+v, next %v", d.RotationRules, d.NextRotationDate)
	}
	labels(map[string]string{"v1": "AWSCURRENT", "v2": "AWSPENDING"})
	_, err = e.get("s", "v2", "AWSPENDING")
	expect(t, err, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: "+id("v2"))
	_, err = e.get("s", "", "AWSPENDING")
	expect(t, err, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPENDING")
	expect(t, rotate("v3", nil), "InvalidRequestException: A previous rotation isn't complete. That rotation will be reattempted.")

	out, err := e.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: s})
	if err != nil || *out.VersionId != id("v2") {
		t.Errorf("cancelled: %v, %v", out, err)
	}
	if d := describe(); *d.RotationEnabled || d.NextRotationDate != nil {
		t.Errorf("cancelled: %+v", d)
	}
	if _, err := e.put("s", "v2", "b", "AWSPENDING"); err != nil {
		t.Errorf("the empty version is there to be filled: %v", err)
	}
	if v, err := e.get("s", "v2", "AWSPENDING"); err != nil || *v.SecretString != "b" {
		t.Errorf("filled: %v, %v", v, err)
	}
	labels(map[string]string{"v1": "AWSCURRENT", "v2": "AWSPENDING"})
}
