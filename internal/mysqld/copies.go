package mysqld

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// copies returns servers that are not running yet, with copies of this stopped server's files: its
// administrator, certificate and authority, so that a client can be sent to any of them. arguments
// returns the arguments of each.
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
		c.options.Args = append(arguments(i), "--init-file="+os.DevNull) // the administrator already exists
		all = append(all, c)
		if err := os.CopyFS(c.home, os.DirFS(s.home)); err != nil {
			return all, fmt.Errorf("copy the data directory: %w", err)
		}
	}
	return all, nil
}

// discard stops servers with temporary data and removes their files.
func discard(servers []*Server) (err error) {
	for _, s := range servers {
		if s.process != nil {
			err = errors.Join(err, s.process.End(syscall.SIGKILL, stopTimeout))
		}
		s.forget()
	}
	return err
}
