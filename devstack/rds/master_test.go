package rds_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	endpoint "github.com/rotate-user/rotate-user/devstack/rds"
	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	adapter "github.com/rotate-user/rotate-user/internal/rds"
)

func TestMain(m *testing.M) { mysqldtest.Main(m) }

func TestAManagedMaster(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		secrets, err := secretsmanager.New(secretsmanager.Options{})
		if err != nil {
			t.Fatal(err)
		}
		db, err := s.Open(s.AdminUser, s.AdminPassword)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		const name = "managed_admin"
		for _, statement := range []string{"DROP USER IF EXISTS " + name + "@'%'",
			"CREATE USER " + name + "@'%' IDENTIFIED BY 'First.Passw0rd'"} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		read := awssm.NewFromConfig(config(serve(t, secrets)))
		master, err := endpoint.Manage(ctx, awssm.NewFromConfig(config(serve(t, secrets.ForService("rds")))), db, account+"db:one", name,
			"First.Passw0rd")
		if err != nil {
			t.Fatal(err)
		}
		d, err := read.DescribeSecret(ctx, &awssm.DescribeSecretInput{SecretId: &master.SecretARN})
		if err != nil {
			t.Fatal(err)
		}
		tags := map[string]string{}
		for _, tag := range d.Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		if database, ok := adapter.FromTags(tags); !ok || database.ARN != account+"db:one" || database.Cluster {
			t.Errorf("tags %v are for %+v", tags, database)
		}
		if !strings.HasPrefix(*d.Name, "rds!db-") || aws.ToString(d.OwningService) != "rds" || !aws.ToBool(d.RotationEnabled) {
			t.Errorf("described as %+v", d)
		}
		value := func() string {
			t.Helper()
			out, err := read.GetSecretValue(ctx, &awssm.GetSecretValueInput{SecretId: &master.SecretID})
			if err != nil {
				t.Fatal(err)
			}
			return *out.SecretString
		}
		first := value()
		if first != `{"username":"managed_admin","password":"First.Passw0rd"}` {
			t.Errorf("the secret holds %s", first)
		}
		if err := master.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		// An operator rotates it by a call of RDS.
		databases, c := newEndpoint(t)
		databases.PutMaster(account+"db:one", master)
		client := rds.NewFromConfig(c)
		modify := &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("one"), RotateMasterUserPassword: aws.Bool(true)}
		if _, err := client.ModifyDBInstance(ctx, modify); err == nil || !strings.Contains(err.Error(), "immediately") {
			t.Errorf("a rotation that is not applied immediately: %v", err)
		}
		modify.ApplyImmediately = aws.Bool(true)
		second := value()
		out, err := client.ModifyDBInstance(ctx, modify)
		if err != nil || *out.DBInstance.Endpoint.Address != "one.rds.test" {
			t.Fatalf("%+v, %v", out, err)
		}
		if value() == second {
			t.Error("ModifyDBInstance leaves the password as it was")
		}
		_, err = client.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{
			DBClusterIdentifier: aws.String("aurora"), RotateMasterUserPassword: aws.Bool(true), ApplyImmediately: aws.Bool(true),
		})
		if err == nil || !strings.Contains(err.Error(), "is not managed") {
			t.Errorf("a cluster whose password is not managed: %v", err)
		}
		var now struct{ Username, Password string }
		if err := json.Unmarshal([]byte(value()), &now); err != nil {
			t.Fatal(err)
		}
		current, err := s.Open(now.Username, now.Password)
		if err != nil {
			t.Fatal(err)
		}
		defer current.Close()
		if err := current.Ping(); err != nil {
			t.Errorf("the password that the secret holds: %v", err)
		}
		after, err := s.Open(name, "First.Passw0rd")
		if err != nil {
			t.Fatal(err)
		}
		defer after.Close()
		if after.Ping() == nil {
			t.Error("the password before still logs in")
		}
	})
}
