package secretsmanager_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
)

func TestRotateSecret(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	s := aws.String("s")
	rotate := func(token string, f func(*sm.RotateSecretInput)) error {
		in := sm.RotateSecretInput{SecretId: s, ClientRequestToken: aws.String(id(token))}
		if f != nil {
			f(&in)
		}
		_, err := e.RotateSecret(ctx, &in)
		return err
	}
	describe := func() *sm.DescribeSecretOutput {
		t.Helper()
		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	labels := func(want map[string]string) {
		t.Helper()
		if d := cmp.Diff(want, e.labels(t, "s")); d != "" {
			t.Errorf("labels: -want +got\n%s", d)
		}
	}
	expect(t, rotate("v2", nil), "InvalidRequestException: No Lambda rotation function ARN is associated with this secret.")
	expect(t, rotate("v2", func(in *sm.RotateSecretInput) {
		in.RotationLambdaARN = aws.String("arn:aws:lambda:us-east-1:123456789012:function:none")
	}), "AccessDeniedException: Secrets Manager cannot invoke the specified Lambda function.")
	_, err := e.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: s})
	expect(t, err, "InvalidRequestException")
	if d := describe(); d.RotationEnabled != nil || d.RotationLambdaARN != nil || d.RotationRules != nil || d.NextRotationDate != nil {
		t.Errorf("rotation configured by failures: %+v", d)
	}
	labels(map[string]string{"v1": "AWSCURRENT"})

	if err := e.server.EnableRotation("s"); err != nil {
		t.Fatal(err)
	}
	if d := describe(); !*d.RotationEnabled || *d.RotationRules.AutomaticallyAfterDays != 30 ||
		!d.NextRotationDate.Equal(start.AddDate(0, 0, 30)) {
		t.Errorf("enabled: %+v", d)
	}
	if err := rotate("v2", func(in *sm.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }); err != nil {
		t.Fatal(err)
	}
	labels(map[string]string{"v1": "AWSCURRENT"})
	if err := rotate("v2", func(in *sm.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(7)}
	}); err != nil {
		t.Fatal(err)
	}
	if d := describe(); *d.RotationRules.AutomaticallyAfterDays != 7 || !d.NextRotationDate.Equal(start.AddDate(0, 0, 7)) {
		t.Errorf("rules: %+v, next %v", d.RotationRules, d.NextRotationDate)
	}
	if err := rotate("v2", func(in *sm.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{ScheduleExpression: aws.String("rate(10 days)"), Duration: aws.String("3h")}
	}); err != nil {
		t.Fatal(err)
	}
	if d := describe(); *d.RotationRules.ScheduleExpression != "rate(10 days)" || *d.RotationRules.Duration != "3h" ||
		d.NextRotationDate != nil {
		t.Errorf("rules: %+v, next %v", d.RotationRules, d.NextRotationDate)
	}
	labels(map[string]string{"v1": "AWSCURRENT", "v2": "AWSPENDING"})
	_, err = e.get("s", "v2", "AWSPENDING")
	expect(t, err, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: "+id("v2"))
	_, err = e.get("s", "", "AWSPENDING")
	expect(t, err, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPENDING")
	expect(t, rotate("v3", nil), "InvalidRequestException: A previous rotation isn't complete. That rotation will be reattempted.")

	out, err := e.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: s})
	if err != nil || *out.VersionId != id("v2") {
		t.Errorf("cancelled: %v, %v", out, err)
	}
	if d := describe(); *d.RotationEnabled || d.NextRotationDate != nil {
		t.Errorf("cancelled: %+v", d)
	}
	if _, err := e.put("s", "v2", "b", "AWSPENDING"); err != nil {
		t.Errorf("the empty version is there to be filled: %v", err)
	}
	if v, err := e.get("s", "v2", "AWSPENDING"); err != nil || *v.SecretString != "b" {
		t.Errorf("filled: %v, %v", v, err)
	}
	labels(map[string]string{"v1": "AWSCURRENT", "v2": "AWSPENDING"})
}
