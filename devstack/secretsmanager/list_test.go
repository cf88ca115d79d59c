package secretsmanager_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// shelf is an endpoint with four secrets, of which the service tells two as
// scheduled, read and changed in some order.
func shelf(t *testing.T) *endpoint {
	e := newEndpoint(t, "")
	for _, s := range []struct{ name, description, tag string }{
		{"prod/db", "Orders database, primary", "team=Payments"},
		{"prod/api", "", "team=platform"},
		{"Prod/web", "web front-end for orders", ""},
		{"dev/db", "scratch DATABASE", "owner=Ada Lovelace"},
	} {
		in := sm.CreateSecretInput{Name: &s.name, SecretString: &s.name, Description: pointer(s.description)}
		if key, v, found := strings.Cut(s.tag, "="); found {
			in.Tags = []types.Tag{{Key: &key, Value: &v}}
		}
		if _, err := e.CreateSecret(ctx, &in); err != nil {
			t.Fatal(err)
		}
		e.clock.add(24 * time.Hour)
	}
	return e
}

func names(out *sm.ListSecretsOutput) string {
	var n []string
	for _, s := range out.SecretList {
		n = append(n, *s.Name)
	}
	return strings.Join(n, " ")
}

func TestFilters(t *testing.T) {
	e := shelf(t)
	for _, tt := range []struct {
		filters []string // key: value, value
		want    string   // names in the order of creation, or an error
	}{
		{nil, "prod/db prod/api Prod/web dev/db"},
		{[]string{"name: prod"}, "prod/db prod/api"},
		{[]string{"name: Prod"}, "Prod/web"},
		{[]string{"name: db"}, ""},
		{[]string{"name: !prod"}, "Prod/web dev/db"},
		{[]string{"name: dev, Prod"}, "Prod/web dev/db"},
		{[]string{"description: database"}, "prod/db dev/db"},
		{[]string{"description: DATA"}, "prod/db dev/db"},
		{[]string{"description: data ord"}, "prod/db"},
		{[]string{"description: base"}, ""},
		{[]string{"description: !orders"}, "prod/api dev/db"},
		{[]string{"tag-key: te"}, "prod/db prod/api"},
		{[]string{"tag-key: Te"}, ""},
		{[]string{"tag-key: !team"}, "Prod/web dev/db"},
		{[]string{"tag-value: Pay"}, "prod/db"},
		{[]string{"all: ada"}, "dev/db"},
		{[]string{"all: platform, front"}, "prod/api Prod/web"},
		{[]string{"name: prod", "description: orders"}, "prod/db"},
		{[]string{"owning-service: rds"}, ""},
		{[]string{"primary-region: us"}, ""},
		{[]string{"colour: red"}, "ValidationException"},
		{[]string{"name: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"}, "InvalidParameterException"},
	} {
		t.Run(strings.Join(tt.filters, " and "), func(t *testing.T) {
			var in sm.ListSecretsInput
			for _, f := range tt.filters {
				key, values, _ := strings.Cut(f, ": ")
				in.Filters = append(in.Filters, types.Filter{Key: types.FilterNameStringType(key), Values: strings.Split(values, ", ")})
			}
			out, err := e.ListSecrets(ctx, &in)
			if err != nil {
				expect(t, err, tt.want)
			} else if got := names(out); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	e := shelf(t)
	e.get("prod/api", "", "")
	e.clock.add(24 * time.Hour)
	e.get("prod/db", "", "")
	e.put("prod/db", "", "changed")
	for _, tt := range []struct {
		by   types.SortByType
		desc bool
		want string
	}{
		{"", false, "prod/db prod/api Prod/web dev/db"},
		{"", true, "dev/db Prod/web prod/api prod/db"},
		{types.SortByTypeCreatedDate, false, "prod/db prod/api Prod/web dev/db"},
		{types.SortByTypeName, false, "Prod/web dev/db prod/api prod/db"},
		{types.SortByTypeLastChangedDate, false, "prod/api Prod/web dev/db prod/db"},
		{types.SortByTypeLastAccessedDate, true, "prod/db prod/api dev/db Prod/web"},
	} {
		for _, size := range []int32{1, 3, 100} {
			in := sm.ListSecretsInput{SortBy: tt.by, MaxResults: &size}
			if tt.desc {
				in.SortOrder = types.SortOrderTypeDesc
			}
			var got []string
			p := sm.NewListSecretsPaginator(e.Client, &in)
			for p.HasMorePages() {
				out, err := p.NextPage(ctx)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, names(out))
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("by %q, descending %v, pages of %d: %q, want %q", tt.by, tt.desc, size, got, tt.want)
			}
		}
	}
	for _, in := range []sm.ListSecretsInput{
		{NextToken: aws.String("made up")},
		{NextToken: aws.String("bWFkZSB1cA==")},
	} {
		_, err := e.ListSecrets(ctx, &in)
		expect(t, err, "InvalidNextTokenException")
	}
	_, err := e.ListSecrets(ctx, &sm.ListSecretsInput{SortBy: "size"})
	expect(t, err, "ValidationException")
	_, err = e.ListSecrets(ctx, &sm.ListSecretsInput{SortOrder: "up"})
	expect(t, err, "ValidationException")
}

// TestPagesUnderChange deletes, between two pages, the secret that the first one
// ended with.
func TestPagesUnderChange(t *testing.T) {
	e := shelf(t)
	first, err := e.ListSecrets(ctx, &sm.ListSecretsInput{MaxResults: aws.Int32(2)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("prod/api")}); err != nil {
		t.Fatal(err)
	}
	second, err := e.ListSecrets(ctx, &sm.ListSecretsInput{NextToken: first.NextToken})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(first) + ", " + names(second); got != "prod/db prod/api, Prod/web dev/db" {
		t.Errorf("pages %q", got)
	}
	if second.NextToken != nil {
		t.Error("the last page has a NextToken")
	}
}

func TestBatch(t *testing.T) {
	e := shelf(t)
	e.create(t, "empty", "", "")
	show := func(out *sm.BatchGetSecretValueOutput) string {
		var b strings.Builder
		for _, v := range out.SecretValues {
			fmt.Fprintf(&b, "%s=%s ", *v.Name, *v.SecretString)
		}
		for _, f := range out.Errors {
			fmt.Fprintf(&b, "%s:%s ", *f.SecretId, *f.ErrorCode)
		}
		return strings.TrimSpace(b.String())
	}
	out, err := e.BatchGetSecretValue(ctx, &sm.BatchGetSecretValueInput{SecretIdList: []string{"dev/db", "none", "prod/db", "empty"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(out), "dev/db=dev/db prod/db=prod/db none:ResourceNotFoundException empty:ResourceNotFoundException"; got != want {
		t.Errorf("by id: %q, want %q", got, want)
	}
	filters := []types.Filter{{Key: "name", Values: []string{"prod", "dev"}}}
	var pages []string
	p := sm.NewBatchGetSecretValuePaginator(e.Client, &sm.BatchGetSecretValueInput{Filters: filters, MaxResults: aws.Int32(2)})
	for p.HasMorePages() {
		out, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, show(out))
	}
	if got, want := strings.Join(pages, ", "), "prod/db=prod/db prod/api=prod/api, dev/db=dev/db"; got != want {
		t.Errorf("by filter: %q, want %q", got, want)
	}
	for _, in := range []sm.BatchGetSecretValueInput{
		{},
		{Filters: filters, SecretIdList: []string{"dev/db"}},
		{SecretIdList: make([]string, 21)},
		{SecretIdList: []string{"dev/db"}, MaxResults: aws.Int32(2)},
		{Filters: filters, MaxResults: aws.Int32(21)},
	} {
		_, err := e.BatchGetSecretValue(ctx, &in)
		expect(t, err, "InvalidParameterException")
	}
}
