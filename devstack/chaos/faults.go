package chaos

import (
	"context"
	"crypto/rand"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/internal/mysqld"
	"github.com/rotate-user/rotate-user/rotation"
	"github.com/rotate-user/rotate-user/workflows"
)

// kind is one way to break something.
type kind struct {
	name   string
	side   side    // empty for calls to either side
	phases []phase // nil for all
	slow   bool    // recovery takes more than a minute, because a step has to time out
	all    bool    // affects all lanes
	server bool    // affects the only server
	// people change accounts. Changes after the check of TestPassword cannot be repaired.
	people bool
	edits  bool // another actor moves AWSCURRENT
	denies bool // a right is missing, and no retry can know for how long
	// strike is called while the call waits for it. It adds the necessary repairs to the lane's
	// recovery.
	strike func(context.Context, *lane, *subject) outcome
}

// excuses reports whether a rotation with this fault may end as a recorded failure. It must recover
// from all other faults.
func (k kind) excuses() bool { return k.people || k.edits || k.denies }

var kinds = []kind{
	{name: "worker killed, another takes over", slow: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.killWorkers()
		l.recover(func() error { return l.start(ctx) })
		return outcome{cut: true}
	}},
	{name: "worker killed, none for 15 s", slow: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.killWorkers()
		l.recover(func() error { wait(ctx, 15*time.Second); return l.start(ctx) })
		return outcome{cut: true}
	}},
	{name: "worker killed, step unreported", slow: true, phases: []phase{after},
		strike: func(ctx context.Context, l *lane, _ *subject) outcome {
			old := l.give()
			for _, p := range old {
				p.temporal.cut()
			}
			l.recover(func() error {
				wait(ctx, 500*time.Millisecond)
				for _, p := range old {
					p.kill()
				}
				return l.start(ctx)
			})
			return outcome{}
		}},
	{name: "worker terminated", strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.replace(ctx, l.Worker)
		return outcome{}
	}},
	{name: "worker of another release beside", strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		if err := l.startBinary(ctx, l.otherWorker()); err != nil {
			l.report.violate("lane %d: %v", l.number, err)
		}
		l.recover(func() error {
			wait(ctx, 3*time.Second)
			l.replace(ctx, l.Worker)
			return nil
		})
		return outcome{}
	}},
	{name: "worker frozen, another takes over", slow: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		old := l.give()
		for _, p := range old {
			p.freeze()
		}
		l.recover(func() error {
			err := l.start(ctx)
			wait(ctx, workflows.StepTimeout+3*time.Second)
			for _, p := range old {
				p.thaw()
			}
			wait(ctx, 3*time.Second)
			l.end(old)
			return err
		})
		return outcome{}
	}},
	{name: "worker cut off from Temporal", strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range l.workers {
			p.temporal.cut()
			l.recover(func() error {
				wait(ctx, 4*time.Second)
				p.temporal.mend()
				return nil
			})
		}
		return outcome{}
	}},
	{name: "worker cut off, step runs twice", slow: true, phases: []phase{before},
		strike: func(ctx context.Context, l *lane, _ *subject) outcome {
			old := l.give()
			for _, p := range old {
				p.temporal.cut()
			}
			if err := l.start(ctx); err != nil {
				l.report.violate("lane %d: %v", l.number, err)
			}
			l.recover(func() error {
				wait(ctx, workflows.StepTimeout+5*time.Second)
				for _, p := range old {
					p.temporal.mend()
				}
				l.end(old)
				return nil
			})
			// The call arrives after another worker has restarted the step.
			wait(ctx, workflows.StepTimeout+1500*time.Millisecond)
			return outcome{}
		}},

	{name: "connection cut", side: sqlCall, strike: func(context.Context, *lane, *subject) outcome { return outcome{cut: true} }},
	{name: "connection stalled", side: sqlCall, slow: true,
		strike: func(context.Context, *lane, *subject) outcome { return outcome{stall: true} }},
	{name: "statement arrives late", side: sqlCall, slow: true, phases: []phase{before},
		strike: func(ctx context.Context, _ *lane, _ *subject) outcome {
			wait(ctx, workflows.StepTimeout+5*time.Second)
			return outcome{}
		}},
	{name: "database slow", side: sqlCall, phases: []phase{before}, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.gate.setAlways(func(c call, p phase) outcome {
			if c.side == sqlCall && p == before {
				wait(ctx, 200*time.Millisecond)
			}
			return outcome{}
		})
		return outcome{}
	}},
	{name: "database killed", side: sqlCall, all: true, server: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.disasterStrikes(func() error {
			if err := l.world.database.Kill(); err != nil {
				return err
			}
			wait(ctx, 300*time.Millisecond)
			return l.world.database.Restart(ctx)
		})
		return outcome{cut: true}
	}},
	{name: "database restarted", side: sqlCall, all: true, server: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.disasterStrikes(func() error { return l.world.database.Restart(ctx) })
		return outcome{}
	}},
	{name: "database frozen", side: sqlCall, all: true, server: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.disasterStrikes(func() error {
			if err := l.world.database.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			wait(ctx, 3*time.Second)
			return l.world.database.Signal(syscall.SIGCONT)
		})
		return outcome{}
	}},
	{name: "database full of connections", side: sqlCall, phases: []phase{before}, all: true, server: true,
		strike: func(ctx context.Context, l *lane, _ *subject) outcome {
			l.disasterStrikes(func() error { return l.crowd(ctx) })
			return outcome{}
		}},
	{name: "database read-only", side: sqlCall, phases: []phase{before}, all: true, server: true,
		strike: func(ctx context.Context, l *lane, _ *subject) outcome {
			variable := "super_read_only"
			if l.world.database.Engine == mysqld.MariaDB {
				variable = "read_only"
			}
			l.disasterStrikes(func() error {
				if err := l.exec(ctx, "SET GLOBAL "+variable+" = 1"); err != nil {
					return err
				}
				wait(ctx, 4*time.Second)
				return l.exec(context.WithoutCancel(ctx), "SET GLOBAL read_only = 0")
			})
			return outcome{}
		}},

	{name: "answer lost", side: smCall, strike: func(context.Context, *lane, *subject) outcome { return outcome{cut: true} }},
	{name: "call unanswered", side: smCall, slow: true, phases: []phase{before, after},
		strike: func(context.Context, *lane, *subject) outcome { return outcome{stall: true} }},
	{name: "call arrives late", side: smCall, slow: true, phases: []phase{before},
		strike: func(ctx context.Context, _ *lane, _ *subject) outcome {
			wait(ctx, workflows.StepTimeout+5*time.Second)
			return outcome{}
		}},
	{name: "throttled", side: smCall, phases: []phase{before}, strike: answers(8*time.Second, secretsmanager.Throttled(0))},
	{name: "throttled, Retry-After", side: smCall, phases: []phase{before},
		strike: answers(3*time.Second, secretsmanager.Throttled(2*time.Second))},
	{name: "internal error", side: smCall, phases: []phase{before}, strike: answers(8*time.Second, secretsmanager.Failed())},
	{name: "internal error after effect", side: smCall, phases: []phase{after}, strike: func(context.Context, *lane, *subject) outcome {
		return outcome{fault: secretsmanager.Failed()}
	}},
	{name: "access denied for a while", side: smCall, phases: []phase{before}, denies: true, strike: answers(3*time.Second,
		secretsmanager.Denied(secretsmanager.Call{Operation: "everything", SecretID: "everything"}))},

	{name: "Temporal restarted", all: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		l.disasterStrikes(func() error { return l.restartTemporal(ctx) })
		wait(ctx, 100*time.Millisecond)
		return outcome{}
	}},

	{name: "master's password changed", people: true, strike: func(ctx context.Context, l *lane, _ *subject) outcome {
		pw := rand.Text()
		as, err := l.identified(pw)
		if err == nil {
			err = l.exec(ctx, "ALTER USER '"+l.master+"'@'%' "+as)
		}
		if err == nil {
			_, err = l.secretsManager.PutSecretValue(ctx, &awssm.PutSecretValueInput{SecretId: &l.master,
				SecretString: aws.String(l.value(l.master, pw, ""))})
		}
		l.failed(err)
		return outcome{}
	}},
	{name: "secret edited", people: true, edits: true, strike: func(ctx context.Context, l *lane, s *subject) outcome {
		l.failed(s.edit(ctx))
		return outcome{}
	}},
	{name: "right granted", people: true, strike: func(ctx context.Context, l *lane, s *subject) outcome {
		c, err := s.read(ctx, current)
		if err == nil {
			err = l.exec(ctx, "GRANT UPDATE ON shop.* TO '"+c.Username+"'@'%'")
		}
		l.failed(err)
		return outcome{}
	}},
	{name: "right granted to the standby", people: true, strike: func(ctx context.Context, l *lane, s *subject) outcome {
		standby, err := s.standby(ctx)
		if err == nil {
			// The standby may not exist yet.
			_ = l.exec(ctx, "GRANT SELECT ON extra.* TO '"+standby+"'@'%'")
		}
		l.failed(err)
		return outcome{}
	}},
	{name: "standby dropped", people: true, strike: func(ctx context.Context, l *lane, s *subject) outcome {
		standby, err := s.standby(ctx)
		if err == nil {
			s.spoil()
			err = l.exec(ctx, "DROP USER IF EXISTS '"+standby+"'@'%'")
		}
		l.failed(err)
		return outcome{}
	}},
	{name: "a second workflow", edits: true, strike: func(ctx context.Context, l *lane, s *subject) outcome {
		input := map[string]any{"SecretId": s.arn, "MinimumOverlap": "0s"}
		id := rotation.RotateUserWorkflowID(s.arn)
		l.failed(l.persistTemporal(ctx, func(ctx context.Context) error {
			_, err := l.temporalClient.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: l.queue}, rotation.RotateUserWorkflow,
				input)
			return err
		}))
		l.recover(func() error {
			wait(ctx, 3*time.Second)
			return l.stopWorkflow(ctx, id)
		})
		return outcome{}
	}},
}
