// Package rds finds the server for a master secret that Amazon RDS manages. Such a secret contains
// only a user name and a password; only its tags say which database it belongs to.
package rds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"
)

// The tags that AWS puts on a managed secret, in lower case. Only AWS can set a tag whose key
// begins with aws:, so these can be trusted to name the database that the password is for.
const (
	serviceTag  = "aws:secretsmanager:owningservice"
	instanceTag = "aws:rds:primarydbinstancearn"
	clusterTag  = "aws:rds:primarydbclusterarn"
)

// Database is the instance or cluster that a managed secret belongs to.
type Database struct {
	ARN     string
	Cluster bool
}

// FromTags returns the database that a secret's tags name, and reports whether there is one. If
// both tags are set, the secret belongs to the instance.
func FromTags(tags map[string]string) (Database, bool) {
	lower := map[string]string{}
	for key, value := range tags {
		lower[strings.ToLower(key)] = value
	}
	if lower[serviceTag] != "rds" {
		return Database{}, false
	}
	if arn := lower[instanceTag]; arn != "" {
		return Database{ARN: arn}, true
	}
	if arn := lower[clusterTag]; arn != "" {
		return Database{ARN: arn, Cluster: true}, true
	}
	return Database{}, false
}

// operation is the API call that returns the database's server.
func (d Database) operation() string {
	if d.Cluster {
		return "DescribeDBClusters"
	}
	return "DescribeDBInstances"
}

// Server is where a database listens: an instance, or the writer of a cluster.
type Server struct {
	Engine string // mysql, mariadb or aurora-mysql
	Host   string
	Port   int
}

// Client looks up databases in Amazon RDS. It is safe for concurrent use.
type Client struct{ api *rds.Client }

// New returns a client that calls RDS in the configuration's region, or in the database's own
// region if its ARN names one.
func New(c aws.Config) *Client { return &Client{rds.NewFromConfig(c)} }

// ServerError reports why the server of a database could not be found.
type ServerError struct {
	Database Database
	// Advice is what to do. It is empty if a retry may succeed.
	Advice string
	Err    error
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("%s of %s: %v", e.Database.operation(), e.Database.ARN, e.Err)
}

func (e *ServerError) Unwrap() error { return e.Err }

// Server returns the address of a database. Every error is a *ServerError.
func (c *Client) Server(ctx context.Context, d Database) (s Server, err error) {
	parts := strings.SplitN(d.ARN, ":", 7)
	if len(parts) != 7 || parts[2] != "rds" {
		const advice = "give the workflow the server as MasterHost, MasterPort and MasterEngine"
		return Server{}, &ServerError{d, advice, errors.New("not an ARN of RDS")}
	}
	region := func(o *rds.Options) { o.Region = cmp.Or(parts[3], o.Region) }
	if d.Cluster {
		s, err = c.cluster(ctx, d.ARN, region)
	} else {
		s, err = c.instance(ctx, d.ARN, region)
	}
	if err != nil {
		return Server{}, &ServerError{d, advice(d, err), err}
	}
	return s, nil
}

var (
	errCreating = errors.New("it has no address yet because it is still being created")
	errMissing  = errors.New("it does not exist")
)

func (c *Client) instance(ctx context.Context, arn string, region func(*rds.Options)) (Server, error) {
	out, err := c.api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &arn}, region)
	if err != nil {
		return Server{}, err
	}
	if len(out.DBInstances) == 0 {
		return Server{}, errMissing
	}
	found := out.DBInstances[0]
	if found.Endpoint == nil {
		return Server{}, errCreating
	}
	return server(found.Engine, found.Endpoint.Address, found.Endpoint.Port)
}

func (c *Client) cluster(ctx context.Context, arn string, region func(*rds.Options)) (Server, error) {
	out, err := c.api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &arn}, region)
	if err != nil {
		return Server{}, err
	}
	if len(out.DBClusters) == 0 {
		return Server{}, errMissing
	}
	found := out.DBClusters[0]
	return server(found.Engine, found.Endpoint, found.Port)
}

// EngineError reports that a database is neither MySQL nor MariaDB.
type EngineError struct{ Engine string }

func (e *EngineError) Error() string { return "its engine is " + e.Engine }

func server(engine, host *string, port *int32) (Server, error) {
	s := Server{aws.ToString(engine), aws.ToString(host), int(aws.ToInt32(port))}
	switch s.Engine {
	case "mysql", "mariadb", "aurora-mysql":
	default:
		return Server{}, &EngineError{s.Engine}
	}
	if s.Host == "" || s.Port == 0 {
		return Server{}, errCreating
	}
	return s, nil
}

// advice returns what to do about an error that no retry can fix, or "".
func advice(d Database, err error) string {
	var noInstance *types.DBInstanceNotFoundFault
	var noCluster *types.DBClusterNotFoundFault
	var engine *EngineError
	var api smithy.APIError
	switch {
	case errors.As(err, &noInstance), errors.As(err, &noCluster), errors.Is(err, errMissing):
		return "the tags of the master secret name a database that no longer exists: use the master secret of the database that replaced it"
	case errors.As(err, &engine):
		return "only mysql, mariadb and aurora-mysql can be rotated"
	case errors.As(err, &api):
		switch api.ErrorCode() {
		case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
			return fmt.Sprintf("allow the worker's role rds:%s on %s, "+
				"or give the workflow the server as MasterHost, MasterPort and MasterEngine", d.operation(), d.ARN)
		}
	}
	return ""
}
