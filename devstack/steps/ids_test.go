package steps

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
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
	if _, err := l.client.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: aws.String("theirs"), ResourcePolicy: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/rotate-user"},"Action":"secretsmanager:*","Resource":"*"}}`,
	)}, other); err != nil {
		t.Fatal(err)
	}
	r := l.rotate()
	if !strings.HasPrefix(arn, "arn:aws:secretsmanager:eu-west-1:210987654321:") || r.SecretID != arn {
		t.Errorf("%s is rotated as %s", arn, r.SecretID)
	}
}
