// Package rds finds the server of an administrator whose credential Amazon RDS manages: such a secret holds a user name and a
// password, and nothing of the database but tags.
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

// The tags that AWS gives a managed secret, in lower case. Nobody else can set a tag whose key begins with aws:, so they can
// be trusted to name the server that the password is for.
const (
	serviceTag  = "aws:secretsmanager:owningservice"
	instanceTag = "aws:rds:primarydbinstancearn"
	clusterTag  = "aws:rds:primarydbclusterarn"
)

// Database is the instance or cluster that a managed secret is for.
type Database struct {
	ARN     string
	Cluster bool
}

// FromTags returns the database that the tags of a secret name, and whether there is one. An instance that belongs to a cluster
// has its own tag only if the secret is the instance's.
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

// operation is what finds the server of the database.
func (d Database) operation() string {
	if d.Cluster {
		return "DescribeDBClusters"
	}
	return "DescribeDBInstances"
}

// Server is where a database answers: the instance, or the writer of the cluster.
type Server struct {
	Engine string // mysql, mariadb or aurora-mysql
	Host   string
	Port   int
}

// Client asks Amazon RDS. It is safe for concurrent use.
type Client struct{ api *rds.Client }

// New returns a client that calls RDS in the region of the configuration. A database in another region is asked for there.
func New(c aws.Config) *Client { return &Client{rds.NewFromConfig(c)} }

// ServerError says why RDS does not tell the server of a database.
type ServerError struct {
	Database Database
	// Advice is what to do; empty if the call may succeed the next time.
	Advice string
	Err    error
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("%s of %s: %v", e.Database.operation(), e.Database.ARN, e.Err)
}

func (e *ServerError) Unwrap() error { return e.Err }

// Server asks where a database answers. Every error is a *ServerError.
func (c *Client) Server(ctx context.Context, d Database) (s Server, err error) {
	parts := strings.SplitN(d.ARN, ":", 7)
	if len(parts) != 7 || parts[2] != "rds" {
		return Server{}, &ServerError{d, "give the workflow the server as MasterHost, MasterPort and MasterEngine", errors.New("not an ARN of RDS")}
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
	errCreating = errors.New("it has no address yet, because it is being created")
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

// EngineError says that a database is neither MySQL nor MariaDB.
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

// advice is what to do about an error that no retry can mend.
func advice(d Database, err error) string {
	var noInstance *types.DBInstanceNotFoundFault
	var noCluster *types.DBClusterNotFoundFault
	var engine *EngineError
	var api smithy.APIError
	switch {
	case errors.As(err, &noInstance), errors.As(err, &noCluster), errors.Is(err, errMissing):
		return "the tags of the master secret name a database that is gone: use the master secret of the one that replaced it"
	case errors.As(err, &engine):
		return "only mysql, mariadb and aurora-mysql can be rotated"
	case errors.As(err, &api):
		switch api.ErrorCode() {
		case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
			return fmt.Sprintf("allow the worker's role rds:%s on %s, or give the workflow the server as MasterHost, MasterPort and MasterEngine", d.operation(), d.ARN)
		}
	}
	return ""
}
