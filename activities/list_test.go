package activities

import (
	"context"
	"slices"
	"testing"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/internal/memo"
	"github.com/rotate-user/rotate-user/rotation"
)

// listing is a Temporal client that lists workflows.
type listing struct {
	client.Client
	executions []*workflow.WorkflowExecutionInfo
}

func (l listing) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: l.executions}, nil
}

// TestOwnersBehindACodec checks that a worker with a codec server knows what declares each rotation, so that a tag goes on managing
// its own.
func TestOwnersBehindACodec(t *testing.T) {
	t.Parallel()
	zlib := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	owner, err := zlib.ToPayload(rotation.SyncFleetWorkflowID(rotation.TaskQueue, rotation.FleetTag))
	if err != nil {
		t.Fatal(err)
	}
	server := listing{executions: []*workflow.WorkflowExecutionInfo{
		{Execution: &common.WorkflowExecution{WorkflowId: "rotate-user/shop/none"}},
		{Execution: &common.WorkflowExecution{WorkflowId: "another/workflow"}},
		{
			Execution: &common.WorkflowExecution{WorkflowId: "rotate-user/shop/tagged"},
			Memo:      &common.Memo{Fields: map[string]*common.Payload{rotation.DeclaredByMemo: owner}},
		},
	}}
	for _, test := range []struct {
		name  string
		memos converter.DataConverter
		want  []string
	}{
		{"with the codec", zlib, []string{"", rotation.SyncFleetWorkflowID(rotation.TaskQueue, rotation.FleetTag)}},
		{"without", nil, []string{"", memo.Unreadable}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := &Activities{Temporal: server, Memos: test.memos}
			page, err := a.ListRotations(t.Context(), rotation.ListRotationsInput{})
			if err != nil || !slices.Equal(page.SecretIDs, []string{"shop/none", "shop/tagged"}) || !slices.Equal(page.DeclaredBy, test.want) {
				t.Errorf("%v, %+v: want %q", err, page, test.want)
			}
		})
	}
}
