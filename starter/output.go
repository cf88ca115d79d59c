package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// view is a result: a value for programs, a text for people.
type view interface {
	value() any
	text(io.Writer)
}

func (a *app) print(v view) error {
	var b strings.Builder
	if a.output == jsonFormat {
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(v.value()); err != nil {
			return err
		}
		_, err := io.WriteString(a.out, escapeJSON(b.String()))
		return err
	}
	if c, ok := v.(interface{ csv(io.Writer) error }); ok && a.output == csvFormat {
		if err := c.csv(&b); err != nil {
			return err
		}
	} else {
		v.text(&b)
	}
	_, err := io.WriteString(a.out, clean(b.String()))
	return err
}

// clean makes text of several lines safe for a terminal. A value that may itself hold line breaks goes through plaintext.Line
// before it becomes part of such a text.
func clean(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = plaintext.Line(line)
	}
	return strings.Join(lines, "\n")
}

// escapeJSON escapes what encoding/json leaves as it is and a terminal does not.
func escapeJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.String()
}

// started is the answer where nobody waits for the first rotation.
type started struct {
	SecretID   string `json:"SecretId"`
	WorkflowID string `json:"WorkflowId"`
}

func (v started) value() any { return v }
func (v started) text(w io.Writer) {
	fmt.Fprintf(w, "Started. Look with: starter status --secret-id %s\n", v.SecretID)
}

// deletionView is the answer when a secret is scheduled for deletion.
type deletionView struct {
	secretID, workflowID string
	state                rotation.DeletionState
	now                  time.Time
}

func (v deletionView) value() any {
	return struct {
		SecretID   string `json:"SecretId"`
		WorkflowID string `json:"WorkflowId"`
		rotation.DeletionState
	}{v.secretID, v.workflowID, v.state}
}

func (v deletionView) text(w io.Writer) {
	d := v.state.Deletion
	if d.Gone {
		fmt.Fprintf(w, "Secret %s is gone.\n\n", v.secretID)
	} else {
		fmt.Fprintf(w, "Secret %s is scheduled for deletion.\n\n", v.secretID)
	}
	for _, n := range d.Accounts {
		fmt.Fprintf(w, "  %s on %s is locked\n", plaintext.Line(n.String()), d.Server)
	}
	for _, n := range d.Others {
		fmt.Fprintf(w, "  %s is left alone: nothing shows that it goes with the secret\n", plaintext.Line(n.String()))
	}
	for _, line := range d.Elsewhere {
		fmt.Fprintf(w, "  %s left alone: on another server\n", plaintext.Line(line))
	}
	for _, by := range d.InUse {
		fmt.Fprintf(w, "  they were in use: %s\n", plaintext.Line(by))
	}
	if d.InUseUnknown {
		fmt.Fprint(w, "  who is logged in as them is unknown: the administrator may not look (GRANT PROCESS)\n")
	}
	if definers := d.Definers; len(definers) > 0 {
		if d.Force {
			fmt.Fprint(w, "\nThese break when their definer is dropped:\n")
		} else {
			fmt.Fprint(w, "\nTheir definer stays locked, rather than being dropped, until they have another one:\n")
		}
		for _, d := range definers {
			fmt.Fprintf(w, "  %s\n", plaintext.Line(d))
		}
	}
	fmt.Fprint(w, "\nNo client of the secret can log in any more. Sessions that are open go on.\n")
	if d.Gone {
		fmt.Fprintf(w, "The accounts are dropped at %s. To keep them, cancel workflow %s before, and ALTER USER … ACCOUNT UNLOCK.\n", date(v.state.DeletionDate, v.now), v.workflowID)
		return
	}
	fmt.Fprintf(w, "The accounts are dropped when the recovery window has passed, %s.\nTo keep the secret, run: aws secretsmanager restore-secret --secret-id %s\n",
		date(v.state.DeletionDate, v.now), v.secretID)
}

// credentialView is a credential that has logged in.
type credentialView struct {
	title    string
	secretID string
	result   rotation.ValidateSecretResult
}

func (v credentialView) value() any { return v.result }
func (v credentialView) text(w io.Writer) {
	connection := "not encrypted"
	if v.result.TLS {
		connection = "TLS, server verified"
	}
	fmt.Fprintf(w, "%s.\n\n", v.title)
	pairs(w,
		"Secret", v.secretID,
		"Version", v.result.VersionID,
		"Account", v.result.Account,
		"Server", joined(v.result.Server, v.result.ServerVersion),
		"Connection", connection,
	)
}

// recoveryView is a credential that logs in again, or still.
type recoveryView struct {
	credentialView

	recovered rotation.RecoverSecretResult
}

func (v recoveryView) value() any { return v.recovered }
func (v recoveryView) text(w io.Writer) {
	refused := v.recovered.RefusedVersionID
	v.title = "Nothing to recover: AWSCURRENT logs in"
	if refused != "" {
		v.title = "Recovered: AWSCURRENT logs in again; it was version " + refused + ", which the server refuses"
	}
	if unlocked := v.recovered.Unlocked; len(unlocked) > 0 {
		v.title = "Recovered: unlocked " + plaintext.Line(strings.Join(unlocked, ", ")) + ", which a deletion had left locked"
	}
	v.credentialView.text(w)
}

// planView is what the next rotation would do.
type planView struct {
	secretID string
	plan     rotation.PlanRotationResult
}

func (v planView) value() any { return v.plan }
func (v planView) text(w io.Writer) {
	p := v.plan
	standby := p.Standby
	if p.Created {
		standby += ", which would be made"
	}
	pairs(w, "Secret", v.secretID, "Server", p.Server, "In use", p.Source, "Next", standby)
	// A worker of an earlier release counts nothing, and answers everything.
	changed, drifted := max(p.Changed, len(p.Changes)), max(p.Drifted, len(p.Drift))
	section(w, "Would change"+some(len(p.Changes), changed), p.Changes)
	section(w, "Statements"+some(len(p.Changes), changed), p.Statements)
	section(w, "Changed on the standby alone"+some(len(p.Drift), drifted), p.Drift)
	section(w, "Logged in as the standby", p.InUse)
	section(w, "Warnings", p.Warnings)
	switch {
	case p.Created || changed > 0:
		fmt.Fprintf(w, "\n%s, and a new password.\n", plaintext.Count(changed, "change"))
		if len(p.Changes) < changed {
			fmt.Fprintf(w, "To see them all: starter plan --secret-id %s --all\n", v.secretID)
		}
	default:
		fmt.Fprintln(w, "\nThe accounts are equal: nothing but the password would change.")
	}
}

// some says that a list is only the beginning.
func some(shown, all int) string {
	if shown == all {
		return ""
	}
	return fmt.Sprintf(", the first %d of %d", shown, all)
}

// statusView is how the rotation of one secret stands.
type statusView struct {
	status   rotation.Status
	retrying []retry
	ending   *ending // nil for a workflow that runs
	now      time.Time

	taskQueue string // of the workflow, empty where it is not known
}

func (v statusView) value() any {
	value := struct {
		rotation.Status
		Retrying []retry   `json:"Retrying,omitempty"`
		EndedAt  time.Time `json:"EndedAt,omitzero"`
		Ended    string    `json:"Ended,omitempty"`
	}{Status: v.status, Retrying: v.retrying}
	if v.ending != nil {
		value.EndedAt, value.Ended = v.ending.at, joined(v.ending.verb, v.ending.reason)
	}
	return value
}

func (v statusView) text(w io.Writer) {
	s := v.status
	next := date(s.NextRotationDate, v.now)
	state := string(s.RotationStatus)
	switch {
	case v.ending != nil:
		state, next = "ended: it "+v.ending.text(v.now), "never"
	case s.Held:
		next = "when the deletion of the secret lets go of it"
	case s.RotationStatus == rotation.Paused:
		next = "when it is resumed, or by request"
	case s.RotationStatus == rotation.Stopped:
		next = "never: it has been stopped"
	}
	inUse := s.Username
	if inUse != "" && s.Current == nil { // the label may have been moved by hand since
		inUse += ", as of the last rotation"
		if s.Reset {
			inUse += " that this run knows of: it was reset"
		}
	}
	other := s.StandbyUsername
	if !s.PreviousUntil.IsZero() && v.ending == nil {
		other += ", AWSPREVIOUS, until it is revoked at " + date(s.PreviousUntil, v.now)
	}
	schedule := s.RotationRules.String()
	if s.Input != nil {
		schedule = s.Input.ScheduleText()
	}
	pairs(w,
		"Secret", s.SecretID,
		"Master secret", s.MasterSecretID,
		"Status", state,
		"Rules", schedule,
		"Database", s.DatabaseHost,
		"User in use", inUse,
		"Other user", other,
		"Last rotated", date(s.LastRotatedDate, v.now),
		"Next rotation", next,
		"Requested", requested(s, v.now),
		"Password expires", date(s.PasswordExpires, v.now),
	)
	if s.Current != nil {
		title := "Rotating since"
		if v.ending != nil {
			title = "Ended while it was rotating, since"
		}
		fmt.Fprintf(w, "\n%s %s:\n", title, date(s.Current.StartedAt, v.now))
		for _, step := range s.Current.Steps {
			fmt.Fprintln(w, stepLine(step))
		}
	}
	for _, r := range v.retrying {
		fmt.Fprintln(w, "\n"+r.text(v.now))
	}
	section(w, "Warnings", s.Warnings)
	if len(s.Rotations) == 0 {
		return
	}
	if last := s.Rotations[0]; last.Error != "" {
		fmt.Fprintf(w, "\nLast attempt failed (%s):\n  %s\n", plaintext.Line(last.ErrorType), plaintext.Line(last.Error))
	}
	fmt.Fprintln(w)
	rows := [][]string{{"ENDED", "TOOK", "RESULT", "USER", "VERSION", "CHANGES"}}
	for _, r := range s.Rotations {
		result := "rotated"
		switch {
		case r.Error != "":
			result = "failed: " + r.ErrorType
		case r.Revoked:
			result = "rotated, previous revoked"
		}
		changes := fmt.Sprint(max(r.Changed, len(r.Changes)))
		if r.Created {
			changes = "new account"
		}
		if drifted := max(r.Drifted, len(r.Drift)); drifted > 0 {
			changes += fmt.Sprintf(", %d of them drift", drifted)
		}
		rows = append(rows, []string{date(r.EndedAt, v.now), took(r.StartedAt, r.EndedAt), result, cmp.Or(r.Username, "-"), cmp.Or(r.VersionID, "-"), changes})
	}
	columns(w, rows)
}

// requested is a rotation that was asked for and could not be made yet, empty if there is none.
func requested(s rotation.Status, now time.Time) string {
	switch {
	case s.Requested == nil:
		return ""
	case s.Requested.RevokePrevious:
		return "a rotation that revokes the previous account, tried again at " + date(s.RequestDue, now)
	default:
		return "a rotation, tried again at " + date(s.RequestDue, now)
	}
}

// rotationView is a rotation that has succeeded; next is the status after it, empty where it is unknown.
type rotationView struct {
	secretID string
	rotation rotation.Rotation
	next     rotation.Status
	now      time.Time
}

func (v rotationView) value() any { return v.rotation }
func (v rotationView) text(w io.Writer) {
	r := v.rotation
	previous := r.PreviousUsername + " still logs in, as AWSPREVIOUS"
	if r.Revoked {
		previous = r.PreviousUsername + " is locked: AWSPREVIOUS no longer logs in"
	}
	fmt.Fprintf(w, "\nRotated in %s.\n\n", took(r.StartedAt, r.EndedAt))
	rows := []string{"Secret", v.secretID, "User", r.Username, "Version", r.VersionID}
	if r.PreviousUsername != "" {
		rows = append(rows, "Previous", previous)
	}
	if r.SessionsEnded > 0 {
		rows = append(rows, "Sessions", fmt.Sprintf("%d ended, none left", r.SessionsEnded))
	}
	if !v.next.NextRotationDate.IsZero() {
		rows = append(rows, "Next", date(v.next.NextRotationDate, v.now))
	}
	pairs(w, rows...)
	if r.Revoked {
		fmt.Fprintln(w, "\nClients that cache the secret are refused until they read it again; AWS's caching clients do so within 60 minutes.")
	}
	section(w, "Changed"+some(len(r.Changes), max(r.Changed, len(r.Changes))), r.Changes)
	section(w, "Of these, due to changes on "+plaintext.Line(r.Username)+" alone"+some(len(r.Drift), max(r.Drifted, len(r.Drift))), r.Drift)
	section(w, "Was still logged in as "+plaintext.Line(r.Username), r.InUse)
	section(w, "Warnings", r.Warnings)
}

// startedView is the first rotation of a secret. Programs get the status, as from start in every other case.
type startedView struct{ rotationView }

func (v startedView) value() any { return v.next }

// progress prints the steps of a rotation, each when it has ended. On a terminal the one under way is shown as well.
type progress struct {
	out     io.Writer // nil shows nothing
	live    bool
	printed int
	drawn   bool // the last line is that of a step under way
}

func (p *progress) show(steps []rotation.Step) {
	if p.out == nil || len(steps) < p.printed {
		return
	}
	for _, step := range steps[p.printed:] {
		if step.EndedAt.IsZero() {
			if p.live && !p.drawn {
				fmt.Fprint(p.out, stepLine(step))
				p.drawn = true
			}
			return
		}
		p.erase()
		fmt.Fprintln(p.out, stepLine(step))
		p.printed++
	}
}

// fail shows the steps of a rotation that failed in the last of them.
func (p *progress) fail(steps []rotation.Step) {
	p.show(steps)
	p.erase()
	if last := len(steps) - 1; p.out != nil && last >= 0 && steps[last].EndedAt.IsZero() {
		fmt.Fprintf(p.out, "  ✗ %s\n", steps[last].Name)
	}
}

// pause leaves the step under way as it is, for a message to follow.
func (p *progress) pause() {
	if p.drawn {
		fmt.Fprintln(p.out)
		p.drawn = false
	}
}

func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\033[K")
		p.drawn = false
	}
}

func stepLine(s rotation.Step) string {
	if s.EndedAt.IsZero() {
		return fmt.Sprintf("  … %s", plaintext.Line(s.Name))
	}
	return fmt.Sprintf("  ✓ %-15s  %6s  %s", s.Name, took(s.StartedAt, s.EndedAt), plaintext.Line(s.Text))
}

// pairs prints names and values in two columns; an empty value is left out.
func pairs(w io.Writer, namesAndValues ...string) {
	var rows [][]string
	for pair := range slices.Chunk(namesAndValues, 2) {
		if pair[1] != "" {
			rows = append(rows, pair)
		}
	}
	columns(w, rows)
}

func section(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, line := range lines {
		fmt.Fprintln(w, "  "+plaintext.Line(line))
	}
}

// columns prints aligned columns, without blanks at the end of a line.
func columns(w io.Writer, rows [][]string) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = plaintext.Line(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush() // a strings.Builder takes everything
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

// date is a moment, and how far it is from now.
func date(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	text := t.UTC().Format("2006-01-02 15:04 UTC")
	switch d := t.Sub(now); {
	case d >= time.Second:
		return text + " (in " + roughly(d) + ")"
	case d <= -time.Second:
		return text + " (" + roughly(-d) + " ago)"
	default:
		return text + " (now)"
	}
}

// roughly is a duration in its largest unit.
func roughly(d time.Duration) string {
	units := []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}
	for _, u := range units {
		n := int((d + u.length/2) / u.length)
		if n >= 1 && d >= u.length {
			return plaintext.Count(n, u.name)
		}
	}
	return "a moment"
}

// took is how long something lasted.
func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	switch d := to.Sub(from); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
