package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"

	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"
)

//go:embed aws_function.py
var driver string

// awsFunction is AWS's rotation function for alternating users, in a separate process. It has its
// own endpoint to the stack's Secrets Manager, where its calls are counted.
type awsFunction struct {
	*subject
	b     *bench
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	log   *os.File
	door  *httptest.Server
	calls tally
	token string // of the prepared rotation
}

// startAWSFunction starts the function and counts what one rotation costs.
func (b *bench) startAWSFunction(ctx context.Context) (_ *awsFunction, err error) {
	if b.Secrets == nil || b.Database == nil {
		return nil, errors.New("--aws-function is measured on our own Secrets Manager endpoint and database: " +
			"leave out --secretsmanager-endpoint and --mysql-address")
	}
	f := &awsFunction{b: b}
	b.report.AWSFunction = new(awsFunctionResult)
	if f.subject, err = b.newSubject(ctx, "aws"); err != nil {
		return nil, err
	}
	if f.log, err = os.Create(filepath.Join(b.Dir, "aws-function.log")); err != nil {
		return nil, err
	}
	f.door = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.count(r)
		b.Secrets.ServeHTTP(w, r)
	}))
	f.cmd = exec.Command("python3", "-c", driver, b.awsFunction)
	f.cmd.Env = append(b.Environment(), "AWS_DEFAULT_REGION=us-east-1", "SECRETS_MANAGER_ENDPOINT="+f.door.URL,
		"CA_FILE="+b.Database.CAFile, "USERNAME_CHARACTER_LIMIT=32")
	f.cmd.Stderr = f.log
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	f.out = bufio.NewReader(out)
	if f.in, err = f.cmd.StdinPipe(); err == nil {
		err = f.cmd.Start()
	}
	if err == nil {
		err = f.count(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// prepare does the service's part: it starts a rotation, which leaves an empty version for the
// function to fill.
func (f *awsFunction) prepare(ctx context.Context) error {
	if err := f.b.Secrets.EnableRotation(f.secretID); err != nil {
		return err
	}
	f.token = uuid.NewString()
	_, err := f.b.Client.RotateSecret(ctx, &awssm.RotateSecretInput{SecretId: &f.secretID, ClientRequestToken: &f.token})
	return err
}

// rotate does the function's part of the prepared rotation.
func (f *awsFunction) rotate() error {
	if err := json.NewEncoder(f.in).Encode(map[string]string{"SecretId": f.secretID, "ClientRequestToken": f.token}); err != nil {
		return fmt.Errorf("AWS's function has ended: %w; see %s", err, f.log.Name())
	}
	if _, err := f.out.ReadString('\n'); err != nil {
		return fmt.Errorf("AWS's function has failed: %w; see %s", err, f.log.Name())
	}
	return nil
}

// count measures what one rotation of an account in sync costs.
func (f *awsFunction) count(ctx context.Context) error {
	for range 2 { // the first one creates the clone
		if err := f.prepare(ctx); err != nil {
			return err
		}
		var err error
		if f.b.report.AWSFunction.spent, err = f.b.spends(ctx, &f.calls, f.rotate); err != nil {
			return err
		}
	}
	return nil
}

// close ends the process, which stops when its input ends.
func (f *awsFunction) close() error {
	var errs []error
	if f.in != nil {
		errs = append(errs, f.in.Close())
	}
	if f.cmd.Process != nil {
		errs = append(errs, f.cmd.Wait())
	}
	f.door.Close()
	return errors.Join(append(errs, f.log.Close())...)
}
