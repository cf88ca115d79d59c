package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
)

func TestTags(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	s := aws.String("s")
	tags := func(want string) {
		t.Helper()
		d, err := e.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: s})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tag := range d.Tags {
			got = append(got, *tag.Key+"="+*tag.Value)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("tags %q, want %q", got, want)
		}
	}
	tag := func(pairs ...string) {
		t.Helper()
		in := sm.TagResourceInput{SecretId: s}
		for i := 0; i < len(pairs); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		if _, err := e.TagResource(ctx, &in); err != nil {
			t.Fatal(err)
		}
	}
	tags("")
	tag("a", "1", "b", "2")
	tag("b", "3", "c", "4")
	tags("a=1 b=3 c=4")
	if _, err := e.UntagResource(ctx, &sm.UntagResourceInput{SecretId: s, TagKeys: []string{"a", "c", "nobody"}}); err != nil {
		t.Fatal(err)
	}
	tags("b=3")
	if d := cmp.Diff(map[string]string{"v1": "AWSCURRENT"}, e.labels(t, "s")); d != "" {
		t.Errorf("labels: -want +got\n%s", d)
	}
}
