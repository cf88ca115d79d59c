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

	"github.com/rotate-user/rotate-user/internal/freeport"
)

// ErrNoGalera reports that this machine has no Galera library for MariaDB.
var ErrNoGalera = errors.New("no libgalera_smm.so on this machine: install the package galera-4")

// bootstrap is the option that starts a new cluster rather than joining one.
const bootstrap = "--wsrep-new-cluster"

// stateTransfer is a script that the server runs on both sides when a node joins. All nodes start
// with the same files, and the others send a joining node their changes since then. So the script
// transfers only a position.
const stateTransfer = `#!/bin/sh
while [ $# -gt 0 ]; do
	case $1 in
	--role) role=$2 ;;
	--address) address=$2 ;;
	--datadir) datadir=$2 ;;
	--gtid) gtid=$2 ;;
	--gtid-domain-id) domain=$2 ;;
	esac
	shift
done
if [ "$role" = donor ]; then
	echo "$gtid ${domain:-0}" >"$address.new"
	mv "$address.new" "$address"
	echo "done $gtid"
else
	position=$datadir/position
	rm -f "$position"
	echo "ready $position"
	until [ -e "$position" ]; do sleep 0.05; done
	cat "$position"
fi
`

// StartGalera starts the nodes of a Galera cluster. They share one administrator, one certificate
// and one authority, so that a client can be sent to any of them. Their data are in temporary
// directories.
func (p Program) StartGalera(ctx context.Context, size int, o Options) (nodes []*Server, err error) {
	provider := galeraLibrary()
	if provider == "" || p.Root != "" { // this machine's library does not work with a server from another tree
		return nil, ErrNoGalera
	}
	addresses, err := freeport.Addresses(2 * size)
	if err != nil {
		return nil, err
	}
	arguments := func(i int) []string {
		return slices.Concat([]string{
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
			"--wsrep-on=ON", "--wsrep-provider=" + provider, "--wsrep-sst-method=position",
			"--wsrep-cluster-name=rotate-user", fmt.Sprint("--wsrep-node-name=node-", i+1), "--wsrep-node-address=127.0.0.1",
			"--wsrep-cluster-address=gcomm://" + strings.Join(addresses[:size], ","),
			"--wsrep-provider-options=gmcast.listen_addr=tcp://" + addresses[i] + ";ist.recv_addr=" + addresses[size+i] +
				";gcache.size=16M;pc.recovery=false",
		}, o.Args)
	}
	// All nodes start with the files of a single-node cluster, and so with a position in its
	// history.
	model, err := p.Start(ctx, Options{AdminUser: o.AdminUser, Log: o.Log, Args: append(arguments(0), bootstrap)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, model.Stop()) }()
	if err := model.synced(ctx); err != nil {
		return nil, err
	}
	if err := model.process.End(syscall.SIGTERM, stopTimeout); err != nil {
		return nil, err
	}
	script := filepath.Join(model.home, "wsrep_sst_position")
	if err := os.WriteFile(script, []byte(stateTransfer), 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err, nodes = errors.Join(err, discard(nodes)), nil
		}
	}()
	if nodes, err = model.copies(size, o, arguments); err != nil {
		return nodes, err
	}
	for _, s := range nodes {
		s.env = append(os.Environ(), "PATH="+s.home+":"+os.Getenv("PATH"))
	}
	nodes[0].options.Args = append(nodes[0].options.Args, bootstrap)
	for i, s := range nodes {
		if err := s.run(ctx); err != nil {
			return nodes, fmt.Errorf("start node %d of the cluster: %w", i+1, err)
		}
		s.options.Args = slices.DeleteFunc(s.options.Args, func(arg string) bool { return arg == bootstrap })
		if err := s.synced(ctx); err != nil {
			return nodes, fmt.Errorf("node %d of the cluster: %w", i+1, err)
		}
	}
	return nodes, nil
}

// synced waits until the node has everything that the others have.
func (s *Server) synced(ctx context.Context) error {
	db, err := s.Open(s.AdminUser, s.AdminPassword)
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var name, state string
		if err := db.QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_local_state_comment'").Scan(&name, &state); err != nil {
			return err
		}
		if state == "Synced" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is %s: %w", state, ctx.Err())
		case <-tick.C:
		}
	}
}

func galeraLibrary() string {
	for _, pattern := range []string{"/usr/lib/galera*/libgalera_smm.so", "/usr/lib64/galera*/libgalera_smm.so",
		"/usr/lib/*/galera*/libgalera_smm.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}
