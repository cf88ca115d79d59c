package rds

import "testing"

func TestFromTags(t *testing.T) {
	const instance, cluster = "arn:aws:rds:eu-west-1:123456789012:db:one", "arn:aws:rds:eu-west-1:123456789012:cluster:two"
	for _, tt := range []struct {
		name  string
		tags  map[string]string
		want  Database
		found bool
	}{
		{"no tags", nil, Database{}, false},
		{"an instance", map[string]string{"aws:secretsmanager:owningService": "rds", "aws:rds:primaryDBInstanceArn": instance},
			Database{ARN: instance}, true},
		{"a cluster", map[string]string{"aws:secretsmanager:owningService": "rds", "aws:rds:primaryDBClusterArn": cluster},
			Database{cluster, true}, true},
		{"lower case", map[string]string{"aws:secretsmanager:owningservice": "rds", "aws:rds:primarydbclusterarn": cluster},
			Database{cluster, true}, true},
		{"both", map[string]string{"aws:secretsmanager:owningService": "rds", "aws:rds:primaryDBInstanceArn": instance,
			"aws:rds:primaryDBClusterArn": cluster}, Database{ARN: instance}, true},
		{"a tag that anyone can set", map[string]string{"rds:primaryDBInstanceArn": instance, "owningService": "rds"}, Database{}, false},
		{"another service", map[string]string{"aws:secretsmanager:owningService": "redshift", "aws:rds:primaryDBInstanceArn": instance},
			Database{}, false},
		{"no owner", map[string]string{"aws:rds:primaryDBInstanceArn": instance}, Database{}, false},
	} {
		if got, found := FromTags(tt.tags); got != tt.want || found != tt.found {
			t.Errorf("%s: %+v, %v", tt.name, got, found)
		}
	}
}
