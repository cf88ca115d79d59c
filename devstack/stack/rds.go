package stack

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/devstack/rds"
	"github.com/rotate-user/rotate-user/internal/password"
)

const (
	// instance is the identifier of our own database in RDS.
	instance = "tutorial"
	// managedAdmin is the administrator whose password RDS manages.
	managedAdmin = "admin"
)

// startRDS answers RDS calls about our own database.
func (s *Stack) startRDS(ctx context.Context, o Options) error {
	if s.Secrets == nil || s.Database == nil {
		if o.ManagedMaster {
			return errors.New("--managed-master needs our own database and our own Secrets Manager endpoint")
		}
		return nil
	}
	s.RDS = rds.New(rds.Options{})
	url, err := s.serve(0, s.RDS)
	if err != nil {
		return err
	}
	s.set("AWS_ENDPOINT_URL_RDS", url)
	described := rds.Instance{Identifier: instance, Engine: s.Engine, Version: s.Version, Host: s.Host, Port: s.Port, Master: s.Admin}
	arn := s.RDS.PutInstance(described)
	if !o.ManagedMaster {
		return nil
	}
	if err := s.manageMaster(ctx, arn); err != nil {
		return err
	}
	s.MasterID, described.Master, described.SecretARN = s.Managed.SecretID, managedAdmin, s.Managed.SecretARN
	s.RDS.PutInstance(described)
	s.RDS.PutMaster(arn, s.Managed)
	if o.RotateMasterEvery > 0 {
		s.rotateMaster(o)
	}
	return nil
}

// manageMaster has RDS manage a separate administrator, so that Admin keeps its password.
func (s *Stack) manageMaster(ctx context.Context, arn string) error {
	db, err := s.Open(s.Admin, s.adminPassword)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, db.Close)
	url, err := s.serve(0, s.Secrets.ForService("rds"))
	if err != nil {
		return err
	}
	service := awssm.New(s.Client.Options(), func(o *awssm.Options) { o.BaseEndpoint = aws.String(url) })
	if s.Managed, err = rds.Find(ctx, service, db, arn); err != nil || s.Managed != nil {
		return err
	}
	generated, err := password.Generate(password.Policy{})
	if err != nil {
		return err
	}
	if err := createAdmin(ctx, db, generated); err != nil {
		return err
	}
	s.Managed, err = rds.Manage(ctx, service, db, arn, managedAdmin, generated)
	return err
}

func createAdmin(ctx context.Context, db *sql.DB, pass string) error {
	for _, statement := range []string{
		"DROP USER IF EXISTS " + managedAdmin + "@'%'", // may be left from a start that was cut off
		"CREATE USER " + managedAdmin + "@'%' IDENTIFIED BY '" + pass + "'",
		"GRANT ALL ON *.* TO " + managedAdmin + "@'%' WITH GRANT OPTION",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the administrator %s", managedAdmin) // the server's message may quote the password
		}
	}
	return nil
}

// rotateMaster changes the administrator's password periodically until the stack stops.
func (s *Stack) rotateMaster(o Options) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Managed.RotateEvery(ctx, o.RotateMasterEvery) }()
	s.stops = append(s.stops, func() error {
		cancel()
		return <-ended
	})
}
