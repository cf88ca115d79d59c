package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/internal/memo"
	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

const (
	// pagesAtOnce is how many pages of Secrets Manager, with a hundred secrets each, make one page
	// of ListSecrets.
	pagesAtOnce = 5
	// rotationsAtOnce is how many rotations are on one page of ListRotations.
	rotationsAtOnce = 1000
)

// ListSecrets lists the secrets that have a tag. It needs permission to list secrets, and reads no
// values.
func (a *Activities) ListSecrets(ctx context.Context, in rotation.ListSecretsInput) (result rotation.ListSecretsResult, err error) {
	result = rotation.ListSecretsResult{Secrets: []rotation.TaggedSecret{}, NextToken: in.NextToken}
	for range pagesAtOnce {
		page, next, err := a.Secrets.ListTagged(ctx, in.Tag, result.NextToken)
		if err != nil {
			return rotation.ListSecretsResult{}, err
		}
		for _, s := range page {
			result.Secrets = append(result.Secrets, rotation.TaggedSecret{Name: s.Name, ARN: s.ARN, Value: s.Value,
				Deleted: !s.DeletedDate.IsZero()})
		}
		if result.NextToken = next; next == "" {
			break
		}
	}
	return result, nil
}

// ListRotations lists the running rotations in the worker's namespace, according to visibility.
func (a *Activities) ListRotations(ctx context.Context, in rotation.ListRotationsInput) (result rotation.ListRotationsResult, err error) {
	query := "WorkflowType = '" + rotation.RotateUserWorkflow + "' AND ExecutionStatus = 'Running'"
	if in.Query != "" {
		query += " AND (" + in.Query + ")"
	}
	page, err := a.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: rotationsAtOnce, NextPageToken: in.NextPageToken, Query: query,
	})
	var invalid *serviceerror.InvalidArgument
	if errors.As(err, &invalid) && in.Query != "" {
		return result, refuse(rotation.ErrorInvalidInput, "Query %q: %s", plaintext.Cut(in.Query, 200), invalid.Message)
	}
	if err != nil {
		return result, fmt.Errorf("list the running rotations: %w", err)
	}
	result.SecretIDs, result.NextPageToken = []string{}, page.GetNextPageToken()
	owners := memo.Texts(cmp.Or(a.Memos, converter.GetDefaultDataConverter()), page.GetExecutions(), rotation.DeclaredByMemo)
	for i, execution := range page.GetExecutions() {
		if id, ours := strings.CutPrefix(execution.GetExecution().GetWorkflowId(), rotation.RotateUserWorkflowID("")); ours {
			host := ""
			if value, ok := execution.GetSearchAttributes().GetIndexedFields()[rotation.DatabaseHostKey.GetName()]; ok {
				_ = converter.GetDefaultDataConverter().FromPayload(value, &host) // an attribute of the same name may have another type
			}
			result.SecretIDs, result.Hosts = append(result.SecretIDs, id), append(result.Hosts, host)
			result.DeclaredBy = append(result.DeclaredBy, owners[i])
		}
	}
	return result, nil
}
