package mysqld

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/rotate-user/rotate-user/internal/freeport"
)

// Primaries says which members of a group accept writes.
type Primaries bool

// Either one member of the group accepts writes, or all of them do.
const (
	OnePrimary   Primaries = false
	AllPrimaries Primaries = true
)

// StartGroup starts the members of a group of MySQL's Group Replication. If there is one primary,
// it is the first member. The members share one administrator, one certificate and one authority,
// so that a client can be sent to any of them. Their ids are in order: the first member has the
// lowest. Their data are in temporary directories.
func (p Program) StartGroup(ctx context.Context, size int, primaries Primaries, o Options) (members []*Server, err error) {
	addresses, err := freeport.Addresses(size)
	if err != nil {
		return nil, err
	}
	arguments := func(i int) []string {
		mode := []string{"--loose-group-replication-single-primary-mode=ON"}
		if primaries == AllPrimaries {
			mode = []string{"--loose-group-replication-single-primary-mode=OFF", "--loose-group-replication-enforce-update-everywhere-checks=ON"}
		}
		return slices.Concat([]string{
			"--log-bin=binlog", fmt.Sprint("--server-id=", i+1), "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
			"--report-host=127.0.0.1", "--plugin-load-add=group_replication.so",
			"--loose-group-replication-group-name=6d0b7f0e-2f65-4b3c-9d5a-0d3c6f2f4a11",
			"--loose-group-replication-start-on-boot=OFF",
			"--loose-group-replication-local-address=" + addresses[i],
			"--loose-group-replication-group-seeds=" + strings.Join(addresses, ","),
			"--loose-group-replication-ip-allowlist=127.0.0.1",
			"--loose-group-replication-recovery-get-public-key=ON",
		}, mode, o.Args)
	}
	model, err := p.Start(ctx, Options{AdminUser: o.AdminUser, Log: o.Log})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, model.Stop()) }()
	if err := model.process.End(syscall.SIGTERM, stopTimeout); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err, members = errors.Join(err, discard(members)), nil
		}
	}()
	if members, err = model.copies(size, o, arguments); err != nil {
		return members, err
	}
	for i, s := range members {
		// A server makes an id of the time, whose first digits begin again every seven minutes.
		id := fmt.Sprintf("[auto]\nserver-uuid=%08x%s\n", i+1, uuid.NewString()[8:])
		if err := os.WriteFile(filepath.Join(s.DataDir, "auto.cnf"), []byte(id), 0o600); err != nil {
			return members, err
		}
		if err := s.run(ctx); err != nil {
			return members, fmt.Errorf("start member %d of the group: %w", i+1, err)
		}
		if err := s.join(ctx, i == 0); err != nil {
			return members, fmt.Errorf("member %d of the group: %w", i+1, err)
		}
	}
	return members, nil
}

// JoinGroup makes a member join its group again after a restart or after it has left.
func (s *Server) JoinGroup(ctx context.Context) error { return s.join(ctx, false) }

// join joins or starts the group, and waits until the server has everything that the others have.
func (s *Server) join(ctx context.Context, first bool) error {
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		return err
	}
	defer db.Close()
	begins := "OFF"
	if first {
		begins = "ON"
	}
	for _, statement := range []string{
		"SET GLOBAL group_replication_bootstrap_group = " + begins,
		fmt.Sprintf("START GROUP_REPLICATION USER = '%s', PASSWORD = '%s'", s.AdminUser, s.AdminPassword),
		"SET GLOBAL group_replication_bootstrap_group = OFF",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var state string
		const query = "SELECT MEMBER_STATE FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@server_uuid"
		if err := db.QueryRowContext(ctx, query).Scan(&state); err != nil {
			return err
		}
		if state == "ONLINE" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is %s: %w", state, ctx.Err())
		case <-tick.C:
		}
	}
}
