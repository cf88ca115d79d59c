package main

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rotate-user/rotate-user/activities"
	endpoint "github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/devstack/temporal"
	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// fleetFlows are the workflows of a fleet, with a fake rotation that takes a second and always
// succeeds.
type fleetFlows struct{ workflows.Workflows }

func (fleetFlows) RotateUserWorkflow(ctx workflow.Context, in rotation.RotateUserInput) (rotation.Status, error) {
	s := rotation.Status{SecretID: in.SecretID, Input: in.Complete()}
	if err := workflow.SetQueryHandler(ctx, rotation.StatusQuery, func() (rotation.Status, error) { return s, nil }); err != nil {
		return s, err
	}
	host := rotation.DatabaseHostKey.ValueSet("db" + in.SecretID[len(in.SecretID)-1:] + ":3306")
	if err := workflow.UpsertTypedSearchAttributes(ctx, host); err != nil {
		return s, err
	}
	for requests := workflow.GetSignalChannel(ctx, rotation.RotateUpdate); requests.Receive(ctx, nil); {
		started := workflow.Now(ctx)
		if err := workflow.Sleep(ctx, time.Second); err != nil {
			return s, err
		}
		s.Rotations = []rotation.Rotation{{StartedAt: started, EndedAt: workflow.Now(ctx)}}
	}
	return s, nil
}

var fleetSize = flag.Int("fleet", 120, "rotate a fleet of so many secrets, with histories of the usual length if there are many")

// TestAFleetContinuesAsNew adopts secrets by their tags and rotates them all, on a server that
// suggests short histories, and replaces the worker meanwhile.
func TestAFleetContinuesAsNew(t *testing.T) {
	t.Parallel()
	secrets, suggested := *fleetSize, 100
	if secrets > 1000 {
		suggested = 4096
	}
	server, err := temporal.Start(t.Context(), temporal.Options{
		SuggestContinueAsNew: suggested, SearchAttributes: map[string]enums.IndexedValueType{"DatabaseHost": enums.INDEXED_VALUE_TYPE_KEYWORD},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	c := dial(t, server.Address())
	sm, err := endpoint.New(endpoint.Options{Region: "eu-west-1", AccountID: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(sm)
	t.Cleanup(web.Close)
	store := secretsmanager.New(secretsmanager.Options{
		Region: "eu-west-1", BaseEndpoint: &web.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for i := range secrets {
		if _, err := store.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: aws.String(fmt.Sprintf("team/database/user%05d", i)), Tags: []types.Tag{{Key: aws.String(rotation.FleetTag), Value: aws.String("30d")}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	startWorker := func() worker.Worker {
		w := worker.New(c, rotation.TaskQueue, worker.Options{})
		f := fleetFlows{}
		w.RegisterWorkflow(f.RotateUserWorkflow)
		w.RegisterWorkflow(f.SyncFleetWorkflow)
		w.RegisterWorkflow(f.RotateFleetWorkflow)
		w.RegisterActivity(&activities.Activities{Secrets: secret.NewStore(store), Temporal: c})
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := startWorker()
	defer func() { w.Stop() }()

	syncID := rotation.SyncFleetWorkflowID(rotation.TaskQueue, rotation.FleetTag)
	if _, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: syncID, TaskQueue: rotation.TaskQueue},
		rotation.SyncFleetWorkflow,
		rotation.SyncFleetInput{AtOnce: 200}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		answer, err := c.QueryWorkflow(t.Context(), syncID, "", rotation.StatusQuery)
		var s rotation.FleetStatus
		return err == nil && answer.Get(&s) == nil && !s.InProgress && s.Managed == secrets
	})
	waitFor(t, func() bool { // visibility is updated later
		n, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: "ExecutionStatus = 'Running'" +
			" AND DatabaseHost STARTS_WITH 'db'"})
		return err == nil && n.GetCount() == int64(secrets)
	})

	none, started := 0, time.Now()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: rotation.RotateFleetWorkflowID(rotation.TaskQueue),
		TaskQueue: rotation.TaskQueue},
		rotation.RotateFleetWorkflow, rotation.RotateFleetInput{Canary: &none, PerHost: max(4, secrets/500), Query: "DatabaseHost STARTS_WITH 'db'"})
	if err != nil {
		t.Fatal(err)
	}
	first := run.GetRunID()
	var s rotation.RotateFleetStatus
	waitFor(t, func() bool {
		answer, err := c.QueryWorkflow(t.Context(), run.GetID(), "", rotation.StatusQuery)
		return err == nil && answer.Get(&s) == nil && s.Rotated > 10
	})
	w.Stop() // another worker replays what this one has begun
	w = startWorker()
	s = rotation.RotateFleetStatus{}
	if err := run.Get(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Rotated != secrets || s.Total != secrets || s.Failed+s.Skipped+s.Pending != 0 {
		t.Errorf("%s", s)
	}
	t.Logf("rotated %d secrets in %s", secrets, time.Since(started).Round(time.Second))
	if run.GetRunID() == first {
		t.Error("the fleet did not continue as new")
	}
	for _, id := range []string{syncID, run.GetID()} {
		checkHistories(t, c, id, int64(2*suggested+500))
	}
}

// checkHistories fails if a run of a workflow has more events than most, or is larger than Temporal
// warns about.
func checkHistories(t *testing.T, c client.Client, id string, most int64) {
	t.Helper()
	const warned = 10 << 20 // bytes
	runs, longest, largest := 0, int64(0), int64(0)
	for token := []byte(nil); ; {
		page, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
			Query: "WorkflowId = '" + id + "' AND ExecutionStatus = 'ContinuedAsNew'", NextPageToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetExecutions() {
			runs, longest, largest = runs+1, max(longest, e.GetHistoryLength()), max(largest, e.GetHistorySizeBytes())
		}
		if token = page.GetNextPageToken(); len(token) == 0 {
			break
		}
	}
	t.Logf("%s continued as new %d times; its longest history has %d events, its largest %d bytes", id, runs, longest, largest)
	if runs == 0 || longest > most || largest > warned {
		t.Errorf("want runs of at most %d events and %d bytes", most, warned)
	}
}
