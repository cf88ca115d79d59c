package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/rotate-user/rotate-user/rotation"
)

// planFleet runs PlanFleetWorkflow over n rotations and returns its result and the number of batches.
func planFleet(t *testing.T, n int, plan func(id string) (rotation.PlannedRotation, error)) (result rotation.PlanFleetResult, batches int,
	err error) {
	t.Helper()
	env := environment()
	var query string
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.ListRotationsInput) (page rotation.ListRotationsResult, _ error) {
		query = in.Query
		first, last := 0, n/2
		if len(in.NextPageToken) > 0 {
			first, last = n/2, n
		} else {
			page.NextPageToken = []byte{1}
		}
		for i := first; i < last; i++ {
			page.SecretIDs = append(page.SecretIDs, fmt.Sprintf("s%05d", i))
		}
		return page, nil
	}, activity.RegisterOptions{Name: rotation.ListRotations})
	var mu sync.Mutex
	env.RegisterActivityWithOptions(func(_ context.Context, in rotation.PlanRotationsInput) (result rotation.PlanRotationsResult, _ error) {
		mu.Lock()
		defer mu.Unlock()
		batches++
		for _, id := range in.SecretIDs {
			p, err := plan(id)
			if err != nil {
				return result, err
			}
			if p.SecretID != "" {
				result.Plans = append(result.Plans, p)
			}
		}
		return result, nil
	}, activity.RegisterOptions{Name: rotation.PlanRotations})
	env.ExecuteWorkflow(rotation.PlanFleetWorkflow, rotation.PlanFleetInput{Query: "q"})
	if err := env.GetWorkflowError(); err != nil {
		return result, batches, err
	}
	if query != "q" {
		t.Errorf("the query was %q", query)
	}
	return result, batches, env.GetWorkflowResult(&result)
}

func TestAFleetsPlan(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	result, batches, err := planFleet(t, 1020, func(id string) (p rotation.PlannedRotation, _ error) {
		switch seen[id]++; {
		case strings.HasSuffix(id, "7"):
			p = rotation.PlannedRotation{SecretID: id, Changed: 2, Changes: []string{"a", "b"}}
		case id == "s00005":
			p = rotation.PlannedRotation{SecretID: id, ErrorType: rotation.ErrorLocked, Error: "locked"}
		}
		return p, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Total != 1020 || result.Changing != 102 || result.Failing != 1 || len(result.Plans) != 103 || batches != 21 || len(seen) != 1020 {
		t.Errorf("%d rotations, %d would change, %d fail; %d listed; %d batches, %d secrets planned", result.Total, result.Changing,
			result.Failing, len(result.Plans), batches, len(seen))
	}
	if !slices.ContainsFunc(result.Plans, func(p rotation.PlannedRotation) bool { return p.SecretID == "s00005" && p.Failed() }) {
		t.Error("the refused rotation is not listed")
	}
}

// TestAFleetsPlanIsBounded checks that the result fits into one payload, however much would change.
func TestAFleetsPlanIsBounded(t *testing.T) {
	t.Parallel()
	result, _, err := planFleet(t, 3000, func(id string) (rotation.PlannedRotation, error) {
		return rotation.PlannedRotation{SecretID: id, ErrorType: rotation.ErrorUnknown, Error: strings.Repeat("x", 500)}, nil
	})
	if err != nil || result.Failing != 3000 || len(result.Plans) != 1000 {
		t.Errorf("%d would fail, %d are listed: %v", result.Failing, len(result.Plans), err)
	}
}

func TestAFleetsPlanFailsIfABatchDoes(t *testing.T) {
	t.Parallel()
	_, _, err := planFleet(t, 200, func(id string) (p rotation.PlannedRotation, _ error) {
		if id == "s00120" {
			return p, temporal.NewNonRetryableApplicationError("no interceptor", rotation.ErrorUnknown, nil)
		}
		return p, nil
	})
	if err == nil || !strings.Contains(err.Error(), "no interceptor") {
		t.Errorf("ended with %v", err)
	}
}

// TestARotationTellsWhatItsPlanNeeds checks that the query answers what the next rotation would be
// given, and that it can be asked while the schedule's time zone makes dates that are recorded.
func TestARotationTellsWhatItsPlanNeeds(t *testing.T) {
	t.Parallel()
	env := environment()
	var in rotation.PlanInput
	next := start.Add(240 * time.Hour)
	env.RegisterDelayedCallback(func() {
		defer env.CancelWorkflow()
		answer, err := env.QueryWorkflow(rotation.PlanQuery)
		if err != nil {
			t.Error(err)
			return
		}
		if err := answer.Get(&in); err != nil {
			t.Error(err)
		}
	}, time.Hour)
	env.ExecuteWorkflow(rotation.RotateUserWorkflow,
		raw(`{"SecretId":"s","MasterSecretId":"m","TimeZone":"Europe/Berlin","ActivityTaskQueue":"inside","TestEndpoints":["r:3306"]}`),
		&rotation.State{Usernames: []string{"a", "b"}, Digest: "d", DatabaseHost: "h:3306", NextRotationDate: next,
			WindowCloses: next.Add(time.Hour)})
	if in.SecretID != "s" || in.MasterSecretID != "m" || !slices.Equal(in.Pair, []string{"a", "b"}) || in.Digest != "d" || in.Server != "h:3306" ||
		!in.Force || in.RevokePrevious || len(in.TestEndpoints) != 1 || in.ActivityTaskQueue != "inside" {
		t.Errorf("the answer was %+v", in)
	}
}
