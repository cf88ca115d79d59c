package activities

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"
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

// stalled is a Temporal client whose workflows never answer a query.
type stalled struct{ client.Client }

func (stalled) QueryWorkflow(ctx context.Context, _, _, _ string, _ ...any) (converter.EncodedValue, error) {
	<-ctx.Done()
	return nil, serviceerror.NewDeadlineExceeded("context deadline exceeded")
}

// TestPlansThatAreNotReadyInTimeSayWhy checks the reason of plans that wait for something until their time is over.
func TestPlansThatAreNotReadyInTimeSayWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		time time.Duration // of the plan
		want error
	}{
		{lookTimeout - time.Second, errPlanTakesTooLong},
		{lookTimeout + time.Second, errWorkflowSilent},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), planMargin+test.time)
			defer cancel()
			a := &Activities{Temporal: stalled{}}
			for _, p := range planEach(ctx, []string{"one"}, a.planned) {
				if p.SecretID != "one" || p.ErrorType != rotation.ErrorUnreachable || p.Error != test.want.Error() {
					t.Errorf("%+v: want the error %q", p, test.want)
				}
			}
		})
	}
}

// TestPlansNeedTheInterceptor checks that nothing is read by a worker that would not redact.
func TestPlansNeedTheInterceptor(t *testing.T) {
	t.Parallel()
	if _, err := new(Activities).PlanRotations(t.Context(), rotation.PlanRotationsInput{SecretIDs: []string{"s"}}); !errors.Is(err, errNoInterceptor) {
		t.Errorf("got %v", err)
	}
}

// TestPlansOfAServerThatDoesNotAnswerDelayNoOthers checks that the plans which wait for a server end in time for the activity to
// report them and all others.
func TestPlansOfAServerThatDoesNotAnswerDelayNoOthers(t *testing.T) {
	t.Parallel()
	for _, frozen := range []int{1, 12, 50} {
		synctest.Test(t, func(t *testing.T) {
			const minute = time.Minute
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), minute)
			defer cancel()
			var ids []string
			for i := range 50 {
				ids = append(ids, strconv.Itoa(i))
			}
			plans := planEach(ctx, ids, func(ctx context.Context, id string) rotation.PlannedRotation {
				p := rotation.PlannedRotation{SecretID: id}
				if i, _ := strconv.Atoi(id); i < frozen {
					<-ctx.Done()
					p.Error = context.Cause(ctx).Error()
				} else {
					<-time.After(50 * time.Millisecond)
				}
				return p
			})
			if took := time.Since(began); took > minute-planMargin {
				t.Errorf("%d of 50 do not answer: the plans took %v", frozen, took)
			}
			for i, p := range plans {
				if p.SecretID != ids[i] || p.Failed() != (i < frozen) {
					t.Errorf("%d of 50 do not answer: plan %d is %+v", frozen, i, p)
				}
			}
		})
	}
}
