#!/usr/bin/env bash
# MariaDB's client, its C library and PyMySQL read three passwords from one option file.
#
# Ran:       MariaDB 10.11.19 of Debian 12, its client, MySQLdb 1.4.6 (libmariadb 3.3) and PyMySQL 1.0.2 of Debian 12, on 127.0.0.1.
# Guess:     the client and the library of one vendor read an option file in the same way. PyMySQL, which reads it too, agrees with them.
# Behaviour: the client ends an unquoted value at a #, the library and PyMySQL do not. The client and the library resolve escapes such
#            as \\ and \b, in quotes too; PyMySQL keeps the backslash. No line with a backslash in the password works for all three.
#            In double quotes, # ; % ! ' and a space do.
# Matters:   a hook that writes a rotated password into ~/.my.cnf may serve the backup and lock out the monitoring. Write the password in
#            double quotes, and generate it without backslashes and double quotes. Secrets Manager's own generator uses both by default.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

(
	cd "$temp"
	apt-get download python3-mysqldb=1.4.6-2+b1 python3-pymysql=1.0.2-2+deb12u1 >download.log 2>&1 || { cat download.log >&2; exit 1; }
	for package in *.deb; do dpkg --extract "$package" python; done
)
export PYTHONPATH=$temp/python/usr/lib/python3/dist-packages
as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --bind-address=127.0.0.1 --port="$port" --socket="$temp/s" \
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
try() { # PASSWORD LINE EXPECTED: which of the readers log in if the line is in their option file
	local in='' escaped=${1//\\/\\\\}
	sql "CREATE OR REPLACE USER app@'127.0.0.1' IDENTIFIED BY '${escaped//\'/\'\'}'" || failed=1
	printf '[client]\nuser = app\nhost = 127.0.0.1\n%s\n' "$2" >"$temp/option.cnf"
	if mariadb --defaults-file="$temp/option.cnf" --port="$port" --execute 'SELECT 1' >/dev/null 2>&1; then in="$in client"; fi
	local library
	for library in MySQLdb pymysql; do
		if /usr/bin/python3 -c "import $library; $library.connect(read_default_file='$temp/option.cnf', port=$port)" >/dev/null 2>&1; then in="$in $library"; fi
	done
	printf '%-12s %-22s logs in:%s\n' "$1" "$2" "${in:- none}"
	if [ "${in:- none}" != "$3" ]; then failed=1; fi
}

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi

sql "SET GLOBAL max_password_errors = 1000"
all=' client MySQLdb pymysql'
try 'pass#word' 'password = pass#word' ' MySQLdb pymysql'
try 'pass#word' 'password = "pass#word"' "$all"
try 'back\word' 'password = back\word' ' client MySQLdb pymysql'
try 'back\bird' 'password = back\bird' ' pymysql'
try 'back\bird' 'password = "back\bird"' ' pymysql'
try 'back\bird' 'password = back\\bird' ' client MySQLdb'
try 'back\bird' 'password = "back\\bird"' ' client MySQLdb'
try "quote'" "password = \"quote'\"" "$all"
try 'a;b%c!d e' 'password = "a;b%c!d e"' "$all"

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
