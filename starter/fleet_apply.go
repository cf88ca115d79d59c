package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/rotate-user/rotate-user/internal/plaintext"
	"github.com/rotate-user/rotate-user/rotation"
)

// stopPatience is how long a restart waits for the rotation to stop.
const stopPatience = 2 * time.Minute

func (a *app) fleetApplyCommand() *cobra.Command {
	var file string
	var dryRun, prune bool
	var over rotation.Duration
	var declared fleetFile
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the rotations match a file",
		Long: `Make the rotations match a file. Its Secrets are inputs of rotations, and its Defaults apply to all of them. The command shows
its plan first. Applying a file a second time changes nothing.

A schedule can be changed while the rotation runs. All other options are fixed at the start. To change one of them, the command stops
the rotation, after the current one if any, and starts it again. The rotation then waits for its schedule.

A file changes and stops only rotations that it declared, or that nothing declares. Rotations that a tag or another file declares are
skipped. Give each file its own Name if you have several.

With --dry-run, the exit code is 3 if something would change.`,
		Example: `  starter fleet apply -f fleet.yaml --dry-run
  starter fleet apply -f fleet.yaml --over 7d`,
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "the fleet's `file`, or - for standard input (required)")
	flags.BoolVar(&dryRun, "dry-run", false, "show the plan and change nothing")
	flags.BoolVar(&prune, "prune", false, "stop the rotations that this file declared before and no longer contains")
	flags.TextVar(&over, "over", rotation.Duration(0), "`duration` over which the first rotations are spread (default: rotate at once)")
	flags.Lookup("over").DefValue = ""
	required(cmd, "file")
	if err := cmd.MarkFlagFilename("file", "yaml", "yml", "json"); err != nil {
		panic(err) // the flag does not exist
	}
	check := func() (err error) {
		data, err := readInput(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		if declared, err = readFleet(file, data); err != nil {
			return err
		}
		for i := range declared.secrets {
			in := &declared.secrets[i]
			if over > 0 && in.RotateImmediately == nil {
				in.FirstRotationWithin = over
			}
			if err := in.Validate(); err != nil {
				return fmt.Errorf("--over: %w", err)
			}
		}
		return nil
	}
	return a.action(cmd, check, func(ctx context.Context) error { return a.applyFile(ctx, declared, prune, dryRun) })
}

// applyFile shows the plan of a file and, unless it is a dry run, carries it out.
func (a *app) applyFile(ctx context.Context, declared fleetFile, prune, dryRun bool) error {
	plan, err := a.planFleet(ctx, rotation.FileOwner(declared.name), declared.secrets, prune)
	if err != nil {
		return err
	}
	if err := a.print(fleetPlanView{plan}); err != nil {
		return err
	}
	if plan.changes() > 0 {
		if dryRun {
			return errWouldChange
		}
		if err := a.apply(ctx, plan); err != nil {
			return err
		}
	}
	if n := len(plan.Skip); n > 0 {
		return advise("Remove them from the file or from the other declaration, or stop them and apply the file again",
			"skipped %s of the file, because a tag or another file declares them", plaintext.Count(n, "rotation"))
	}
	return nil
}

func readInput(stdin io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// apply carries out a plan, a few changes at a time, and continues after one that fails.
func (a *app) apply(ctx context.Context, plan fleetPlan) error {
	var g errgroup.Group
	g.SetLimit(maxParallelQueries)
	var mu sync.Mutex
	var failed []error
	each := func(all []planned, do func(context.Context, planned) error) {
		for _, p := range all {
			g.Go(func() error {
				if err := do(ctx, p); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, fmt.Errorf("%s: %s", p.SecretID, a.explain(ctx, err)))
				}
				return ctx.Err()
			})
		}
	}
	each(plan.Stop, func(ctx context.Context, p planned) error {
		return a.send(ctx, p.SecretID, rotation.StopUpdate, rotation.Sender{SentAt: a.now()})
	})
	each(plan.Change, func(ctx context.Context, p planned) error {
		request := rotation.RescheduleTo(p.input)
		if p.adopt {
			request.DeclaredBy = plan.owner
		}
		return a.send(ctx, p.SecretID, rotation.RescheduleUpdate, request)
	})
	each(plan.Restart, func(ctx context.Context, p planned) error { return a.restartRotation(ctx, p, plan.owner) })
	each(plan.Start, func(ctx context.Context, p planned) error { return a.startRotation(ctx, p, plan.owner) })
	if err := g.Wait(); err != nil {
		return err
	}
	done := plan.changes() - len(failed)
	if a.output == table {
		fmt.Fprintf(a.out, "%s made.\n", plaintext.Count(done, "change"))
	}
	if len(failed) > 0 {
		slices.SortFunc(failed, func(x, y error) int { return strings.Compare(x.Error(), y.Error()) })
		return fmt.Errorf("%s not made:\n%w", plaintext.Count(len(failed), "change"), errors.Join(failed...))
	}
	return nil
}

func (a *app) send(ctx context.Context, secretID, name string, arg any) error {
	handle, err := a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: rotation.RotateUserWorkflowID(secretID), UpdateName: name, Args: []any{arg},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	if err != nil {
		return a.noRotation(ctx, err, secretID)
	}
	return nil
}

func (a *app) startRotation(ctx context.Context, p planned, owner string) error {
	options := a.startOptions(rotation.RotateUserWorkflowID(p.SecretID), startSummary(p.input)+", by "+owner)
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	options.Memo = map[string]any{rotation.DeclaredByMemo: owner}
	_, err := a.temporal.ExecuteWorkflow(ctx, options, rotation.RotateUserWorkflow, p.input)
	return err
}

// restartRotation stops a rotation and starts it with another input. Both credentials log in
// throughout.
func (a *app) restartRotation(ctx context.Context, p planned, owner string) error {
	if err := a.send(ctx, p.SecretID, rotation.StopUpdate, rotation.Sender{SentAt: a.now()}); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	for {
		if _, ended := a.hasEnded(waiting, p.SecretID); ended {
			break
		}
		select {
		case <-waiting.Done():
			return errors.New("it stops after the current rotation: apply the file again when it has")
		case <-time.After(pollInterval):
		}
	}
	later := false
	p.input.RotateImmediately, p.input.FirstRotationWithin = &later, 0
	return a.startRotation(ctx, p, owner)
}

func (a *app) fleetExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a file of the running rotations",
		Long: `Write a file of the running rotations to standard output, for starter fleet apply. Rotations that a tag declares are left
out, because a file does not change them.`,
		Example: `  starter fleet export >fleet.yaml`,
	}
	return a.action(cmd, nil, func(ctx context.Context) error {
		running, err := a.runningInputs(ctx, nil)
		if err != nil {
			return err
		}
		inputs := []rotation.RotateUserInput{}
		tags := map[string]bool{}
		for _, id := range slices.Sorted(maps.Keys(running)) {
			if owner := running[id].declaredBy; strings.HasPrefix(owner, tagOwner) && a.declares(ctx, owner, tags) {
				continue
			}
			inputs = append(inputs, lasting(running[id].RotateUserInput))
		}
		if n := len(running) - len(inputs); n > 0 {
			a.say("Left out: " + plaintext.Count(n, "rotation") + " declared by a tag.")
		}
		if a.output == jsonFormat {
			return a.print(exportView{inputs})
		}
		return writeFleet(a.out, inputs)
	})
}

// exportView is the file as JSON, which is also valid YAML.
type exportView struct{ inputs []rotation.RotateUserInput }

func (v exportView) value() any       { return map[string]any{fileSecrets: v.inputs} }
func (v exportView) text(w io.Writer) { _ = writeFleet(w, v.inputs) }
