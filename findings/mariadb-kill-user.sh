#!/usr/bin/env bash
# MariaDB: KILL USER with the name of an account does not end the sessions of that account.
#
# Ran:       MariaDB 10.11.19 of Debian 12, its own client, over 127.0.0.1, with skip_name_resolve.
# Guess:     KILL USER 'app'@'10.0.0.%' ends the sessions of that account, and no others.
# Behaviour: the host is compared with the address or name of the client, not with the account's. For an account with a pattern the
#            statement succeeds and ends nothing. With the host '%', or none, it ends the sessions of every account of that user
#            name, also those of an account for one host.
# Matters:   a revocation that ends sessions this way leaves those of the leaked credential running, and reports success. Look up the
#            ids in information_schema.PROCESSLIST and KILL them one by one, or leave the host out and accept that all accounts of
#            that name are cut off. Look at the number of affected rows.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --bind-address=127.0.0.1 --port="$port" --socket="$temp/s" \
		--pid-file="$temp/pid" --skip-name-resolve 2>>"$temp/error.log" &
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
sessions=()
connect() { # USER EXPECTED: opens a session, and prints the account that it belongs to
	mariadb --no-defaults --user=app --password=First-1 --host=127.0.0.1 --port="$port" --execute 'SELECT SLEEP(60)' >/dev/null 2>&1 &
	sessions+=($!)
	for _ in $(seq 100); do
		if [ "$(open)" = 1 ]; then return; fi
		sleep 0.1
	done
	echo 'no session was opened' >&2
	exit 1
}
open() { sql "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE user = 'app' AND info LIKE 'SELECT SLEEP%'"; }
kills() { mariadb --no-defaults --user=root --socket="$temp/s" -vvv --execute "KILL USER $1" | sed -n 's/^Query OK, \([0-9]*\) row.*/ends \1/p'; }
account() { mariadb --no-defaults --user=app --password=First-1 --host=127.0.0.1 --port="$port" --batch --skip-column-names --execute 'SELECT CURRENT_USER()'; }

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql "CREATE USER app@'127.0.0.%' IDENTIFIED BY 'First-1'"
expect 'the account' "$(account)" 'app@127.0.0.%'
connect
expect "    KILL USER app@'127.0.0.%'" "$(kills "app@'127.0.0.%'")" 'ends 0'
expect '    sessions that are left' "$(open)" 1
expect "    KILL USER app@'127.0.0.1', the client's address" "$(kills "app@'127.0.0.1'")" 'ends 1'
sql "DROP USER app@'127.0.0.%'; CREATE USER app@'%' IDENTIFIED BY 'Other-2'; CREATE USER app@'127.0.0.1' IDENTIFIED BY 'First-1'"
expect 'the account' "$(account)" 'app@127.0.0.1'
sleep 1
connect
expect "    KILL USER app@'%', which is another account" "$(kills "app@'%'")" 'ends 1'
wait "${sessions[@]}" || true

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
