package rds

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"

	"github.com/rotate-user/rotate-user/internal/password"
)

// Master is an administrator whose password RDS keeps in Secrets Manager and rotates. Its secret
// contains only a user name and a password; its tags say which database it belongs to.
type Master struct {
	// SecretID is the secret's name, rds!db-... or rds!cluster-..., and SecretARN its ARN.
	SecretID, SecretARN string

	secrets *secretsmanager.Client
	db      *sql.DB

	mu      sync.Mutex // locked during a rotation
	value   masterValue
	version string // the version with AWSCURRENT
}

type masterValue struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// The tags of a managed secret.
const (
	serviceTag  = "aws:secretsmanager:owningService"
	instanceTag = "aws:rds:primaryDBInstanceArn"
	clusterTag  = "aws:rds:primaryDBClusterArn"
)

// Manage stores the credential of a database's administrator, user at any host, in a secret that
// RDS owns. database is the ARN of an instance or a cluster. The client must call Secrets Manager
// as rds, and db must be able to change the password of every account, as RDS is.
func Manage(ctx context.Context, secrets *secretsmanager.Client, db *sql.DB, database, user, pass string) (*Master, error) {
	m := &Master{SecretID: "rds!db-" + uuid.NewString(), secrets: secrets, db: db, value: masterValue{user, pass}}
	kind := instanceTag
	if strings.Contains(database, ":cluster:") {
		m.SecretID, kind = "rds!cluster-"+uuid.NewString(), clusterTag
	}
	text, err := json.Marshal(m.value)
	if err != nil {
		return nil, err
	}
	out, err := secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: &m.SecretID, SecretString: aws.String(string(text)),
		Description: aws.String("The secret associated with the primary RDS DB instance: " + database),
		Tags: []types.Tag{
			{Key: aws.String(serviceTag), Value: aws.String("rds")},
			{Key: aws.String(kind), Value: &database},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create the managed master secret: %w", err)
	}
	m.SecretARN, m.version = aws.ToString(out.ARN), aws.ToString(out.VersionId)
	return m, nil
}

// Find returns the master of a database that an earlier process managed, or nil. It reverts a
// rotation that was cut off.
func Find(ctx context.Context, secrets *secretsmanager.Client, db *sql.DB, database string) (*Master, error) {
	list, err := secrets.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: []types.Filter{
		{Key: types.FilterNameStringTypeOwningService, Values: []string{"rds"}},
		{Key: types.FilterNameStringTypeTagValue, Values: []string{database}},
	}})
	if err != nil || len(list.SecretList) == 0 {
		return nil, err
	}
	found := list.SecretList[0]
	m := &Master{SecretID: aws.ToString(found.Name), SecretARN: aws.ToString(found.ARN), secrets: secrets, db: db}
	current, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &m.SecretID})
	if err != nil {
		return nil, err
	}
	m.version = aws.ToString(current.VersionId)
	if json.Unmarshal([]byte(aws.ToString(current.SecretString)), &m.value) != nil {
		return nil, fmt.Errorf("secret %s does not contain a user name and a password", m.SecretID)
	}
	return m, m.setPassword(ctx, m.value.Password)
}

// Rotate changes the administrator's password in the database and then in the secret, as RDS does.
// In between, AWSCURRENT does not log in.
func (m *Master) Rotate(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.value
	var err error
	if next.Password, err = password.Generate(password.Policy{}); err != nil {
		return err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	id := &m.SecretID
	version := uuid.NewString()
	if _, err := m.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: id, ClientRequestToken: &version, SecretString: aws.String(string(text)), VersionStages: []string{"AWSPENDING"},
	}); err != nil {
		return err
	}
	if err := m.setPassword(ctx, next.Password); err != nil {
		return err
	}
	m.value = next
	if _, err := m.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: id, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: aws.String(m.version), MoveToVersionId: &version,
	}); err != nil {
		return err
	}
	m.version = version
	_, err = m.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: id, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &version,
	})
	return err
}

// setPassword changes the administrator's password. Generated passwords contain no character that
// would end the literal.
func (m *Master) setPassword(ctx context.Context, to string) error {
	account := "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(m.value.Username) + "'@'%'"
	if _, err := m.db.ExecContext(ctx, "ALTER USER "+account+" IDENTIFIED BY '"+to+"'"); err != nil {
		return fmt.Errorf("set the password of the administrator %s", m.value.Username) // the server's message may quote the password
	}
	return nil
}

// RotateEvery rotates until ctx is done. It returns the first error other than that of ctx.
func (m *Master) RotateEvery(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := m.Rotate(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
