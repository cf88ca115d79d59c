package workflows_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/activities"
)

// codeSpan is what Markdown leaves as it is.
var codeSpan = regexp.MustCompile("(`+)[^`].*?[^`](`+)")

// TestDetailsShowNamesAsCode checks that a name from outside is neither a link nor a line of its own in the Temporal UI, and
// that a statement can be copied from there.
func TestDetailsShowNamesAsCode(t *testing.T) {
	t.Parallel()
	const evil = "x\n\n# [click](http://evil) <img src=x> \x1b[2J\u202e"
	const advice = "GRANT SELECT ON `shop`.* TO 'rotator'@'%'; see --tls-cert-file"
	w := newWorld()
	w.inUse, w.standby = evil, evil+"_clone"
	w.fail = func(step string, _ int) error {
		if step == "SetPassword" {
			return temporal.NewNonRetryableApplicationError("no right on "+evil+": "+advice, "AccessDenied", nil)
		}
		return nil
	}
	details := func(env *testsuite.TestWorkflowEnvironment) string {
		v, err := env.QueryWorkflow("__temporal_workflow_metadata")
		var metadata sdk.WorkflowMetadata
		if err != nil || v.Get(&metadata) != nil {
			t.Fatalf("metadata: %v", err)
		}
		return metadata.CurrentDetails
	}
	var during, after string
	r := execute(t, w, start, raw(`{"SecretId":"s"}`), nil, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterActivityWithOptions(func(context.Context, activities.Rotation) error {
			during = details(env)
			return w.step("SetPassword")
		}, activity.RegisterOptions{Name: "SetPassword", DisableAlreadyRegisteredCheck: true})
	})
	after = details(r.env)

	for when, text := range map[string]string{"during": during, "after": after} {
		if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) || strings.Contains(text, "\n#") {
			t.Errorf("%s: %q", when, text)
		}
		if !strings.Contains(text, "click") {
			t.Errorf("%s: the name is missing in %q", when, text)
		}
		if plain := codeSpan.ReplaceAllString(text, ""); strings.Contains(plain, "click") || strings.Contains(plain, "<img") {
			t.Errorf("%s: a name is Markdown in %q", when, text)
		}
	}
	if !strings.Contains(after, advice) {
		t.Errorf("the advice is missing in %q", after)
	}
	if got := r.state.Rotations[0].Error; strings.ContainsAny(got, "\n\x1b\u202e") {
		t.Errorf("the error is kept as it came: %q", got)
	}
}
