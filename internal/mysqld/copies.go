package mysqld

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// copies returns servers that do not run yet and have the files of this one, which is stopped: its administrator, its certificate
// and its authority, so that a client may be led to any of them. arguments are those of each.
func (s *Server) copies(size int, o Options, arguments func(i int) []string) ([]*Server, error) {
	var all []*Server
	for i := range size {
		c := &Server{
			Engine: s.Engine, Version: s.Version, Host: s.Host, AdminUser: s.AdminUser, AdminPassword: s.AdminPassword,
			program: s.program, options: o,
		}
		var err error
		if c.home, err = os.MkdirTemp("", "rotate-user-cluster-"); err != nil {
			return all, err
		}
		c.DataDir, c.CAFile = filepath.Join(c.home, "data"), filepath.Join(c.home, "ca.pem")
		c.options.DataDir, c.options.Port = "", 0
		c.options.Args = append(arguments(i), "--init-file="+os.DevNull) // the administrator is there already
		all = append(all, c)
		if err := os.CopyFS(c.home, os.DirFS(s.home)); err != nil {
			return all, fmt.Errorf("copy the data directory: %w", err)
		}
	}
	return all, nil
}

// discard ends and removes servers with temporary data.
func discard(servers []*Server) (err error) {
	for _, s := range servers {
		if s.process != nil {
			err = errors.Join(err, s.process.End(syscall.SIGKILL, stopTimeout))
		}
		s.forget()
	}
	return err
}
