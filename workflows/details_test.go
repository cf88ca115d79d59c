package workflows_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rotate-user/rotate-user/rotation"
)

// codeSpan matches what Markdown shows verbatim.
var codeSpan = regexp.MustCompile("(`+)[^`].*?[^`](`+)")

// TestDetailsShowNamesAsCode checks that a name from outside can be neither a link nor a line of
// its own in the Temporal UI, and that a statement can be copied from there.
func TestDetailsShowNamesAsCode(t *testing.T) {
	t.Parallel()
	const evil = "x\n\n# [click](http://evil) <img src=x> \x1b[2J\u202e"
	const advice = "GRANT SELECT ON `shop`.* TO 'rotator'@'%'; see --tls-cert-file"
	w := newWorld()
	w.inUse, w.standby = evil, evil+"_clone"
	w.fail = func(step string, _ int) error {
		if step == rotation.SetPassword {
			return temporal.NewNonRetryableApplicationError("no right on "+evil+": "+advice, "AccessDenied", nil)
		}
		return nil
	}
	var during, after string
	r := execute(t, w, start, raw(`{"SecretId":"s"}`), nil, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterActivityWithOptions(func(context.Context, rotation.StepInput) error {
			during = details(t, env)
			return w.step(rotation.SetPassword)
		}, activity.RegisterOptions{Name: rotation.SetPassword, DisableAlreadyRegisteredCheck: true})
	})
	after = details(t, r.env)

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
		t.Errorf("the error is kept unescaped: %q", got)
	}
}

func TestTheLastRotationsAreATable(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.standby = "app|clone"
	r := execute(t, w, start, raw(`{"SecretId":"s"}`), nil, nil)
	w.fail = func(string, int) error { return temporal.NewNonRetryableApplicationError("no", "Locked", nil) }
	failed := execute(t, w, r.state.NextRotationDate, r.input, r.state, nil)
	text := details(t, failed.env)
	_, table, _ := strings.Cut(text, "| --- | --- | --- | --- |\n")
	rows := strings.Split(table, "\n")
	if len(rows) != 2 || !strings.Contains(rows[0], "| failed: `Locked` |  |") || !strings.Contains(rows[1], "| rotated | `app\\|clone` |") {
		t.Errorf("the UI shows\n%s\nwant two rows, the newest first", text)
	}
}

// The server will reject a password at its expiry. The workflow keeps the date from run to run
// until it promotes another password.
func TestTheExpiryOfAPasswordIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.expires = start.Add(90 * 24 * time.Hour)
	r := execute(t, w, start, raw(`{"SecretId":"s"}`), nil, nil)
	if !r.state.PasswordExpires.Equal(w.expires) {
		t.Errorf("PasswordExpires is %s: want %s", r.state.PasswordExpires, w.expires)
	}
	if text := details(t, r.env); !strings.Contains(text, "expires by the server's rules: 2026-05-01") {
		t.Errorf("the UI shows %q: want the date", text)
	}
	w.fail = func(string, int) error { return temporal.NewNonRetryableApplicationError("no", "Locked", nil) }
	failed := execute(t, w, r.state.NextRotationDate, r.input, r.state, nil)
	if !failed.state.PasswordExpires.Equal(r.state.PasswordExpires) {
		t.Errorf("after a failed rotation PasswordExpires is %s", failed.state.PasswordExpires)
	}
	w.fail, w.expires = nil, time.Time{}
	if again := execute(t, w, failed.state.NextRotationDate, failed.input, failed.state, nil); !again.state.PasswordExpires.IsZero() {
		t.Errorf("PasswordExpires is %s for a password that never expires", again.state.PasswordExpires)
	}
}
