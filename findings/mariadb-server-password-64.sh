#!/usr/bin/env bash
# MariaDB: CREATE SERVER keeps a password of more than 64 characters until the next restart, and 64 characters of it afterwards.
#
# Ran:       MariaDB 10.11.19 of Debian 12 with its engine FederatedX, its own client, over a socket and 127.0.0.1.
# Guess:     a password that is too long is refused, or the whole of it is kept.
# Behaviour: CREATE SERVER accepts it without a warning. mysql.servers holds the first 64 characters, but memory holds all: tables that
#            use the server work. After a restart or FLUSH PRIVILEGES, the remote server refuses every connection with 1045. ALTER SERVER
#            truncates without a warning too, and at once. MySQL 9.7.4 stores 64 characters in the same way.
# Matters:   a link to another server is a client of the rotated account too. With a long generated password it passes every test when
#            it is set up, and fails weeks later, at a restart. Keep such passwords at 64 characters or fewer, and compare
#            LENGTH(password) in mysql.servers afterwards.
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
		--pid-file="$temp/pid" --plugin-maturity=beta --plugin-load-add=ha_federatedx 2>>"$temp/error.log" &
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

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi

remote() { # PASSWORD: creates a server and a table that use it
	sql "DROP TABLE IF EXISTS shop.far; DROP SERVER IF EXISTS shop"
	sql "ALTER USER link@'127.0.0.1' IDENTIFIED BY '$1';
		CREATE SERVER shop FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1', PORT $port, USER 'link', PASSWORD '$1', DATABASE 'shop'); SHOW WARNINGS;
		CREATE TABLE shop.far (id INT PRIMARY KEY) ENGINE=FEDERATED CONNECTION='shop/near'"
}
stored() { sql "SELECT LENGTH(password) FROM mysql.servers"; }
ask() { sql 'SELECT id FROM shop.far' | sed -n 's/^ERROR.*Access denied for user .link.*/refused/p; /^[0-9][0-9]*$/p'; }
short=$(printf 'p%.0s' $(seq 64))
long=$(printf 'p%.0s' $(seq 72))

sql "CREATE DATABASE shop; CREATE TABLE shop.near (id INT PRIMARY KEY); INSERT INTO shop.near VALUES (7);
	CREATE USER link@'127.0.0.1'; GRANT ALL ON shop.* TO link@'127.0.0.1'"
expect 'warnings with 64 characters' "$(remote "$short")" ''
expect '    characters stored' "$(stored)" 64
sql 'FLUSH PRIVILEGES; FLUSH TABLES'
expect '    after FLUSH PRIVILEGES' "$(ask)" 7
expect 'warnings with 72 characters' "$(remote "$long")" ''
expect '    characters stored' "$(stored)" 64
expect '    at once' "$(ask)" 7
sql 'FLUSH TABLES'
expect '    after FLUSH TABLES' "$(ask)" 7
kill "$pid"
wait "$pid" || true
start
expect '    after a restart' "$(ask)" refused
sql "ALTER SERVER shop OPTIONS (PASSWORD '$long'); FLUSH TABLES"
expect '    after ALTER SERVER with all 72' "$(ask)" refused

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
