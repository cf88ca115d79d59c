package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

const (
	allowAll  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","Resource":"*"}}`
	allowRead = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},` +
		`"Action":["secretsmanager:GetSecretValue","secretsmanager:DescribeSecret"],"Resource":"*"}]}`
	allowNone = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["210987654321"]},"Action":"secretsmanager:*","Resource":"*"},` +
		`{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
)

func TestResourcePolicy(t *testing.T) {
	e := newEndpoint(t, "")
	arn := e.create(t, "s", "v1", "one")
	name := aws.String("s")
	get := func() string {
		t.Helper()
		out, err := e.GetResourcePolicy(ctx, &sm.GetResourcePolicyInput{SecretId: name})
		if err != nil || *out.ARN != arn || *out.Name != "s" {
			t.Fatalf("%+v, %v", out, err)
		}
		return aws.ToString(out.ResourcePolicy)
	}
	put := func(policy string, block bool, want string) {
		t.Helper()
		_, err := e.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: name, ResourcePolicy: &policy, BlockPublicPolicy: &block})
		expect(t, err, want)
	}
	wantText(t, get(), "")
	put(allowRead, true, "")
	wantText(t, get(), allowRead)
	put(allowAll, true, "PublicPolicyException")
	put(`{"Statement":`, false, "MalformedPolicyDocumentException: This resource policy contains invalid Json.")
	put(`{"Statement":{"Effect":"Perhaps"}}`, false, "MalformedPolicyDocumentException")
	put(strings.Repeat(" ", 20481), false, "InvalidParameterException")
	wantText(t, get(), allowRead)
	put(allowAll, false, "")
	e.replicate(t, "s", "us-west-2")
	if out, err := e.in("us-west-2").GetResourcePolicy(ctx, &sm.GetResourcePolicyInput{SecretId: name}); err != nil ||
		aws.ToString(out.ResourcePolicy) != allowAll {
		t.Errorf("the replica has the policy %+v, %v", out, err)
	}
	_, err := e.DeleteResourcePolicy(ctx, &sm.DeleteResourcePolicyInput{SecretId: name})
	expect(t, err, "")
	wantText(t, get(), "")

	for policy, want := range map[string]bool{allowRead: true, allowAll: false} {
		out, err := e.ValidateResourcePolicy(ctx, &sm.ValidateResourcePolicyInput{SecretId: name, ResourcePolicy: &policy})
		if err != nil || out.PolicyValidationPassed != want || (len(out.ValidationErrors) == 0) != want {
			t.Errorf("%s: %+v, %v", policy, out, err)
		}
	}
	_, err = e.ValidateResourcePolicy(ctx, &sm.ValidateResourcePolicyInput{ResourcePolicy: aws.String("[]")})
	expect(t, err, "MalformedPolicyDocumentException")
}

func TestAnotherAccount(t *testing.T) {
	const denied = "AccessDeniedException: User: arn:aws:iam::210987654321:user/any is not authorized to perform: secretsmanager:"
	e := newEndpoint(t, "")
	other := &endpoint{clientOf(e.url, "us-east-1", "210987654321"), e.server, e.url, e.clock}
	arn := e.create(t, "s", "v1", "one")
	allow := func(policy string) {
		t.Helper()
		if _, err := e.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: aws.String("s"), ResourcePolicy: &policy}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := other.get("s", "", "")
	expect(t, err, noSecret)
	_, err = other.get(arn, "", "")
	expect(t, err, denied+"GetSecretValue on resource: "+arn)
	allow(allowNone)
	_, err = other.get(arn, "", "")
	expect(t, err, denied)
	allow(allowRead)
	_, err = other.get(arn, "", "")
	expect(t, err, "AccessDeniedException: Access to KMS is not allowed")
	if _, err := e.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: aws.String("s"), KmsKeyId: aws.String("alias/shared")}); err != nil {
		t.Fatal(err)
	}
	wantText(t, other.value(t, arn), "one")
	wantText(t, other.value(t, arn[:len(arn)-7]), "one")
	_, err = other.put(arn, "v2", "two")
	expect(t, err, denied+"PutSecretValue")

	own := other.create(t, "s", "v1", "their own")
	wantText(t, own[:len(own)-6], "arn:aws:secretsmanager:us-east-1:210987654321:secret:s-")
	wantText(t, other.value(t, "s")+" "+e.value(t, "s"), "their own one")
}
