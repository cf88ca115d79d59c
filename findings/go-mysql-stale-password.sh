#!/usr/bin/env bash
# go-mysql: a pool and a reader of the binary log repeat a login with a stale password without end, and tell the program nothing.
#
# Ran:       github.com/go-mysql-org/go-mysql v1.13.0, its packages client and replication, and MariaDB 10.11.19 of Debian 12, on 127.0.0.1.
# Guess:     a login that is refused with 1045 is reported to the caller, after one login.
# Behaviour: a client.Pool always keeps one connection ready. If the server refuses it, the pool logs in again after 10 to 100
#            milliseconds, about 18 times a second, although no one asks for a connection. GetConn returns the end of its context, never the
#            1045. A BinlogSyncer whose connection ends logs in once a second (MaxReconnectAttempts is 0, no limit), and GetEvent
#            waits on. Only the library's logger sees the refusals.
# Matters:   a process that still has the password before the last reaches every limit on failed logins (max_password_errors,
#            FAILED_LOGIN_ATTEMPTS) within a second, and blocks the account for the processes that have the new one. A reader of the
#            binary log that looks idle may be locked out. Set MaxReconnectAttempts, pass a logger that raises an alert on 1045, and
#            close a pool before its password ends. Alternate between two accounts: a stale password is then that of the other account.
set -euo pipefail

temp=$(mktemp -d)
pid=
reader=
finish() {
	for p in $reader $pid; do kill "$p" 2>/dev/null && wait "$p" || true; done
	chmod -R u+w "$temp"
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

mkdir "$temp/go"
cat >"$temp/go/go.mod" <<'MOD'
module finding

go 1.25

require github.com/go-mysql-org/go-mysql v1.13.0
MOD
cat >"$temp/go/main.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// pool opens a pool, asks nothing of it for four seconds, and then asks for one connection.
func pool(port int, password string) {
	p, err := client.NewPoolWithOptions(fmt.Sprintf("127.0.0.1:%d", port), "app", password, "", client.WithLogger(quiet))
	if err != nil {
		panic(err)
	}
	time.Sleep(4 * time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err = p.GetConn(ctx); err == nil {
		fmt.Println("connected")
		return
	}
	fmt.Println(err)
}

// read reads events until none comes for eight seconds.
func read(port int, password, file string) {
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{ServerID: 7, Flavor: "mariadb", Host: "127.0.0.1", Port: uint16(port), User: "app", Password: password, Logger: quiet})
	events, err := syncer.StartSync(mysql.Position{Name: file, Pos: 4})
	for count := 0; err == nil; count++ {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		_, err = events.GetEvent(ctx)
		cancel()
	}
	fmt.Println(err)
}

func main() {
	port, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	if os.Args[1] == "pool" {
		pool(port, os.Args[3])
		return
	}
	read(port, os.Args[3], os.Args[4])
}
GO
(cd "$temp/go" && GOWORK=off GOFLAGS=-mod=mod GOMODCACHE="$temp/modules" go build -o ask . 2>"$temp/go.log") || { tail "$temp/go.log" >&2; exit 1; }

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --bind-address=127.0.0.1 --port="$port" --socket="$temp/s" \
		--log-bin=log --server-id=1 --pid-file="$temp/pid" 2>>"$temp/error.log" &
	pid=$!
	for _ in $(seq 300); do
		if sql 'SELECT 1' >/dev/null; then return; fi
		if ! kill -0 "$pid" 2>/dev/null; then break; fi
		sleep 0.2
	done
	cat "$temp/error.log" >&2
	exit 1
}
sql() { mariadb --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
start

failed=0
expect() { # TEXT ACTUAL EXPECTED
	printf '%s: %s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
refused() { sql "SHOW GLOBAL STATUS LIKE 'Access_denied_errors'" | cut -f 2; }
between() { # BEFORE LEAST MOST
	local count=$(($(refused) - $1))
	printf '    refused logins: %s\n' "$count"
	if [ "$count" -lt "$2" ] || [ "$count" -gt "$3" ]; then failed=1; fi
}

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'Old-1'; GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'"
before=$(refused)
expect 'a pool with the right password' "$("$temp/go/ask" pool "$port" Old-1)" 'connected'
between "$before" 0 0

"$temp/go/ask" read "$port" Old-1 "$(sql 'SHOW BINARY LOGS' | head -n 1 | cut -f 1)" >"$temp/reader" 2>&1 &
reader=$!
session=
for _ in $(seq 50); do
	session=$(sql "SELECT id FROM information_schema.processlist WHERE user = 'app' AND command = 'Binlog Dump'")
	if [ -n "$session" ]; then break; fi
	sleep 0.1
done
sql "ALTER USER app@'127.0.0.1' IDENTIFIED BY 'New-2'; KILL $session"
before=$(refused)
wait "$reader" || failed=1
reader=
expect 'GetEvent of a reader whose password has changed' "$(cat "$temp/reader")" 'context deadline exceeded'
between "$before" 4 12

before=$(refused)
expect 'GetConn of a pool with the old password' "$("$temp/go/ask" pool "$port" Old-1)" 'context deadline exceeded'
between "$before" 40 250

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
