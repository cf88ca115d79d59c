package chaos

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/rotation"
)

// subject is a secret with its user, and what is promised about it.
type subject struct {
	lane      *lane
	user      string // also the name of the secret
	arn       string
	workflow  string
	clients   context.CancelFunc
	clientsWG sync.WaitGroup

	mu  sync.Mutex
	set bool // a rotation has reached SetPassword since the last promotion
	// spoilt reports whether someone changed the previous account in a way that no promise covers.
	spoilt bool
}

func (s *subject) promoted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.spoilt = false, false
}

func (s *subject) reached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = true
}

func (s *subject) spoil() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoilt = true
}

func (s *subject) previousIsPromised() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.set && !s.spoilt
}

// renew makes a new user and secret the subject of the lane, and starts its clients. No workflow
// rotates it yet.
func (l *lane) renew(ctx context.Context) error {
	l.subjects++
	s := &subject{lane: l, user: fmt.Sprintf("user_%d_%d", l.number, l.subjects)}
	s.workflow = rotation.RotateUserWorkflowID(s.user)
	pw := rand.Text()
	if err := l.createAccount(ctx, s.user, pw, "SELECT, INSERT ON shop.*", ""); err != nil {
		return err
	}
	out, err := l.secretsManager.CreateSecret(ctx, &awssm.CreateSecretInput{Name: &s.user,
		SecretString: aws.String(l.value(s.user, pw, l.arn))})
	if err != nil {
		return err
	}
	s.arn = *out.ARN
	l.mu.Lock()
	l.subject = s
	l.mu.Unlock()
	l.lanes.Store(s.user, l)
	l.report.subjects.Add(1)
	s.watch(ctx)
	return nil
}

// retire stops the rotation of the lane's subject, and its clients.
func (l *lane) retire(ctx context.Context) {
	s := l.subject
	if s == nil {
		return
	}
	l.failed(l.stopWorkflow(ctx, s.workflow))
	s.clients()
	s.clientsWG.Wait()
	l.lanes.Delete(s.user)
	l.mu.Lock()
	l.subject = nil
	l.mu.Unlock()
}

// stopWorkflow stops a rotation workflow after the current rotation.
func (l *lane) stopWorkflow(ctx context.Context, id string) error {
	return l.persistTemporal(ctx, func(ctx context.Context) error {
		err := l.temporalClient.SignalWorkflow(ctx, id, "", rotation.StopUpdate, nil)
		var gone *serviceerror.NotFound
		if errors.As(err, &gone) {
			return nil
		}
		if err == nil {
			err = l.temporalClient.GetWorkflow(ctx, id, "").Get(ctx, nil)
		}
		return err
	})
}

// launch starts the rotation of a subject.
func (l *lane) launch(ctx context.Context, s *subject) error {
	input := map[string]any{"SecretId": s.user, "MinimumOverlap": "0s"}
	return l.persistTemporal(ctx, func(ctx context.Context) error {
		_, err := l.temporalClient.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: s.workflow, TaskQueue: l.queue},
			rotation.RotateUserWorkflow, input)
		return err
	})
}
