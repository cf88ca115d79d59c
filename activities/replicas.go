package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// replicasBehindError reports that applications in other regions may still read an older version of
// a secret. Until they no longer do, its credential must not change.
type replicasBehindError struct {
	secret string
	behind []secret.Replica
}

func (e *replicasBehindError) Error() string {
	return fmt.Sprintf("applications in another region may still use the older credential of secret %s: %s",
		e.secret, replicasText(e.secret, e.behind))
}

// replicasText describes the replica in each region, and what to do if its replication has failed.
func replicasText(name string, behind []secret.Replica) string {
	var all []string
	for _, r := range behind {
		text := "its replica in " + r.Region + " is not in sync yet"
		if r.Status == secret.ReplicationFailed {
			text = fmt.Sprintf("its replica in %s has failed to replicate (%s): replicate it again with"+
				" `aws secretsmanager replicate-secret-to-regions --secret-id %s --add-replica-regions Region=%[1]s`,"+
				" or remove it with `aws secretsmanager remove-regions-from-replication --secret-id %[3]s --remove-replica-regions %[1]s`",
				r.Region, r.Message, name)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// awaitReplicas checks that all replicas of a secret show the same as the primary before a
// credential is taken away. It waits for a few seconds, unless replication has failed. d must be
// recent. A secret without replicas costs no call.
func (a *Activities) awaitReplicas(ctx context.Context, id string, d secret.Description) (waited bool, err error) {
	if len(d.Behind()) == 0 {
		return false, nil
	}
	d, err = a.Secrets.DescribeUntil(ctx, id, func(d secret.Description) bool {
		behind := d.Behind()
		return len(behind) == 0 || slices.ContainsFunc(behind, func(r secret.Replica) bool { return r.Status == secret.ReplicationFailed })
	})
	if err != nil {
		return true, err
	}
	if behind := d.Behind(); len(behind) > 0 {
		return true, &replicasBehindError{d.Name, behind}
	}
	return true, nil
}

// notReplicated refuses to delete a secret that has replicas, as Secrets Manager would.
func notReplicated(d secret.Description) error {
	if len(d.Replicas) == 0 {
		return nil
	}
	var regions []string
	for _, r := range d.Replicas {
		regions = append(regions, r.Region)
	}
	all := strings.Join(regions, " ")
	return refuse(rotation.ErrorReplicated, "secret %s has replicas in %s, and AWS does not delete a secret with replicas:"+
		" run `aws secretsmanager remove-regions-from-replication --secret-id %[1]s --remove-replica-regions %[2]s` first", d.Name, all)
}
