package secretsmanager_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
)

// in is the same endpoint, called from another region.
func (e *endpoint) in(region string) *endpoint {
	return &endpoint{clientOf(e.url, region, "any"), e.server, e.url, e.clock}
}

func (e *endpoint) replicate(t *testing.T, secret string, regions ...string) {
	t.Helper()
	in := &sm.ReplicateSecretToRegionsInput{SecretId: &secret}
	for _, r := range regions {
		region, key, _ := strings.Cut(r, " ")
		in.AddReplicaRegions = append(in.AddReplicaRegions, types.ReplicaRegionType{Region: &region, KmsKeyId: pointer(key)})
	}
	if _, err := e.ReplicateSecretToRegions(ctx, in); err != nil {
		t.Fatal(err)
	}
}

// status lists the replicas of a secret, as in "us-west-2 InSync, eu-west-1 Failed: why".
func (e *endpoint) status(t *testing.T, secret string) string {
	t.Helper()
	d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: &secret})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range d.ReplicationStatus {
		text := *r.Region + " " + string(r.Status)
		if r.StatusMessage != nil {
			text += ": " + *r.StatusMessage
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (e *endpoint) value(t *testing.T, secret string) string {
	t.Helper()
	out, err := e.get(secret, "", "")
	if err != nil {
		return strings.Split(failure(t, err), ":")[0]
	}
	return *out.SecretString
}

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAReplicaFollowsItsPrimary(t *testing.T) {
	e := newEndpoint(t, "")
	west, europe := e.in("us-west-2"), e.in("eu-west-1")
	e.server.Replicate("us-west-2", secretsmanager.Replication{Lag: time.Minute})
	e.server.Replicate("eu-west-1", secretsmanager.Replication{Lag: time.Hour})
	arn := e.create(t, "s", "v1", "one")
	wantText(t, west.value(t, "s"), "ResourceNotFoundException")

	e.replicate(t, "s", "us-west-2 alias/west", "eu-west-1")
	wantText(t, e.status(t, "s"), "us-west-2 InProgress, eu-west-1 InProgress")
	wantText(t, west.value(t, "s"), "ResourceNotFoundException")
	e.clock.add(time.Minute)
	wantText(t, e.status(t, "s"), "us-west-2 InSync, eu-west-1 InProgress")
	wantText(t, west.value(t, "s"), "one")
	e.clock.add(time.Hour)
	wantText(t, e.status(t, "s"), "us-west-2 InSync, eu-west-1 InSync")

	if _, err := e.put("s", "v2", "two"); err != nil {
		t.Fatal(err)
	}
	wantText(t, e.status(t, "s"), "us-west-2 InProgress, eu-west-1 InProgress")
	wantText(t, e.value(t, "s")+" "+west.value(t, "s"), "two one")
	e.clock.add(time.Minute)
	wantText(t, e.value(t, "s")+" "+west.value(t, "s")+" "+europe.value(t, "s"), "two two one")
	e.server.Replicate("eu-west-1", secretsmanager.Replication{})
	wantText(t, europe.value(t, "s"), "two")
	wantText(t, e.status(t, "s"), "us-west-2 InSync, eu-west-1 InSync")

	d, err := west.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, *d.ARN, strings.Replace(arn, "us-east-1", "us-west-2", 1))
	wantText(t, aws.ToString(d.PrimaryRegion)+" "+aws.ToString(d.KmsKeyId), "us-east-1 alias/west")
	if len(d.ReplicationStatus) != 0 {
		t.Error("a replica has replicas")
	}
	d, err = e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, aws.ToString(d.PrimaryRegion), "us-east-1")
	if r := d.ReplicationStatus[0]; aws.ToString(r.KmsKeyId) != "alias/west" || r.LastAccessedDate == nil {
		t.Errorf("the primary's answer lacks the replica's key or its date: %+v", r)
	}
}

func TestAReplicaIsReadOnly(t *testing.T) {
	const refused = "InvalidParameterException: Operation not permitted on a replica secret. Call must be made in primary secret's region."
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "one")
	e.replicate(t, "s", "us-west-2")
	west := e.in("us-west-2")
	name := aws.String("s")
	_, err := west.put("s", "v2", "two")
	expect(t, err, refused)
	expect(t, west.move("s", "label", "", "v1"), refused)
	_, err = west.TagResource(ctx, &sm.TagResourceInput{SecretId: name, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	expect(t, err, refused)
	_, err = west.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: name, ResourcePolicy: aws.String(allowAll)})
	expect(t, err, refused)
	for _, force := range []*bool{nil, aws.Bool(true)} {
		_, err = west.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: force})
		expect(t, err, refused)
		_, err = e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: force})
		expect(t, err, "InvalidParameterException: You can't delete secret arn:aws:secretsmanager:us-east-1:123456789012:secret:s-")
	}
	_, err = west.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: name, Description: aws.String("d")})
	expect(t, err, refused)
	_, err = west.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: name, KmsKeyId: aws.String("alias/own")})
	expect(t, err, "")

	_, err = e.RemoveRegionsFromReplication(ctx, &sm.RemoveRegionsFromReplicationInput{SecretId: name,
		RemoveReplicaRegions: []string{"eu-west-1"}})
	expect(t, err, "InvalidParameterException")
	_, err = e.RemoveRegionsFromReplication(ctx, &sm.RemoveRegionsFromReplicationInput{SecretId: name,
		RemoveReplicaRegions: []string{"us-west-2"}})
	expect(t, err, "")
	wantText(t, west.value(t, "s"), "ResourceNotFoundException")
	wantText(t, e.status(t, "s"), "")
}

func TestAReplicaBecomesASecretOfItsOwn(t *testing.T) {
	e := newEndpoint(t, "")
	west := e.in("us-west-2")
	in := &sm.CreateSecretInput{Name: aws.String("s"), ClientRequestToken: aws.String(id("v1")), SecretString: aws.String("one"),
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("us-west-2")}}}
	if _, err := e.CreateSecret(ctx, in); err != nil {
		t.Fatal(err)
	}
	_, err := e.StopReplicationToReplica(ctx, &sm.StopReplicationToReplicaInput{SecretId: aws.String("s")})
	expect(t, err, "InvalidRequestException")
	_, err = west.StopReplicationToReplica(ctx, &sm.StopReplicationToReplicaInput{SecretId: aws.String("s")})
	expect(t, err, "")
	wantText(t, e.status(t, "s"), "")
	_, err = west.put("s", "v2", "two")
	expect(t, err, "")
	wantText(t, e.value(t, "s")+" "+west.value(t, "s"), "one two")

	e.replicate(t, "s", "us-west-2")
	wantText(t, e.status(t, "s"), "us-west-2 Failed: Replication failed: Secret name simple already exists in region us-west-2.")
	wantText(t, west.value(t, "s"), "two")
	_, err = e.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{SecretId: aws.String("s"),
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("us-west-2")}}, ForceOverwriteReplicaSecret: true})
	expect(t, err, "")
	wantText(t, e.status(t, "s"), "us-west-2 InSync")
	wantText(t, west.value(t, "s"), "one")
}

func TestReplicationFails(t *testing.T) {
	path := t.TempDir() + "/state"
	e := newEndpoint(t, path)
	e.create(t, "s", "v1", "one")
	e.server.Replicate("us-west-2", secretsmanager.Replication{Failure: "KMS key is disabled."})
	e.replicate(t, "s", "us-west-2")
	wantText(t, e.status(t, "s"), "us-west-2 Failed: KMS key is disabled.")
	e.server.Replicate("us-west-2", secretsmanager.Replication{})
	wantText(t, e.status(t, "s"), "us-west-2 Failed: KMS key is disabled.")
	if _, err := e.put("s", "v2", "two"); err != nil {
		t.Fatal(err)
	}
	again := newEndpoint(t, path)
	wantText(t, again.status(t, "s"), "us-west-2 InSync")
	wantText(t, again.in("us-west-2").value(t, "s"), "two")
	for _, region := range []string{"us-east-1", ""} {
		_, err := e.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{SecretId: aws.String("s"),
			AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(region)}}})
		expect(t, err, "InvalidParameterException: Invalid replica region.")
	}
}

// TestReplicationLagIsKept checks that a replication that is under way outlasts the process.
func TestReplicationLagIsKept(t *testing.T) {
	path := t.TempDir() + "/state"
	e := newEndpoint(t, path)
	e.server.Replicate("us-west-2", secretsmanager.Replication{Lag: time.Minute})
	e.create(t, "s", "v1", "one")
	e.replicate(t, "s", "us-west-2")
	server, err := secretsmanager.New(secretsmanager.Options{Now: e.clock.Now, Path: path, ReplicationLag: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	again := &endpoint{client(web.URL), server, web.URL, e.clock}
	wantText(t, again.status(t, "s"), "us-west-2 InProgress")
	e.clock.add(time.Minute)
	wantText(t, again.status(t, "s"), "us-west-2 InSync")
}

func TestRegionsAreApart(t *testing.T) {
	e := newEndpoint(t, "")
	west := e.in("us-west-2")
	here, there := e.create(t, "s", "v1", "east"), west.create(t, "s", "v1", "west")
	wantText(t, e.value(t, "s")+" "+west.value(t, "s"), "east west")
	wantText(t, e.value(t, there)+" "+west.value(t, here), "ResourceNotFoundException ResourceNotFoundException")
	list, err := west.ListSecrets(ctx, &sm.ListSecretsInput{})
	if err != nil || len(list.SecretList) != 1 || *list.SecretList[0].ARN != there {
		t.Errorf("the other region lists %+v, %v", list, err)
	}
}

func TestASecretOfAService(t *testing.T) {
	e := newEndpoint(t, "")
	web := httptest.NewServer(e.server.ForService("rds"))
	t.Cleanup(web.Close)
	rds := &endpoint{client(web.URL), e.server, web.URL, e.clock}
	in := &sm.CreateSecretInput{Name: aws.String("rds!db-1"), ClientRequestToken: aws.String(id("v1")), SecretString: aws.String("one"),
		Tags: []types.Tag{{Key: aws.String("aws:secretsmanager:owningService"), Value: aws.String("rds")}}}
	_, err := e.CreateSecret(ctx, in)
	expect(t, err, "InvalidParameterException: Tag keys that begin with aws: are reserved")
	_, err = rds.CreateSecret(ctx, in)
	expect(t, err, "")
	d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: in.Name})
	if err != nil || aws.ToString(d.OwningService) != "rds" || !aws.ToBool(d.RotationEnabled) || len(d.Tags) != 1 {
		t.Errorf("described as %+v, %v", d, err)
	}
	wantText(t, e.value(t, "rds!db-1"), "one")
	_, err = e.put("rds!db-1", "v2", "two")
	expect(t, err, "InvalidRequestException: You can't modify secret rds!db-1 because it is managed by rds.")
	_, err = rds.put("rds!db-1", "v2", "two")
	expect(t, err, "")
	wantText(t, e.value(t, "rds!db-1"), "two")
}
