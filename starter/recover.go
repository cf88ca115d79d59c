package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

func (a *app) recoverCommand() *cobra.Command {
	var input rotation.RotateUserInput
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Move AWSCURRENT to a version that logs in, after a restore or an edit",
		Long: `If AWSCURRENT does not log in, because the database was restored from a backup or the secret was edited, move the label to the newest
version that does. The worker tries only the newest 20 versions, and of those only versions that differ from AWSCURRENT in nothing
but user name and password. It changes no account.

If a deletion of the secret was cancelled or terminated and the secret was restored, this command also unlocks the accounts that the
deletion had locked, and resumes the rotation.`,
		Example: `  starter recover --secret-id MyTestDatabaseUserSecret`,
	}
	secretFlag(cmd, &input.SecretID)
	pairFlags(cmd, &input)
	activityQueueFlag(cmd, &input.ActivityTaskQueue)
	return a.action(cmd, func() error { return input.Validate() }, func(ctx context.Context) error {
		deletes := a.wakeDeletion(ctx, input.SecretID)
		input, known, err := a.withKnownState(ctx, input)
		if err != nil {
			return err
		}
		if known != nil && deletes { // the deletion releases the rotation
			known.Held = false
		}
		var result rotation.RecoverSecretResult
		id := "recover-secret/" + input.SecretID + "/" + uuid.NewString()
		args := []any{input, known}
		if earlier, _ := a.unfinishedDeletion(ctx, input.SecretID); earlier != nil {
			args = append(args, earlier)
		}
		if err := a.execute(ctx, id, "find a version of secret "+input.SecretID+" that logs in, and restore it",
			rotation.RecoverSecretWorkflow, &result, args...); err != nil {
			return err
		}
		return a.print(recoveryView{credentialView{secretID: input.SecretID, result: result.ValidateSecretResult}, result})
	})
}

// recoveryView is the result of recover.
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
	if name := v.recovered.ProxySecret; name != "" {
		fmt.Fprintf(w, "\nThe proxy secret %s has this password now.\n", plaintext.Line(name))
	}
	section(w, "Warnings", v.recovered.Warnings)
}
