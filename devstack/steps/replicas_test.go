package steps

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/internal/mysqld/mysqldtest"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

const far = "ap-south-1" // the region of the replicas

// replicated gives the user's secret a replica that is in sync.
func (l *lab) replicated() {
	l.Helper()
	if _, err := l.client.ReplicateSecretToRegions(l.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: aws.String("app"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(far)}},
	}); err != nil {
		l.Fatal(err)
	}
	l.settle()
}

// lagsBehind stops the replica from getting updates.
func (l *lab) lagsBehind() { l.sm.Replicate(far, endpoint.Replication{Lag: time.Hour}) }

func TestAReplicatedSecretIsRotated(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.replicated()
		l.rotate()
		l.rotate()
		l.mustLogIn("AWSCURRENT", l.user)
	})
}

func TestNoPasswordIsSetBeforeEveryReplicaIsInSync(t *testing.T) {
	t.Parallel()
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.replicated()
		l.rotate()
		l.lagsBehind()
		r, err := l.clone()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.step(rotation.StagePassword, &r.Rotation); err != nil {
			t.Fatal(err)
		}
		wants(t, l.step(rotation.SetPassword, &r.Rotation), rotation.ErrorReplicaBehind, true, "replica in "+far+" is not in sync yet")
		l.mustLogIn("AWSPREVIOUS", l.user) // what the replica may still hand out

		l.sm.Replicate(far, endpoint.Replication{Failure: "the KMS key is disabled"})
		wants(t, l.step(rotation.SetPassword, &r.Rotation), rotation.ErrorReplicaBehind, true, "replica in "+far+" has failed",
			"the KMS key is disabled", "remove-regions-from-replication")
		l.mustLogIn("AWSPREVIOUS", l.user)

		l.sm.Replicate(far, endpoint.Replication{})
		l.replicated()
		for _, name := range steps[1:] {
			if err := l.step(name, &r.Rotation); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		l.mustLogIn("AWSCURRENT", l.user)
	})
}

func TestNothingIsRevokedBeforeEveryReplicaIsInSync(t *testing.T) {
	t.Parallel()
	l := newLab(t, mysqldtest.Servers(t)[0])
	l.replicated()
	r, err := l.clone()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range steps {
		if name == rotation.PromotePassword {
			l.lagsBehind()
		}
		if err := l.step(name, &r.Rotation); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	wants(t, l.step(rotation.RevokePrevious, &r.Rotation), rotation.ErrorReplicaBehind, true, far)
	l.mustLogIn("AWSPREVIOUS", l.user)
	l.sm.Replicate(far, endpoint.Replication{})
	if err := l.step(rotation.RevokePrevious, &r.Rotation); err != nil {
		t.Fatal(err)
	}
	if l.logsIn("AWSPREVIOUS") {
		t.Error("the previous credential still logs in")
	}
}

// A replica that failed keeps what it has: the credential from before this rotation, or an older one. So an emergency waits
// for it too, even with Force. Removing the region lets the emergency continue, because then no application reads that replica.
func TestAFailedReplicaHoldsAnEmergencyUntilItIsRemoved(t *testing.T) {
	mysqldtest.Each(t, func(t *testing.T, s *mysqld.Server) {
		l := newLab(t, s)
		l.replicated()
		l.rotate()
		l.sm.Replicate(far, endpoint.Replication{Failure: "the KMS key is disabled"})
		l.settle() // a change that does not reach the replica
		l.input.Force, l.input.RevokePrevious = true, true
		r := l.leave(1)
		held := func(step string) {
			t.Helper()
			wants(t, l.step(step, &r), rotation.ErrorReplicaBehind, true, "replica in "+far+" has failed",
				"remove-regions-from-replication --secret-id app --remove-replica-regions "+far)
			l.mustLogIn(secret.Current, r.Source.User)
		}
		held(rotation.SetPassword)
		l.mustLogIn(secret.Previous, l.user) // what the replica may still hand out
		l.removeRegion(far)
		if err := l.step(rotation.SetPassword, &r); err != nil {
			t.Fatal(err)
		}
		for _, name := range steps[2:] {
			if err := l.step(name, &r); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		l.settle()

		l.replicated()
		wants(t, l.step(rotation.RevokePrevious, &r), rotation.ErrorReplicaBehind, true, "replica in "+far+" has failed")
		l.mustLogIn(secret.Previous, r.Source.User)
		l.removeRegion(far)
		if err := l.step(rotation.RevokePrevious, &r); err != nil {
			t.Fatal(err)
		}
		if l.logsIn(secret.Previous) {
			t.Error("the leaked credential still logs in")
		}
		l.mustLogIn(secret.Current, l.user)
	})
}

func (l *lab) removeRegion(region string) {
	l.Helper()
	if _, err := l.client.RemoveRegionsFromReplication(l.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{
		SecretId: aws.String("app"), RemoveReplicaRegions: []string{region},
	}); err != nil {
		l.Fatal(err)
	}
	l.settle()
}

func TestAFailedReplicaIsAWarning(t *testing.T) {
	l := newLab(t, mysqldtest.Servers(t)[0])
	l.sm.Replicate(far, endpoint.Replication{Failure: "the KMS key is disabled"})
	l.replicated()
	r, err := l.clone()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) != 1 {
		t.Errorf("warnings are %q, want one", r.Warnings)
	}
}

func TestAReplicatedSecretIsNotDeleted(t *testing.T) {
	l := newLab(t, mysqldtest.Servers(t)[0])
	l.replicated()
	before := l.snapshot()
	_, err := l.finds(rotation.FindAccountsInput{CloneUserInput: l.input})
	wants(t, err, rotation.ErrorReplicated, false, far, "remove-regions-from-replication")
	if l.snapshot() != before {
		t.Error("the refused deletion changed something")
	}
}

// TestAReplicaIsRefused checks that the error names the primary, the only one that can be rotated.
func TestAReplicaIsRefused(t *testing.T) {
	l := newLab(t, mysqldtest.Servers(t)[0])
	if _, err := l.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("app"), SecretString: aws.String(l.value(map[string]any{"username": l.user, "password": "First.Passw0rd",
			"masterarn": "master"})),
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}, ForceOverwriteReplicaSecret: true,
	}, func(o *secretsmanager.Options) { o.Region = far }); err != nil {
		t.Fatal(err)
	}
	l.sm.Replicate("eu-west-1", endpoint.Replication{})
	if _, err := l.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	_, err := l.clone()
	wants(t, err, rotation.ErrorReadOnlySecret, false, "use its primary arn:aws:secretsmanager:"+far+":123456789012:secret:app-")
}
