#!/usr/bin/env bash
# MariaDB: SET PASSWORD of an account that has two plugins changes the password of the first, and the old one still logs in.
#
# Ran:       MariaDB 10.11.19 of Debian 12 with its plugin auth_ed25519, its own client, over a socket.
# Guess:     after SET PASSWORD the account has one password, the new one.
# Behaviour: an account made as IDENTIFIED VIA ed25519 … OR mysql_native_password …, the usual way to move clients to ed25519, gets
#            the new password for ed25519 only. The old one goes on for mysql_native_password. No warning says so. If the first
#            plugin has no password (unix_socket), SET PASSWORD fails with 1699. ALTER USER … IDENTIFIED BY changes both: it replaces all
#            plugins by mysql_native_password alone.
# Matters:   a rotation that sets the password this way leaves the old credential valid, and a test with the new one succeeds. Name all
#            plugins in ALTER USER … IDENTIFIED VIA, and log in with the old password to see it refused.
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
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --skip-networking --socket="$temp/s" \
		--pid-file="$temp/pid" --plugin-load-add=auth_ed25519 2>>"$temp/error.log" &
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
logins() { # which of the passwords log in
	local in='' password
	for password in "$@"; do
		if mariadb --no-defaults --user=app --password="$password" --socket="$temp/s" --execute 'SELECT 1' >/dev/null 2>&1; then in="$in $password"; fi
	done
	echo "${in:- none}"
}
plugins() { sql "SHOW CREATE USER app@localhost" | grep -oE "ed25519|unix_socket|mysql_native_password|BY PASSWORD" | tr '\n' ' '; }

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi

sql "CREATE USER app@localhost IDENTIFIED VIA ed25519 USING PASSWORD('Old-1') OR mysql_native_password USING PASSWORD('Old-1')"
expect 'plugins' "$(plugins)" 'ed25519 mysql_native_password '
expect 'passwords that log in' "$(logins Old-1 New-2)" ' Old-1'
expect 'warnings of SET PASSWORD' "$(sql "SET PASSWORD FOR app@localhost = PASSWORD('New-2'); SHOW WARNINGS")" ''
expect 'passwords that log in' "$(logins Old-1 New-2)" ' Old-1 New-2'
mariadb --no-defaults --user=app --password=Old-1 --socket="$temp/s" --execute "SET PASSWORD = PASSWORD('Own-3')"
expect 'after the account set its own, logged in with Old-1' "$(logins Old-1 New-2 Own-3)" ' Old-1 Own-3'
expect 'plugins' "$(plugins)" 'ed25519 mysql_native_password '
sql "ALTER USER app@localhost IDENTIFIED BY 'New-4'"
expect 'after ALTER USER … IDENTIFIED BY' "$(logins Old-1 Own-3 New-4)" ' New-4'
expect 'plugins' "$(plugins)" 'BY PASSWORD '
sql "ALTER USER app@localhost IDENTIFIED VIA unix_socket OR ed25519 USING PASSWORD('New-4')"
expect 'SET PASSWORD with unix_socket first' "$(sql "SET PASSWORD FOR app@localhost = PASSWORD('New-5')" | grep -o '^ERROR [0-9]*' || true)" 'ERROR 1699'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
