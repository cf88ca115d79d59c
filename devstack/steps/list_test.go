package steps

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/activities"
	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// TestListSecrets lists more than one page of secrets, besides some whose tag key only has the
// right prefix, and a deleted one.
func TestListSecrets(t *testing.T) {
	sm, err := endpoint.New(endpoint.Options{Region: "eu-west-1", AccountID: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(sm)
	t.Cleanup(web.Close)
	client := secretsmanager.New(secretsmanager.Options{
		Region: "eu-west-1", BaseEndpoint: &web.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	create := func(name, key, value string) {
		t.Helper()
		if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: &name, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("shop")}, {Key: &key, Value: &value}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	const many = 1050
	var want []string
	for i := range many {
		name := fmt.Sprintf("shop/%04d", i)
		create(name, "rotate-user", fmt.Sprintf("%dd", i%90+1))
		want = append(want, fmt.Sprintf("%s %dd false", name, i%90+1))
		if i%10 == 0 {
			create(name+"-other", "rotate-user-owner", "7d")
		}
	}
	create("shop/gone", "rotate-user", "off")
	if _, err := client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("shop/gone")}); err != nil {
		t.Fatal(err)
	}
	want = append(want, "shop/gone off true")

	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(&activities.Activities{Secrets: secret.NewStore(client)})
	var got []string
	pages := 0
	for in := (rotation.ListSecretsInput{Tag: "rotate-user"}); ; {
		value, err := env.ExecuteActivity(rotation.ListSecrets, in)
		if err != nil {
			t.Fatal(err)
		}
		var page rotation.ListSecretsResult
		if err := value.Get(&page); err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Secrets {
			if s.ARN == "" {
				t.Errorf("%s has no ARN", s.Name)
			}
			got = append(got, fmt.Sprintf("%s %s %v", s.Name, s.Value, s.Deleted))
		}
		pages++
		if in.NextToken = page.NextToken; in.NextToken == "" {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d secrets, want %d", len(got), len(want))
	}
	if pages != 3 {
		t.Errorf("%d pages of 500", pages)
	}
}
