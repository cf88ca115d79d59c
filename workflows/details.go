package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// describe sets what the Temporal UI shows of the run, in Markdown. Names and the texts of servers are shown as code: they could
// contain links, and a statement must be copied exactly.
func (r *rotator) describe(ctx workflow.Context) {
	s := r.status()
	head := fmt.Sprintf("**%s**: secret %s", s.RotationStatus, plaintext.Code(s.SecretID))
	if s.DatabaseHost != "" {
		head += " on " + plaintext.Code(s.DatabaseHost)
	}
	lines := []string{head + ", " + r.input.ScheduleText(), ""}
	say := func(format string, args ...any) { lines = append(lines, "- "+fmt.Sprintf(format, args...)) }
	if s.Username != "" {
		say("current user: %s, standby: %s", plaintext.Code(s.Username), plaintext.Code(s.StandbyUsername))
	}
	if !s.PreviousUntil.IsZero() {
		say("**AWSPREVIOUS**, user %s, logs in until it is revoked at %s", plaintext.Code(s.StandbyUsername), clock(s.PreviousUntil))
	}
	if s.Reset {
		say("this run was reset: it may know of fewer rotations than the secret, until its next rotation")
	}
	if !s.LastRotatedDate.IsZero() {
		say("last rotated: %s", clock(s.LastRotatedDate))
	}
	if !s.PasswordExpires.IsZero() {
		say("the current password expires by the server's rules: %s", clock(s.PasswordExpires))
	}
	switch {
	case s.Current != nil:
		for _, step := range s.Current.Steps {
			say("%s", describeStep(step))
		}
	case s.Held:
		say("next: when the deletion of the secret releases it; if no deletion runs, restore the secret and run `starter recover`")
	case s.RotationStatus == rotation.Paused:
		say("next: when it is resumed, or on request")
	case !s.NextRotationDate.IsZero():
		say("next: %s", clock(s.NextRotationDate))
	}
	if len(s.Rotations) > 0 && s.Rotations[0].Error != "" {
		say("**failed** at %s: %s", clock(s.Rotations[0].EndedAt), plaintext.Code(s.Rotations[0].Error))
	}
	for _, text := range r.openAccounts() {
		say("**still open**: %s", plaintext.Code(text))
	}
	if s.Stopping {
		say("stops after this rotation, unless it is resumed")
	}
	if s.Requested != nil {
		say("requested and retried at %s: a rotation%s", clock(s.RequestDue),
			map[bool]string{true: " that revokes the previous account"}[s.Requested.RevokePrevious])
	}
	for _, q := range s.Requests {
		times := ""
		if q.Count > 1 {
			times = fmt.Sprintf(", %d times", q.Count)
		}
		say("message %s **%s**%s, at %s: %s", q.Message, q.Outcome, times, clock(q.At), plaintext.Code(q.Reason))
	}
	setDetails(ctx, strings.Join(append(lines, lastRotations(s.Rotations)...), "\n"))
}

// lastRotations is a table of the rotations that the status keeps, the newest first.
func lastRotations(rotations []rotation.Rotation) []string {
	if len(rotations) == 0 {
		return nil
	}
	lines := []string{"", "| ended | result | current user | version |", "| --- | --- | --- | --- |"}
	for _, r := range rotations {
		result, user := "rotated", cell(r.Username)
		switch {
		case r.Revoked:
			result = "rotated, previous account revoked"
		case r.Error != "":
			result, user = "failed: "+cell(r.ErrorType), ""
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |", clock(r.EndedAt), result, user, cell(r.VersionID)))
	}
	return lines
}

// cell returns a name as a cell of a table.
func cell(name string) string {
	if name == "" {
		return ""
	}
	return strings.ReplaceAll(plaintext.Code(name), "|", `\|`)
}

func describeStep(step rotation.Step) string {
	switch {
	case step.Error != "":
		next := "is being retried"
		if !step.NextAttempt.IsZero() {
			next = "is retried at " + step.NextAttempt.UTC().Format("15:04:05 UTC")
		}
		return fmt.Sprintf("**%s** failed %s and %s: %s", step.Name, plaintext.Count(step.Attempts, "time"), next, plaintext.Code(step.Error))
	case step.EndedAt.IsZero():
		return fmt.Sprintf("**%s** is running", step.Name)
	default:
		return fmt.Sprintf("%s: %s", step.Name, plaintext.Code(step.Text))
	}
}

// setDetails sets what the Temporal UI shows of a run. Temporal documents a limit of 20,000
// bytes, which its server does not enforce and Temporal Cloud does.
func setDetails(ctx workflow.Context, text string) {
	workflow.SetCurrentDetails(ctx, plaintext.Cut(text, 19_000))
}

// short keeps a summary within the 400 bytes that Temporal documents.
func short(s string) string { return plaintext.Cut(s, 390) }

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// link turns a text that begins with the name of a secret into Markdown with a link to its rotation. The Temporal UI puts the
// namespace of its page in the place of {namespace}.
func link(text string) string {
	secret, rest, found := strings.Cut(text, ": ") // an ARN has no space
	line := plaintext.Link(secret, "/namespaces/{namespace}/workflows/", rotation.RotateUserWorkflowID(secret))
	if found {
		line += ": " + plaintext.Code(rest)
	}
	return line
}
