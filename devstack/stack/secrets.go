package stack

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/internal/privateca"
)

// Credential is a secret's value in AWS's JSON, as an application reads it.
type Credential struct {
	Engine    string `json:"engine"`
	Host      string `json:"host"`
	Port      int    `json:"port"`
	Username  string `json:"username"`
	Password  string `json:"password"`
	MasterARN string `json:"masterarn,omitempty"`
	SSL       bool   `json:"ssl,omitempty"` // omitted if false
}

// storeMaster stores the administrator's credentials where the worker looks for them.
func (s *Stack) storeMaster(ctx context.Context) error {
	wanted := Credential{Engine: s.Engine, Host: s.Host, Port: s.Port, Username: s.Admin, Password: s.adminPassword}
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	_, found, err := s.Read(ctx, MasterSecret, "AWSCURRENT")
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		_, err = s.Client.CreateSecret(ctx, &awssm.CreateSecretInput{
			Name: aws.String(MasterSecret), SecretString: aws.String(string(text)),
			Description: aws.String("The administrator of the tutorial's database"),
		})
	case err == nil && found != wanted:
		_, err = s.Client.PutSecretValue(ctx, &awssm.PutSecretValueInput{
			SecretId: aws.String(MasterSecret), SecretString: aws.String(string(text)),
		})
	}
	return err
}

// Read returns the version of a secret that has a label, as an application would read it.
func (s *Stack) Read(ctx context.Context, secretID, label string) (versionID string, c Credential, err error) {
	out, err := s.Client.GetSecretValue(ctx, &awssm.GetSecretValueInput{SecretId: aws.String(secretID), VersionStage: aws.String(label)})
	if err != nil {
		return "", c, err
	}
	if err := json.Unmarshal([]byte(aws.ToString(out.SecretString)), &c); err != nil {
		// The decoder's error may quote the text.
		return "", c, fmt.Errorf("the value of secret %s is not a credential in JSON", secretID)
	}
	return aws.ToString(out.VersionId), c, nil
}

// Logins is the result of UseSecret.
type Logins struct {
	Done, Failed int
	Users        []string // the users that were logged in as, in order, without repetitions
	First        error    // the first failure, or nil
}

// UseSecret does what an application without a cache does, continuously until ctx is done: it reads
// AWSCURRENT and logs in. Every failure counts, and none is retried. If seen is not nil, it is
// called with each user that differs from the previous login's.
func (s *Stack) UseSecret(ctx context.Context, secretID string, seen func(user string)) Logins {
	var l Logins
	for ctx.Err() == nil {
		user, err := s.login(ctx, secretID)
		switch {
		case ctx.Err() != nil: // cut off by us
		case err != nil:
			l.Failed++
			if l.First == nil {
				l.First = err
			}
		default:
			l.Done++
			if n := len(l.Users); n == 0 || l.Users[n-1] != user {
				l.Users = append(l.Users, user)
				if seen != nil {
					seen(user)
				}
			}
		}
	}
	return l
}

func (s *Stack) login(ctx context.Context, secretID string) (user string, err error) {
	_, c, err := s.Read(ctx, secretID, "AWSCURRENT")
	if err != nil {
		return "", err
	}
	db, err := s.Open(c.Username, c.Password)
	if err != nil {
		return "", err
	}
	defer db.Close()
	// A ping would succeed with a password that the server requires to be replaced before any
	// statement (error 1820).
	return c.Username, db.QueryRowContext(ctx, "SELECT 1").Scan(new(int))
}

func staticKeys(key, secret string) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(key, secret, "")
}

// RootCAs returns the authorities to trust: those of our own database server, or else the system's
// and those in the file that ROTATE_USER_TLS_CA_FILE names.
func (s *Stack) RootCAs() (*x509.CertPool, error) {
	if s.Database != nil {
		return s.Database.RootCAs()
	}
	if file := os.Getenv("ROTATE_USER_TLS_CA_FILE"); file != "" {
		return privateca.SystemPool(file)
	}
	return privateca.SystemPool()
}
