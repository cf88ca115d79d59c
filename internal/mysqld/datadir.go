package mysqld

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rotate-user/rotate-user/internal/child"
)

// prepare creates what the server needs and its directory lacks.
func (s *Server) prepare(ctx context.Context) error {
	if err := os.MkdirAll(s.temporary(), 0o700); err != nil {
		return err
	}
	if err := ensureCertificates(s.home); err != nil {
		return err
	}
	file := filepath.Join(s.home, "admin-password")
	saved, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		saved = []byte(rand.Text())
		err = os.WriteFile(file, saved, 0o600)
	}
	if err != nil {
		return err
	}
	s.AdminPassword = string(saved)
	if _, err := os.Stat(s.DataDir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The copy gets its name at the end, so that an interrupted copy is never taken for a data
	// directory.
	fresh := s.DataDir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := s.fill(ctx, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, s.DataDir)
}

// fill creates a data directory that no server has run on. Creating one takes a server seconds, so
// each program does it once, keeps it in the user's cache directory, and copies it from then on.
func (s *Server) fill(ctx context.Context, dir string) error {
	cache, err := os.UserCacheDir()
	if err != nil { // a daemon without a home, for example
		return s.initialise(ctx, dir)
	}
	key, err := s.program.fingerprint()
	if err != nil {
		return err
	}
	blank := filepath.Join(cache, "rotate-user", "blank-"+s.Engine+"-"+s.Version+"-"+key)
	blanks.Lock()
	err = s.makeBlank(ctx, blank)
	blanks.Unlock()
	if err != nil {
		return err
	}
	return os.CopyFS(dir, os.DirFS(blank))
}

// blanks keeps the servers of this program from creating the same blank directory at the same time.
var blanks sync.Mutex

// makeBlank creates the data directory to copy from, unless it exists.
func (s *Server) makeBlank(ctx context.Context, blank string) error {
	if _, err := os.Stat(blank); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(blank), 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(blank), "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fresh := filepath.Join(work, "data")
	if err := s.initialise(ctx, fresh); err != nil {
		return err
	}
	// Each server creates its own id and keys.
	own, err := filepath.Glob(filepath.Join(fresh, "*.pem"))
	if err != nil {
		return err
	}
	for _, file := range append(own, filepath.Join(fresh, "auto.cnf")) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err = os.Rename(fresh, blank)
	if _, missing := os.Stat(blank); missing == nil {
		return nil // another program was faster
	}
	return err
}

// fingerprint changes when the server program changes, or the way in which a data directory is
// created.
func (p Program) fingerprint() (string, error) {
	info, err := os.Stat(p.Path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendln(nil, p.Path, info.Size(), info.ModTime().UnixNano(), os.Geteuid(), logSize(p.Engine), "root by socket"))
	return hex.EncodeToString(sum[:6]), nil
}

// logSize keeps the redo log small, and with it every copy of a data directory.
func logSize(engine string) string {
	if engine == MySQL {
		return "--innodb-redo-log-capacity=16M"
	}
	return "--innodb-log-file-size=16M"
}

// initialise has the server create a data directory.
func (s *Server) initialise(ctx context.Context, dir string) error {
	var cmd *exec.Cmd
	args := append([]string{
		"--no-defaults", "--datadir=" + dir, "--tmpdir=" + s.temporary(), "--innodb-flush-method=nosync", logSize(s.Engine),
	}, asUser()...)
	switch {
	case s.Engine == MySQL:
		args = append(args, "--initialize-insecure", "--auto-generate-certs=OFF")
		cmd = s.program.command(append(args, s.program.places()...)...)
	case s.program.Root != "":
		script, err := s.program.bootstrapScript()
		if err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		cmd = s.program.command(append(append(args, "--bootstrap"), s.program.places()...)...)
		cmd.Stdin = bytes.NewReader(script)
	default:
		script, err := installer(s.program.Path)
		if err != nil {
			return err
		}
		cmd = exec.Command(script, append(args, "--skip-test-db", "--skip-name-resolve")...)
	}
	output := &tail{log: s.options.Log}
	cmd.Stdout, cmd.Stderr = output, output
	p, err := child.Start(cmd)
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("create a data directory: %w%s\n%s", err, whatHelps(output.String()), output)
	}
	return nil
}

// installer returns the path of the script that makes MariaDB's data directories.
func installer(server string) (string, error) {
	bin := filepath.Dir(server)
	for _, name := range []string{"mariadb-install-db", "mysql_install_db"} {
		for _, path := range []string{filepath.Join(bin, name), filepath.Join(bin, "../bin", name), filepath.Join(bin, "../scripts", name),
			name} {
			if found, err := exec.LookPath(path); err == nil {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("no mariadb-install-db near %s or on PATH", server)
}

// asUser returns the option without which a server refuses to run as root.
func asUser() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

// whatHelps returns advice for what a server's installer prints when it fails, or "". The installer's
// own advice does not help: the administrator is at localhost, which must be found.
func whatHelps(output string) string {
	if strings.Contains(output, "nor 'localhost' could be looked up") {
		return ": this machine does not find localhost: add the line `127.0.0.1 localhost` to /etc/hosts"
	}
	return ""
}
