package activities

import (
	"strings"
	"testing"
)

func TestARotatorsLabelNamesIt(t *testing.T) {
	t.Parallel()
	for _, r := range []rotator{{"default", "rotate-user/app"},
		{"prod.abcde", "rotate-user/arn:aws:secretsmanager:eu-west-1:1:secret:team/app-AbCdEf"}} {
		if got, ok := parseRotator(r.label()); !ok || got != r {
			t.Errorf("%+v is labelled %s, which is read as %+v, %t", r, r.label(), got, ok)
		}
	}
	for _, label := range []string{"AWSCURRENT", "rotate-user", "rotate-user:", "blue"} {
		if got, ok := parseRotator(label); ok {
			t.Errorf("%s is read as the label of %+v", label, got)
		}
	}
	long, longer := rotator{"default", "rotate-user/" + strings.Repeat("x", 500)}, rotator{"default",
		"rotate-user/" + strings.Repeat("x", 501)}
	if n := len(long.label()); n > maxLabel || long.label() == longer.label() {
		t.Errorf("labels of %d characters: want at most %d, and one for each id", n, maxLabel)
	}
}
