package steps

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// other signs a call with the credentials of another AWS account.
func other(o *secretsmanager.Options) {
	o.Credentials = credentials.NewStaticCredentialsProvider("210987654321", "test", "")
}

func (l *lab) createNamed(name string, options ...func(*secretsmanager.Options)) string {
	l.Helper()
	out, err := l.client.CreateSecret(l.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: aws.String(l.value(map[string]any{"username": l.user, "password": "First.Passw0rd", "masterarn": "master"})),
		KmsKeyId: aws.String("alias/shared"),
	}, options...)
	if err != nil {
		l.Fatal(err)
	}
	return *out.ARN
}

func TestANameThatEndsLikeAnARN(t *testing.T) {
	l := newLab(t, mysqldtest.Servers(t)[0])
	const name = "app-a1b2c3"
	arn := l.createNamed(name)
	l.settle()
	for _, id := range []string{name, arn} {
		l.input.SecretID = id
		r := l.rotate()
		if r.SecretID != id {
			t.Errorf("%s is rotated as %s", id, r.SecretID)
		}
	}
	l.input.SecretID = arn[:len(arn)-len("-xxxxxx")] // which Secrets Manager reads as the complete ARN of a secret named app
	_, err := l.clone()
	wants(t, err, rotation.ErrorSecretsManager, false, "can't find the specified secret", "check the name")
}

func TestAPartialARN(t *testing.T) {
	l := newLab(t, mysqldtest.Servers(t)[0])
	arn := l.createNamed("shop/app")
	l.settle()
	l.input.SecretID = arn[:len(arn)-len("-xxxxxx")]
	l.rotate()
}

func TestASecretOfAnotherAccount(t *testing.T) {
	l := newLab(t, mysqldtest.Servers(t)[0])
	arn := l.createNamed("theirs", other)
	l.settle()
	l.input.SecretID = arn
	_, err := l.clone()
	wants(t, err, rotation.ErrorAccessDenied, false, "no resource-based policy allows", "in its IAM policy, or in the secret's own")
	if _, err := l.client.PutResourcePolicy(t.Context(),
		&secretsmanager.PutResourcePolicyInput{SecretId: aws.String("theirs"), ResourcePolicy: aws.String(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/rotate-user"},"Action":"secretsmanager:*","Resource":"*"}}`,
		)}, other); err != nil {
		t.Fatal(err)
	}
	r := l.rotate()
	if !strings.HasPrefix(arn, "arn:aws:secretsmanager:eu-west-1:210987654321:") || r.SecretID != arn {
		t.Errorf("%s is rotated as %s", arn, r.SecretID)
	}
}

// A secret that is deleted and made again under its name has another ARN. A rotation that knows it by its name continues if the
// new secret holds a credential that logs in as one of the pair. A rotation that knows it by its ARN reports that it is gone.
func TestASecretIsMadeAgainUnderItsName(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newOldLab(t, s)
		old := *l.describe("app").ARN
		l.rotate()
		l.settle()
		c := l.credential(secret.Current)
		pair, before := []string{l.user, l.user + "_clone"}, l.credential(secret.Previous)
		again := func(user, password string) {
			l.forceDelete()
			l.create("app", map[string]any{"username": user, "password": password, "masterarn": "master"})
			if arn := *l.describe("app").ARN; arn == old {
				t.Fatalf("the new secret has the ARN of the old one: %s", arn)
			}
			l.settle()
		}
		l.input.Pair, l.input.Server = pair, c.Address()

		again(c.Username, c.Password)
		_, err := l.env.ExecuteActivity(rotation.CloneUser, l.byID(old))
		wants(t, err, rotation.ErrorSecretGone, false, "starter delete --secret-id "+old, l.user+"_clone")
		r := l.rotated()
		if r.Rotation.Standby.User != l.user {
			t.Errorf("the standby is %s: want %s, the other one of the pair", r.Rotation.Standby, l.user)
		}
		l.settle()
		l.mustLogIn(secret.Current, l.user)
		l.mustLogIn(secret.Previous, c.Username)

		// With a credential from before, which no longer logs in.
		again(before.Username, before.Password)
		unchanged := l.snapshot()
		_, err = l.clone()
		wants(t, err, grants.WrongPassword, false, l.user)
		if after := l.snapshot(); after != unchanged {
			t.Errorf("the refused rotation left\n%s\nand before there was\n%s", after, unchanged)
		}
	})
}

// Secrets Manager cannot rename a secret: its value is stored under another name, and the first secret is deleted. The rotation of the
// first one reports that, and a rotation of the new one takes the pair over, without a second clone.
func TestASecretIsRenamed(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		for _, both := range []bool{false, true} { // whether AWSPREVIOUS is carried over too
			l := newOldLab(t, s)
			l.rotate()
			l.settle()
			c, before := l.credential(secret.Current), l.credential(secret.Previous)
			fields := func(c secret.Credential) map[string]any {
				return map[string]any{"username": c.Username, "password": c.Password, "masterarn": "master"}
			}
			if both {
				l.create("new", fields(before))
				l.putInto("new", fields(c))
			} else {
				l.create("new", fields(c))
			}
			l.forceDelete()
			first := l.input
			first.Pair, first.Server = []string{l.user, l.user + "_clone"}, c.Address()
			_, err := l.env.ExecuteActivity(rotation.CloneUser, first)
			wants(t, err, rotation.ErrorSecretGone, false, "starter delete --secret-id app", l.user+"_clone")

			l.input = rotation.CloneUserInput{SecretID: "new", Mark: "another workflow"}
			if !both {
				_, err := l.clone()
				wants(t, err, rotation.ErrorUnknownPair, false, "CloneUsername")
				l.input.CloneUsername = l.user
				_, err = l.clone()
				wants(t, err, rotation.ErrorForeignPassword, false, l.user, "Force")
				l.input.Force = true
			}
			r := l.rotated()
			if r.Rotation.Standby.User != l.user || len(l.accounts(l.user+"_clone_clone")) > 0 {
				t.Errorf("the standby is %s: want %s", r.Rotation.Standby, l.user)
			}
		}
	})
}

// byID returns the input of the next rotation for a workflow that was started with another spelling of the secret.
func (l *lab) byID(id string) rotation.CloneUserInput {
	in := l.input
	in.SecretID = id
	return in
}

func (l *lab) describe(id string) *secretsmanager.DescribeSecretOutput {
	l.Helper()
	d, err := l.client.DescribeSecret(l.Context(), &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		l.Fatal(err)
	}
	return d
}

func (l *lab) putInto(id string, fields map[string]any) {
	l.Helper()
	if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String(l.value(fields))}); err != nil {
		l.Fatal(err)
	}
}
