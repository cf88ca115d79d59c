#!/usr/bin/env bash
# MariaDB: a password that one check refused counts as used for password_reuse_check, and a retry is refused with another reason.
#
# Ran:       MariaDB 10.11.19 of Debian 12 with its plugins simple_password_check and password_reuse_check, its own client, over a socket.
# Guess:     a password that was never set is not in the history. An ALTER USER that fails can be repeated once the cause is gone.
# Behaviour: the checks run one after another, the one installed last first, and password_reuse_check first after a restart. If it runs
#            first, it records the password although the other check refuses it. The same statement then fails even when the cause
#            is gone. ALTER USER reports 1396, "Operation ALTER USER failed", for both checks, as for an account that does not
#            exist; the reason is only in its warnings. CREATE USER reports 1819. An account that is dropped and created again
#            cannot have its old password either.
# Matters:   after a refusal a rotator must draw a new password, not repeat the one that it staged. It must read the warnings
#            before it reports that the account is missing.
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
refusal() { # STATEMENT: the code of its error, or done
	local out
	out=$(sql "$1") || true
	out=$(grep -oE '^ERROR [0-9]+' <<<"$out" || true)
	echo "${out:-done}"
}
reason() { mariadb --no-defaults --user=root --socket="$temp/s" --show-warnings --verbose --force --execute "$1" 2>/dev/null | sed -n 's/^Warning (Code 1819): //p'; }

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi

# try USER EXPECTED: has a password refused as too short, and repeats the statement when it is not too short any more.
try() {
	local change="ALTER USER $1@localhost IDENTIFIED BY 'Second-password-2'"
	sql "SET GLOBAL simple_password_check_minimal_length = 8; CREATE USER $1@localhost IDENTIFIED BY 'First-password-1'"
	sql 'SET GLOBAL simple_password_check_minimal_length = 30'
	expect '    too short' "$(refusal "$change")" 'ERROR 1396'
	sql 'SET GLOBAL simple_password_check_minimal_length = 8'
	expect '    the same statement, no longer too short' "$(refusal "$change")" "$2"
	if [ "$2" != 'done' ]; then expect '    the reason' "$(reason "$change")" 'password_reuse_check: The password was already used'; fi
	expect '    another password' "$(refusal "ALTER USER $1@localhost IDENTIFIED BY 'Third-password-3'")" 'done'
	sql "DROP USER $1@localhost"
	expect '    dropped, and created with its first password' "$(refusal "CREATE USER $1@localhost IDENTIFIED BY 'First-password-1'")" 'ERROR 1819'
}

echo 'password_reuse_check installed last'
sql "INSTALL SONAME 'simple_password_check'; INSTALL SONAME 'password_reuse_check'"
try one 'ERROR 1396'
echo 'simple_password_check installed last'
sql "UNINSTALL SONAME 'simple_password_check'; INSTALL SONAME 'simple_password_check'"
try two 'done'
echo 'after a restart'
kill "$pid"
wait "$pid" || true
start
try three 'ERROR 1396'
expect 'an account that does not exist' "$(refusal "ALTER USER missing@localhost IDENTIFIED BY 'Some-password-1'")" 'ERROR 1396'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
