package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.temporal.io/sdk/client"

	"github.com/rotate-user/rotate-user/devstack/stack"
	"github.com/rotate-user/rotate-user/rotation"
)

// besideResult is how long emergency rotations take beside the due users of a server that does not answer, in milliseconds.
type besideResult struct {
	Server   string  `json:"server"`
	Users    int     `json:"users"`
	MSMedian float64 `json:"ms_median"`
	MSMax    float64 `json:"ms_max"`
}

// besideFrozen measures emergency rotations alone, and then beside many users of servers that do not answer.
func (b *bench) besideFrozen(ctx context.Context) (err error) {
	const users, emergencies = 400, 40
	leaked, err := b.pairs(ctx, "leaked", 1)
	if err != nil {
		return err
	}
	healthy := leaked[0]
	args := []string{"--max-rotations-per-second", "0"}
	servers := []unanswering{{"accepts connections and stays silent", listening(b, acceptOnly)}, {"drops every packet", listening(b, dropPackets)}}
	if b.Database != nil {
		other, failed := b.startSecond(ctx)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, other.Stop()) }()
		args = append(args, "--tls-ca-file", other.trusted)
		servers = append(servers, unanswering{"freezes in mid-session", other.freeze})
	}
	q, err := b.start(ctx, "beside", args...)
	if err != nil {
		return err
	}
	if err := b.fall(ctx, q, healthy, nextMonth()); err != nil {
		return err
	}
	if err := b.await(ctx, func() (bool, error) { return b.allAsleep(ctx, leaked) }); err != nil {
		return err
	}
	measure := func(n int) (samples, error) {
		c := &contestant{run: func() error { return b.revoke(ctx, healthy) }}
		err := turns(ctx, n, c)
		return c.samples, err
	}
	r := &b.report
	alone, err := measure(emergencies / 2)
	if err != nil {
		return err
	}
	r.EmergencyAloneMSMedian, r.EmergencyAloneMSMax = alone.median(), alone.quantile(1)
	for _, f := range servers {
		due, stop, err := f.begin(ctx, q, users)
		if err != nil {
			return fmt.Errorf("a server that %s: %w", f.name, err)
		}
		beside, err := measure(emergencies)
		if err := errors.Join(err, b.end(ctx, due), stop()); err != nil {
			return err
		}
		r.EmergencyBeside = append(r.EmergencyBeside, besideResult{f.name, users, beside.median(), beside.quantile(1)})
		r.EmergencyBesideToAlone = max(r.EmergencyBesideToAlone, beside.median()/alone.median())
		fmt.Fprintf(b.progress, "  beside a server that %s: %.0f ms, at most %.0f ms; alone %.0f ms, at most %.0f ms\n", f.name, beside.median(),
			beside.quantile(1), alone.median(), alone.quantile(1))
	}
	return errors.Join(b.end(ctx, leaked), q.Stop())
}

// unanswering is a server that does not answer. begin starts the rotators of its users, and returns when each has begun.
type unanswering struct {
	name  string
	begin func(ctx context.Context, q *queue, users int) (due []*subject, stop func() error, err error)
}

// listening returns the begin of a server that never answers.
func listening(b *bench, listen func(context.Context) (int, func() error, error)) func(context.Context, *queue, int) ([]*subject, func() error, error) {
	return func(ctx context.Context, q *queue, users int) ([]*subject, func() error, error) {
		port, stop, err := listen(ctx)
		if err != nil {
			return nil, nil, err
		}
		due, err := b.frozenUsers(ctx, q, port, users)
		if err != nil {
			err = errors.Join(err, stop())
		}
		return due, stop, err
	}
}

// frozenUsers starts the rotators of users of a server that does not answer, and returns when each has begun.
func (b *bench) frozenUsers(ctx context.Context, q *queue, port, users int) ([]*subject, error) {
	prefix := "bench/" + b.run + "/frozen" + strconv.Itoa(port) + "/"
	if err := b.storeAt(ctx, prefix+"master", "master", randomText(), port); err != nil {
		return nil, err
	}
	subjects := make([]*subject, users)
	if err := each(ctx, users, 16, func(ctx context.Context, i int) error {
		name := "user" + strconv.Itoa(i)
		subjects[i] = &subject{user: name, secretID: prefix + name}
		if err := b.storeAt(ctx, prefix+name, name, randomText(), port); err != nil {
			return err
		}
		return b.startDue(ctx, q, subjects[i], prefix+"master")
	}); err != nil {
		return nil, err
	}
	return subjects, b.allBegun(ctx, subjects)
}

// storeAt creates the secret of a user of another server on this host.
func (b *bench) storeAt(ctx context.Context, id, user, password string, port int) error {
	text, err := json.Marshal(stack.Credential{Engine: b.Engine, Host: b.Host, Port: port, Username: user, Password: password, SSL: true})
	if err != nil {
		return err
	}
	_, err = b.Client.CreateSecret(ctx, &awssm.CreateSecretInput{Name: &id, SecretString: aws.String(string(text))})
	return err
}

// startDue starts the rotator of a user that is due at once.
func (b *bench) startDue(ctx context.Context, q *queue, s *subject, masterID string) error {
	_, err := b.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: rotation.RotateUserWorkflowID(s.secretID), TaskQueue: q.name},
		rotation.RotateUserWorkflow, rotation.RotateUserInput{SecretID: s.secretID, MasterSecretID: masterID})
	return err
}

// allBegun waits until each rotation has begun. The first workflow tasks of so many are work for Temporal, whatever their server does.
// None of them may still be waiting.
func (b *bench) allBegun(ctx context.Context, subjects []*subject) error {
	return each(ctx, len(subjects), 16, func(ctx context.Context, i int) error {
		return b.await(ctx, func() (bool, error) {
			d, err := b.temporal.DescribeWorkflowExecution(ctx, rotation.RotateUserWorkflowID(subjects[i].secretID), "")
			return err == nil && d.GetWorkflowExecutionInfo().GetHistoryLength() > 3, err
		})
	})
}

// acceptOnly listens on a port and never answers.
func acceptOnly(ctx context.Context) (port int, stop func() error, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	go func() {
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
		}
		for _, c := range open {
			_ = c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, l.Close, nil
}

// dropPackets returns a port that answers nothing, not even with a refusal, like that of a host behind a firewall: the system
// drops what arrives for a listener whose queue is full.
func dropPackets(context.Context) (port int, stop func() error, err error) {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return 0, nil, err
	}
	stop = sync.OnceValue(func() error { return syscall.Close(socket) })
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, nil, err
	}
	if err := syscall.Listen(socket, 0); err != nil {
		return 0, nil, err
	}
	address, err := syscall.Getsockname(socket)
	if err != nil {
		return 0, nil, err
	}
	port = address.(*syscall.SockaddrInet4).Port
	for range 10 {
		c, full := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), 200*time.Millisecond)
		if full != nil {
			return port, stop, nil
		}
		defer c.Close()
	}
	return 0, nil, errors.New("this system accepts connections for a listener whose queue is full")
}
