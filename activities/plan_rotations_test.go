package activities

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/rotation"
)

// answering is a Temporal client whose workflows answer the query for their plan's input.
type answering struct {
	client.Client
	answers map[string]any // by secret: an input or an error
}

func (a answering) QueryWorkflow(_ context.Context, id, _, query string, _ ...any) (converter.EncodedValue, error) {
	secretID := strings.TrimPrefix(id, rotation.RotateUserWorkflowID(""))
	if query != rotation.PlanQuery {
		return nil, errors.New("unexpected query " + query)
	}
	if err, ok := a.answers[secretID].(error); ok {
		return nil, err
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(a.answers[secretID])
	if err != nil {
		return nil, err
	}
	return client.NewValue(payloads), nil
}

// TestPlansFailOneByOne checks that a rotation that cannot be planned does not fail the others, and
// that the reasons contain no password.
func TestPlansFailOneByOne(t *testing.T) {
	t.Parallel()
	const password = "Tr0ub4dor&3xyz"
	elsewhere := rotation.PlanInput{ActivityTaskQueue: "inside"}
	elsewhere.SecretID = "far"
	a := &Activities{Temporal: answering{answers: map[string]any{
		"old": errors.New("unknown queryType plan"),
		"far": elsewhere,
		"bad": errors.New("near IDENTIFIED BY '" + password + "'"),
	}}}
	value, err := intercepted(t, a, rotation.PlanRotations, rotation.PlanRotationsInput{SecretIDs: []string{"old", "far", "bad"}})
	if err != nil {
		t.Fatal(err)
	}
	var result rotation.PlanRotationsResult
	if err := value.Get(&result); err != nil {
		t.Fatal(err)
	}
	if len(result.Plans) != 3 {
		t.Fatalf("%+v: want three plans", result.Plans)
	}
	for i, want := range []struct{ secret, kind, text string }{
		{"old", rotation.ErrorUnknown, "unknown queryType plan"},
		{"far", rotation.ErrorInvalidInput, "--activity-task-queue inside"},
		{"bad", rotation.ErrorUnknown, "near [left out]"},
	} {
		p := result.Plans[i]
		if p.SecretID != want.secret || p.ErrorType != want.kind || !strings.Contains(p.Error, want.text) || strings.Contains(p.Error, password) {
			t.Errorf("%+v: want %+v", p, want)
		}
	}
}

// TestPlansNeedTheInterceptor checks that nothing is read by a worker that would not redact.
func TestPlansNeedTheInterceptor(t *testing.T) {
	t.Parallel()
	if _, err := new(Activities).PlanRotations(t.Context(), rotation.PlanRotationsInput{SecretIDs: []string{"s"}}); !errors.Is(err, errNoInterceptor) {
		t.Errorf("got %v", err)
	}
}
