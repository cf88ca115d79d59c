package secretsmanager_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
)

func TestDeletion(t *testing.T) {
	s := aws.String("s")
	remove := func(e *endpoint, days int64, force bool) error {
		in := sm.DeleteSecretInput{SecretId: s}
		if days > 0 {
			in.RecoveryWindowInDays = &days
		}
		if force {
			in.ForceDeleteWithoutRecovery = &force
		}
		_, err := e.DeleteSecret(ctx, &in)
		return err
	}

	t.Run("scheduled", func(t *testing.T) {
		e := newEndpoint(t, "")
		e.create(t, "s", "v1", "a")
		e.put("s", "v2", "b")
		before := e.labels(t, "s")
		out, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: s})
		if err != nil {
			t.Fatal(err)
		}
		if want := start.AddDate(0, 0, 30); !out.DeletionDate.Equal(want) {
			t.Errorf("default window ends %v, want %v", out.DeletionDate, want)
		}
		_, get := e.get("s", "", "")
		_, putErr := e.put("s", "v3", "c")
		_, rotate := e.RotateSecret(ctx, &sm.RotateSecretInput{SecretId: s})
		_, cancel := e.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: s})
		_, tag := e.TagResource(ctx, &sm.TagResourceInput{SecretId: s, Tags: []types.Tag{{Key: s, Value: s}}})
		_, untag := e.UntagResource(ctx, &sm.UntagResourceInput{SecretId: s, TagKeys: []string{"s"}})
		for operation, err := range map[string]error{
			"get": get, "put": putErr, "update": update("v3", "c")(e), "move": e.move("s", "X", "", "v1"),
			"rotate": rotate, "cancel": cancel, "tag": tag, "untag": untag, "delete": remove(e, 0, false),
		} {
			t.Run(operation, func(t *testing.T) { expect(t, err, scheduled) })
		}
		expect(t, create("v9", "z")(e), "InvalidRequestException: You can't create this secret because a secret with this name is already "+
			"scheduled for deletion.")
		expect(t, create("v1", "a")(e), "InvalidRequestException")

		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil || !d.DeletedDate.Equal(*out.DeletionDate) {
			t.Errorf("described %v, %v", d, err)
		}
		for _, planned := range []bool{false, true} {
			list, err := e.ListSecrets(ctx, &sm.ListSecretsInput{IncludePlannedDeletion: &planned})
			if err != nil || len(list.SecretList) > 0 != planned {
				t.Errorf("IncludePlannedDeletion %v lists %d, %v", planned, len(list.SecretList), err)
			}
		}
		for range 2 { // the second finds a live secret
			if _, err := e.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: s}); err != nil {
				t.Fatal(err)
			}
		}
		d, err = e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil || d.DeletedDate != nil {
			t.Errorf("restored: %v, %v", d, err)
		}
		if diff := cmp.Diff(before, e.labels(t, "s")); diff != "" {
			t.Errorf("labels after restoration: -want +got\n%s", diff)
		}
		if v, err := e.get("s", "", ""); err != nil || *v.SecretString != "b" {
			t.Errorf("value after restoration: %v, %v", v, err)
		}
	})

	t.Run("window passed", func(t *testing.T) {
		e := newEndpoint(t, "")
		arn := e.create(t, "s", "v1", "a")
		if err := remove(e, 7, false); err != nil {
			t.Fatal(err)
		}
		e.clock.add(7*24*time.Hour - time.Millisecond)
		_, err := e.get("s", "", "")
		expect(t, err, scheduled)
		e.clock.add(time.Millisecond)
		list, err := e.ListSecrets(ctx, &sm.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
		if err != nil || len(list.SecretList) != 0 {
			t.Errorf("listed after its end: %v, %v", list, err)
		}
		_, err = e.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: s})
		expect(t, err, noSecret)
		if e.create(t, "s", "v1", "b") == arn {
			t.Error("the name came back with its old ARN")
		}
	})

	t.Run("refused", func(t *testing.T) {
		e := newEndpoint(t, "")
		expect(t, remove(e, 0, false), noSecret)
		e.create(t, "s", "v1", "a")
		expect(t, remove(e, 6, false), "InvalidParameterException")
		expect(t, remove(e, 31, false), "InvalidParameterException")
		expect(t, remove(e, 7, true), "InvalidParameterException")
		if _, err := e.get("s", "", ""); err != nil {
			t.Error(err)
		}
	})

	t.Run("forced", func(t *testing.T) {
		e := newEndpoint(t, "")
		e.create(t, "s", "v1", "a")
		if err := remove(e, 30, false); err != nil {
			t.Fatal(err)
		}
		if err := remove(e, 0, true); err != nil {
			t.Errorf("of a scheduled secret: %v", err)
		}
		_, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		expect(t, err, noSecret)
		out, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: s, ForceDeleteWithoutRecovery: aws.Bool(true)})
		if err != nil {
			t.Fatalf("of an unknown secret: %v", err)
		}
		if *out.Name != "s" || !strings.HasPrefix(*out.ARN, "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-") ||
			out.DeletionDate == nil {
			t.Errorf("of an unknown secret: %s %s %v", *out.Name, *out.ARN, out.DeletionDate)
		}
	})
}
