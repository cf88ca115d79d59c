package main

import (
	"cmp"
	"context"

	"github.com/rotate-user/rotate-user/rotation"
)

// withKnownState adds what the workflow of the secret knows, if there is one.
func (a *app) withKnownState(ctx context.Context, input rotation.RotateUserInput) (rotation.RotateUserInput, *rotation.State, error) {
	status, err := a.lastStatus(ctx, input.SecretID)
	if err != nil || status.SecretID == "" {
		return input, nil, err
	}
	input.MasterSecretID = cmp.Or(input.MasterSecretID, status.MasterSecretID)
	if status.Input != nil {
		input.MasterServer = cmp.Or(input.MasterServer, status.Input.MasterServer)
	}
	if status.Input != nil && input.TestEndpoints == nil {
		input.TestEndpoints = status.Input.TestEndpoints
	}
	if status.Input != nil && input.ProxySecretIDs == nil {
		input.ProxySecretIDs = status.Input.ProxySecretIDs
	}
	known := &rotation.State{DatabaseHost: status.DatabaseHost, Deleted: status.Deleted}
	if _, ended := a.hasEnded(ctx, input.SecretID); !ended { // a workflow started next would not know the rights after the last rotation
		known.Digest, known.Rights, known.Stored, known.Held = status.Digest, status.Rights, status.Stored, status.Held
	}
	if status.Username != "" {
		known.Usernames = []string{status.Username, status.StandbyUsername}
	} else if !known.Held {
		return input, nil, nil
	}
	return input, known, nil
}
