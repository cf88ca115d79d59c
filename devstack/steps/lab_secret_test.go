package steps

import (
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/internal/secret"
)

func (l *lab) value(fields map[string]any) string {
	all := map[string]any{"engine": "mysql", "host": l.server.Host, "port": l.server.Port}
	for k, v := range fields {
		all[k] = v
		if v == nil {
			delete(all, k)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		l.Fatal(err)
	}
	return string(text)
}

func (l *lab) create(name string, fields map[string]any) {
	l.Helper()
	if _, err := l.client.CreateSecret(l.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(l.value(fields))}); err != nil {
		l.Fatal(err)
	}
}

// put stores a new value of the user's secret under the given labels, or under AWSCURRENT if there
// are none.
func (l *lab) put(fields map[string]any, labels ...string) {
	l.Helper()
	l.putText(l.value(fields), labels...)
}

func (l *lab) putText(text string, labels ...string) {
	l.Helper()
	if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("app"), SecretString: &text, VersionStages: labels}); err != nil {
		l.Fatal(err)
	}
}

// putUnder stores a value of the user's secret under the given version id.
func (l *lab) putUnder(id string, fields map[string]any, labels ...string) {
	l.Helper()
	if _, err := l.client.PutSecretValue(l.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("app"), ClientRequestToken: &id, SecretString: aws.String(l.value(fields)), VersionStages: labels,
	}); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) move(label, from, to string) {
	l.Helper()
	if _, err := l.client.UpdateSecretVersionStage(l.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String("app"), VersionStage: &label, RemoveFromVersionId: &from, MoveToVersionId: &to,
	}); err != nil {
		l.Fatal(err)
	}
}

// schedule schedules the secret for deletion, as in the AWS console.
func (l *lab) schedule() {
	l.Helper()
	if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app")}); err != nil {
		l.Error(err)
	}
}

// forceDelete deletes the secret without a recovery window.
func (l *lab) forceDelete() {
	l.Helper()
	if _, err := l.client.DeleteSecret(l.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app"), ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		l.Fatal(err)
	}
}

// restore cancels the deletion of the secret.
func (l *lab) restore() {
	l.Helper()
	if _, err := l.client.RestoreSecret(l.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("app")}); err != nil {
		l.Fatal(err)
	}
}

// settle waits until every write can be read.
func (l *lab) settle() {
	l.Helper()
	if _, err := l.client.TagResource(l.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("app"), Tags: []types.Tag{}}); err != nil {
		l.Fatal(err)
	}
}

// credential returns the credential under a label of the secret.
func (l *lab) credential(label string) secret.Credential {
	l.Helper()
	out, err := l.client.GetSecretValue(l.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app"), VersionStage: &label})
	if err != nil {
		l.Fatal(err)
	}
	c, err := secret.Parse([]byte(*out.SecretString))
	if err != nil {
		l.Fatal(err)
	}
	return c
}
