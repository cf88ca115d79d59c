#!/usr/bin/env bash
# mariadb-dump --system=users: its dump sets back the passwords of accounts that exist, or takes every right away and stops.
#
# Ran:       mariadb-dump and MariaDB 10.11.19 of Debian 12, over a socket. Every dump was replayed as root on the server it came from.
# Guess:     with --insert-ignore, accounts that exist are left alone. With --replace, all accounts are as they were when it was made.
# Behaviour: with --insert-ignore, CREATE USER IF NOT EXISTS leaves the account alone, but the GRANT that follows names the hash too:
#            every password is set back to that of the dump. With --replace, all accounts are dropped and created first, the one that replays
#            the dump too. It has no rights from then on, so the first GRANT fails (1045), and all accounts stay without rights.
# Matters:   a dump from before a rotation, replayed to get one lost account back, brings back every old credential, and applications that
#            read the current secret are refused. Take single statements from the dump, without IDENTIFIED BY, and never
#            replay --replace on a server that is in use.
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
		--pid-file="$temp/pid" 2>>"$temp/error.log" &
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
login() { if mariadb --no-defaults --user=app --password="$1" --socket="$temp/s" --execute 'SELECT 1' >/dev/null 2>&1; then echo 'logs in'; else echo refused; fi; }
dump() { mariadb-dump --no-defaults --user=root --socket="$temp/s" --system=users "$@"; }
replay() { # FILE: the code of its error, or done
	local out
	out=$(mariadb --no-defaults --user=root --socket="$temp/s" <"$1" 2>&1) || true
	out=$(grep -oE '^ERROR [0-9]+' <<<"$out" || true)
	echo "${out:-done}"
}

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql "CREATE DATABASE shop; CREATE USER app@localhost IDENTIFIED BY 'Old-1'; GRANT SELECT ON shop.* TO app@localhost"
dump --insert-ignore >"$temp/ignore.sql"
dump --replace >"$temp/replace.sql"
sql "ALTER USER app@localhost IDENTIFIED BY 'New-2'"
expect 'before' "Old-1 $(login Old-1), New-2 $(login New-2)" 'Old-1 refused, New-2 logs in'
expect '--insert-ignore' "$(replay "$temp/ignore.sql")" 'done'
expect '    afterwards' "Old-1 $(login Old-1), New-2 $(login New-2)" 'Old-1 logs in, New-2 refused'
sql "ALTER USER app@localhost IDENTIFIED BY 'New-2'"
expect '--replace' "$(replay "$temp/replace.sql")" 'ERROR 1045'
expect '    rights of app' "$(mariadb --no-defaults --user=app --password=Old-1 --socket="$temp/s" --batch --skip-column-names --execute 'SHOW GRANTS' | sed 's/ IDENTIFIED.*//')" 'GRANT USAGE ON *.* TO `app`@`localhost`'
expect '    rights of root' "$(sql 'SHOW GRANTS' | grep ' ON ')" 'GRANT USAGE ON *.* TO `root`@`localhost`'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
