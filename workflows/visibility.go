package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// SearchAttributeTypes returns the types of the search attributes by their names, as the namespace must have them.
func SearchAttributeTypes() map[string]enums.IndexedValueType {
	types := map[string]enums.IndexedValueType{}
	for _, key := range []temporal.SearchAttributeKey{rotation.RotationStatusKey, rotation.LastRotatedDateKey, rotation.NextRotationDateKey,
		rotation.DatabaseHostKey, rotation.RotationErrorKey} {
		types[key.GetName()] = key.GetValueType()
	}
	return types
}

// visible is what visibility was told of this run.
type visible struct {
	// asked means that the worker was asked whether the cluster has the search attributes.
	asked bool
	// times counts how often there was something to tell.
	times  int
	status rotation.RotationStatus
}

// showWhenLong tells visibility of a rotation that takes long.
func (r *rotator) showWhenLong(ctx workflow.Context) {
	timer := workflow.NewTimerWithOptions(ctx, untilVisible,
		workflow.TimerOptions{Summary: "until visibility says " + string(rotation.Rotating)})
	if timer.Get(ctx, nil) == nil && r.current != nil {
		r.show(ctx)
	}
}

// show tells visibility and the Temporal UI the status of the rotation.
func (r *rotator) show(ctx workflow.Context) {
	r.describe(ctx)
	s := r.status()
	underWay := s.Current != nil
	if !underWay {
		r.showOpen(ctx)
	}
	if underWay && s.RotationStatus == r.visible.status || !r.haveAttributes(ctx) {
		return
	}
	r.visible.status = s.RotationStatus
	updates := []temporal.SearchAttributeUpdate{rotation.RotationStatusKey.ValueSet(string(s.RotationStatus))}
	if !underWay {
		updates = append(updates, searchAttributes(s)...)
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes were not set", "error", err)
	}
}

// searchAttributes returns the search attributes of a workflow that does not rotate at the moment, but for its status.
func searchAttributes(s rotation.Status) (updates []temporal.SearchAttributeUpdate) {
	if !s.LastRotatedDate.IsZero() {
		updates = append(updates, rotation.LastRotatedDateKey.ValueSet(s.LastRotatedDate))
	}
	if s.NextRotationDate.IsZero() {
		updates = append(updates, rotation.NextRotationDateKey.ValueUnset())
	} else {
		updates = append(updates, rotation.NextRotationDateKey.ValueSet(s.NextRotationDate))
	}
	if s.DatabaseHost != "" {
		updates = append(updates, rotation.DatabaseHostKey.ValueSet(keyword(s.DatabaseHost)))
	}
	failed := func(n int) bool { return len(s.Rotations) > n && s.Rotations[n].ErrorType != "" }
	switch {
	case failed(0):
		updates = append(updates, rotation.RotationErrorKey.ValueSet(keyword(s.Rotations[0].ErrorType)))
	case failed(1): // unsetting it after each rotation would cost every history some bytes
		updates = append(updates, rotation.RotationErrorKey.ValueUnset())
	}
	return updates
}

// haveAttributes reports whether the cluster has the search attributes. Setting one that it lacks would fail the workflow's
// task, again and again.
func (r *rotator) haveAttributes(ctx workflow.Context) bool {
	r.visible.times++
	has := func() bool { return r.w.SearchAttributes != nil && r.w.SearchAttributes() }
	switch {
	case !r.SearchAttributes && !r.visible.asked:
		r.visible.asked = true
		if err := workflow.SideEffect(ctx, func(workflow.Context) any { return has() }).Get(&r.SearchAttributes); err != nil {
			workflow.GetLogger(ctx).Warn("search attributes were not set", "error", err)
		}
	case r.SearchAttributes && (workflow.IsReplaying(ctx) || !has()):
		// They were removed after they had been set. Only then is anything recorded: GetVersion records its answer when it
		// is first called, and returns the default in a replay that finds no record.
		if workflow.GetVersion(ctx, fmt.Sprintf("search attributes are gone (%d)", r.visible.times), workflow.DefaultVersion, 1) == 1 {
			r.SearchAttributes, r.visible.asked = false, true
		}
	}
	return r.SearchAttributes
}

// keyword keeps the value of a search attribute within what every visibility store takes. The server terminates a workflow
// that sets one of more than 2,048 bytes.
func keyword(s string) string { return plaintext.Cut(plaintext.Line(s), 250) }

// showOpen tells visibility which accounts still log in although no secret is for them, if that has changed.
func (r *rotator) showOpen(ctx workflow.Context) {
	text := plaintext.Cut(strings.Join(r.openAccounts(), "\n"), 2000)
	if text == r.OpenAccounts {
		return
	}
	if workflow.GetVersion(ctx, "visibility is told of open accounts", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{rotation.OpenAccountsMemo: text}); err != nil {
		workflow.GetLogger(ctx).Warn("the memo was not set", "error", err)
		return
	}
	r.OpenAccounts = text
}
