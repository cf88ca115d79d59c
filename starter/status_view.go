package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// statusView is the status of one rotation.
type statusView struct {
	status   rotation.Status
	retrying []retry
	ending   *ending // nil if the workflow is running
	now      time.Time

	taskQueue string // the workflow's, or "" if unknown
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
		next = "when the deletion of the secret releases it"
	case s.RotationStatus == rotation.Paused:
		next = "when you resume it, or rotate it by request"
	case s.RotationStatus == rotation.Stopped:
		next = "never: it has been stopped"
	}
	inUse := s.Username
	if inUse != "" && s.Current == nil { // something else may have moved the label since
		inUse += ", as of the last rotation"
		if s.Reset {
			inUse += " known to this run, which was reset"
		}
	}
	other := s.StandbyUsername
	if !s.PreviousUntil.IsZero() && v.ending == nil {
		other += ", AWSPREVIOUS until it is revoked at " + date(s.PreviousUntil, v.now)
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
		"Current user", inUse,
		"Standby user", other,
		"Last rotated", date(s.LastRotatedDate, v.now),
		"Next rotation", next,
		"Requested", requested(s, v.now),
		"Password expires", date(s.PasswordExpires, v.now),
	)
	if s.Current != nil {
		title := "Rotating since"
		if v.ending != nil {
			title = "Ended during a rotation, which had started"
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
	v.history(w)
}

// history prints the completed rotations.
func (v statusView) history(w io.Writer) {
	s := v.status
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
			changes += fmt.Sprintf(" (%d drift)", drifted)
		}
		rows = append(rows, []string{date(r.EndedAt, v.now), took(r.StartedAt, r.EndedAt), result, cmp.Or(r.Username, "-"),
			cmp.Or(r.VersionID, "-"), changes})
	}
	columns(w, rows)
}

// requested describes a requested rotation that has not been possible so far, or returns "".
func requested(s rotation.Status, now time.Time) string {
	switch {
	case s.Requested == nil:
		return ""
	case s.Requested.RevokePrevious:
		return "a rotation that revokes the previous account, retried at " + date(s.RequestDue, now)
	default:
		return "a rotation, retried at " + date(s.RequestDue, now)
	}
}
