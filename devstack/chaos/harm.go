package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rotate-user/rotate-user/devstack/secretsmanager"
	"github.com/rotate-user/rotate-user/workflows"
)

// answers returns a fault in which Secrets Manager answers with an error for a while.
func answers(d time.Duration, f secretsmanager.Fault) func(context.Context, *lane, *subject) outcome {
	return func(_ context.Context, l *lane, _ *subject) outcome {
		until := time.Now().Add(d)
		l.gate.setAlways(func(c call, p phase) outcome {
			if c.side == smCall && p == before && time.Now().Before(until) {
				return outcome{fault: f}
			}
			return outcome{}
		})
		return outcome{fault: f}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// recover makes the lane wait for f before its next rotation.
func (l *lane) recover(f func() error) {
	l.recovery.Go(func() { l.failed(f()) })
}

// failed reports an error of the harness itself.
func (l *lane) failed(err error) {
	if err != nil {
		l.report.violate("lane %d: the harness failed: %v", l.number, err)
	}
}

// disasterStrikes starts a fault for all lanes, and returns when it has begun.
func (l *lane) disasterStrikes(f func() error) {
	begun := make(chan struct{})
	l.recover(func() error {
		return l.strikeAll(func() error {
			close(begun)
			return f()
		})
	})
	<-begun
	time.Sleep(20 * time.Millisecond)
}

func (l *lane) killWorkers() {
	for _, p := range l.give() {
		l.report.keepMetrics(p.scrape())
		p.kill()
	}
}

// replace starts a new worker and has the old ones shut down.
func (l *lane) replace(ctx context.Context, binary string) {
	old := l.give()
	for _, p := range old {
		p.terminate()
	}
	l.recover(func() error {
		err := l.startBinary(ctx, binary)
		l.end(old)
		return err
	})
}

// end waits for workers that were told to shut down, or are told so now.
func (l *lane) end(workers []*process) {
	for _, p := range workers {
		l.report.keepMetrics(p.scrape())
		p.terminate()
		select {
		case <-p.Done():
		case <-time.After(workflows.StepTimeout + 30*time.Second):
			l.report.violate("lane %d: a worker did not exit after SIGTERM", l.number)
			p.kill()
		}
		l.failed(p.temporal.close())
	}
}

// crowd uses up all of the database's connections for a while.
func (l *lane) crowd(ctx context.Context) error {
	var taken []*sql.Conn
	defer func() {
		for _, c := range taken {
			c.Close()
		}
	}()
	for range 15 {
		c, err := l.admin.Conn(ctx)
		if err != nil {
			return err
		}
		taken = append(taken, c)
	}
	if _, err := taken[0].ExecContext(ctx, "SET GLOBAL max_connections = 10"); err != nil {
		return err
	}
	wait(ctx, 3*time.Second)
	_, err := taken[0].ExecContext(context.WithoutCancel(ctx), "SET GLOBAL max_connections = 400")
	return err
}

// edit adds a field to a secret, as an operator might.
func (s *subject) edit(ctx context.Context) error {
	out, err := s.lane.secretsManager.GetSecretValue(ctx, &awssm.GetSecretValueInput{SecretId: &s.arn})
	if err != nil {
		return err
	}
	var value map[string]any
	if err := json.Unmarshal([]byte(*out.SecretString), &value); err != nil {
		return err
	}
	value["note"] = "edited at " + time.Now().Format(time.TimeOnly)
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = s.lane.secretsManager.PutSecretValue(ctx, &awssm.PutSecretValueInput{SecretId: &s.arn, SecretString: aws.String(string(text))})
	return err
}

// standby returns the user of the pair that AWSCURRENT does not name.
func (s *subject) standby(ctx context.Context) (string, error) {
	c, err := s.read(ctx, current)
	if c.Username == s.user {
		return s.user + "_clone", err
	}
	return s.user, err
}
