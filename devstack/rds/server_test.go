package rds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"

	endpoint "github.com/rotate-user/rotate-user/devstack/rds"
	adapter "github.com/rotate-user/rotate-user/internal/rds"
)

var ctx = context.Background()

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return web.URL
}

func config(url string) aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("any", "thing", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
}

func newEndpoint(t *testing.T) (*endpoint.Server, aws.Config) {
	t.Helper()
	s := endpoint.New(endpoint.Options{})
	s.PutInstance(endpoint.Instance{Identifier: "One", Engine: "mysql", Version: "8.4.6", Host: "one.rds.test", Port: 3306, Master: "admin",
		SecretARN: "arn:secret"})
	s.PutInstance(endpoint.Instance{Identifier: "new", Engine: "mariadb"})
	s.PutInstance(endpoint.Instance{Identifier: "pg", Engine: "postgres", Host: "pg.rds.test", Port: 5432})
	s.PutCluster(endpoint.Cluster{Identifier: "aurora", Engine: "aurora-mysql", Version: "8.0.mysql_aurora.3.08.0", Host: "writer.rds.test",
		ReaderHost: "reader.rds.test", CustomEndpoints: []string{"custom.rds.test"}, Port: 3307, Master: "admin"})
	s.PutCluster(endpoint.Cluster{Identifier: "young", Engine: "aurora-mysql"})
	s.PutInstance(endpoint.Instance{Identifier: "aurora-1", Engine: "aurora-mysql", Host: "writer.rds.test", Port: 3307, Cluster: "aurora"})
	return s, config(serve(t, s))
}

const account = "arn:aws:rds:us-east-1:123456789012:"

func TestTheSDKReadsAnInstance(t *testing.T) {
	_, c := newEndpoint(t)
	client := rds.NewFromConfig(c)
	for _, id := range []string{"one", "ONE", account + "db:one"} {
		out, err := client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id})
		if err != nil {
			t.Fatal(err)
		}
		i := out.DBInstances[0]
		got := fmt.Sprint(*i.DBInstanceIdentifier, *i.DBInstanceArn, *i.DBInstanceStatus, *i.Engine, *i.EngineVersion, *i.MasterUsername,
			*i.Endpoint.Address, *i.Endpoint.Port, *i.MasterUserSecret.SecretArn, *i.MasterUserSecret.SecretStatus)
		if want := fmt.Sprint("One", account+"db:one", "available", "mysql", "8.4.6", "admin", "one.rds.test", 3306, "arn:secret",
			"active"); got != want {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
	all, err := client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
	if err != nil || len(all.DBInstances) != 4 || all.DBInstances[2].Endpoint != nil && *all.DBInstances[2].DBInstanceIdentifier == "new" {
		t.Errorf("all: %+v, %v", all, err)
	}
}

func TestTheSDKReadsACluster(t *testing.T) {
	_, c := newEndpoint(t)
	out, err := rds.NewFromConfig(c).DescribeDBClusters(ctx,
		&rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(account + "cluster:aurora")})
	if err != nil {
		t.Fatal(err)
	}
	found := out.DBClusters[0]
	got := fmt.Sprint(*found.DBClusterArn, *found.Engine, *found.Endpoint, *found.ReaderEndpoint, found.CustomEndpoints, *found.Port,
		*found.DBClusterMembers[0].DBInstanceIdentifier, *found.DBClusterMembers[0].IsClusterWriter)
	if want := fmt.Sprint(account+"cluster:aurora", "aurora-mysql", "writer.rds.test", "reader.rds.test", []string{"custom.rds.test"}, 3307,
		"aurora-1", true); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestErrorsAsTheSDKSeesThem(t *testing.T) {
	s, c := newEndpoint(t)
	client := rds.NewFromConfig(c)
	ask := func(id string) error {
		_, err := client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id})
		return err
	}
	code := func(err error) string {
		var api smithy.APIError
		if !errors.As(err, &api) {
			t.Fatalf("not an error of the service: %v", err)
		}
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	want := func(err error, text string) {
		t.Helper()
		if got := code(err); !strings.HasPrefix(got, text) {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	var missing *types.DBInstanceNotFoundFault
	if err := ask("none"); !errors.As(err, &missing) {
		t.Errorf("an instance that is missing: %v", err)
	}
	want(ask("none"), "DBInstanceNotFound: DBInstance none not found.")
	want(ask("arn:aws:rds:eu-west-1:123456789012:db:one"), "DBInstanceNotFound")
	_, err := client.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String("none")})
	want(err, "DBClusterNotFoundFault: DBCluster none not found.")
	_, err = client.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{})
	want(err, `InvalidAction: this endpoint does not know the operation "DescribeDBSnapshots"`)
	_, err = client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{Filters: []types.Filter{{Name: aws.String("engine"),
		Values: []string{"mysql"}}}})
	want(err, "InvalidParameterValue")
	s.Intercept(endpoint.Throttled)
	want(ask("one"), "Throttling: Rate exceeded")
	s.Intercept(endpoint.Denied)
	want(ask("one"), "AccessDenied: User: ")
}

func TestPages(t *testing.T) {
	s := endpoint.New(endpoint.Options{})
	for i := range 45 {
		s.PutInstance(endpoint.Instance{Identifier: fmt.Sprintf("i%02d", i), Engine: "mysql"})
	}
	pages := rds.NewDescribeDBInstancesPaginator(rds.NewFromConfig(config(serve(t, s))),
		&rds.DescribeDBInstancesInput{MaxRecords: aws.Int32(20)})
	var got []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.DBInstances {
			got = append(got, *i.DBInstanceIdentifier)
		}
	}
	if len(got) != 45 || got[20] != "i20" || s.Calls()["DescribeDBInstances"] != 3 {
		t.Errorf("%q in %v calls", got, s.Calls())
	}
}

// TestTheAdapter is what the worker makes of the answers.
func TestTheAdapter(t *testing.T) {
	s, c := newEndpoint(t)
	client := adapter.New(c)
	instance := func(id string) adapter.Database { return adapter.Database{ARN: account + "db:" + id} }
	cluster := func(id string) adapter.Database {
		return adapter.Database{ARN: account + "cluster:" + id, Cluster: true}
	}
	for _, tt := range []struct {
		name      string
		database  adapter.Database
		intercept func(endpoint.Call) *endpoint.Failure
		want      adapter.Server
		err       string
		final     bool
	}{
		{"an instance", instance("one"), nil, adapter.Server{Engine: "mysql", Host: "one.rds.test", Port: 3306}, "", false},
		{"a cluster", cluster("aurora"), nil, adapter.Server{Engine: "aurora-mysql", Host: "writer.rds.test", Port: 3307}, "", false},
		{"an instance without an address", instance("new"), nil, adapter.Server{}, "no address yet", false},
		{"a cluster without an address", cluster("young"), nil, adapter.Server{}, "no address yet", false},
		{"no such instance", instance("none"), nil, adapter.Server{}, "use the master secret of the database that replaced it", true},
		{"no such cluster", cluster("none"), nil, adapter.Server{}, "use the master secret of the database that replaced it", true},
		{"another engine", instance("pg"), nil, adapter.Server{}, "its engine is postgres: only mysql, mariadb and aurora-mysql", true},
		{"denied", instance("one"), endpoint.Denied, adapter.Server{},
			"allow the worker's role rds:DescribeDBInstances on " + account + "db:one", true},
		{"a cluster denied", cluster("aurora"), endpoint.Denied, adapter.Server{}, "rds:DescribeDBClusters on " + account + "cluster:aurora",
			true},
		{"throttled", instance("one"), endpoint.Throttled, adapter.Server{}, "Rate exceeded", false},
		{"not an ARN", adapter.Database{ARN: "one"}, nil, adapter.Server{}, "MasterHost", true},
	} {
		s.Intercept(tt.intercept)
		got, err := client.Server(ctx, tt.database)
		var failed *adapter.ServerError
		switch {
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		case tt.err != "" && (!errors.As(err, &failed) || !strings.Contains(err.Error()+": "+failed.Advice, tt.err) ||
			(failed.Advice != "") != tt.final):
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
