#!/usr/bin/env bash
# MySQL and MariaDB clients: a typed password is cut after 79 characters, and mysql_config_editor stores what the client reads otherwise.
#
# Ran:       MySQL 9.7.4 of Debian sid, its client and mysql_config_editor, and the client of MariaDB 10.11.19, over a socket.
# Guess:     what is typed or pasted at "Enter password:" arrives whole, and a login path gives back the password that was stored.
# Behaviour: both clients and mysql_config_editor drop everything after the 79th character, without a word. The login is refused with
#            1045, as for a wrong password. The same password logs in from the command line or from an option file.
#            mysql_config_editor also stores a backslash as it is, and the client that reads the login path takes it for an escape:
#            a password with \b or \n in it is another one.
# Matters:   a rotated secret that "does not work" by hand may work for every program. Generate passwords of at most 79 characters
#            without backslashes if people paste them. To check a longer one, use an option file.
set -euo pipefail
cd "$(dirname "$0")"

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

root=$temp/mysql
../internal/mysqld/install-mysql.sh "$root" >"$temp/install.log"
loader=$(echo "$root"/usr/lib/*-linux-gnu/ld-linux-*.so.*)
run() { local program=$1; shift; "$loader" --library-path "${loader%/*}" "$root/usr/$program" "$@"; }

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
common=("${as[@]}" --secure-file-priv= --plugin-dir="$(echo "$root"/usr/lib/mysql/plugin)" --basedir="$root/usr" --datadir="$temp/data" --lc-messages-dir="$root/usr/share/mysql" --log-error="$temp/error.log")
run sbin/mysqld --no-defaults "${common[@]}" --initialize-insecure
"$loader" --library-path "${loader%/*}" "$root/usr/sbin/mysqld" --no-defaults "${common[@]}" --skip-networking --mysqlx=OFF --socket="$temp/s" --pid-file="$temp/pid" &
pid=$!
sql() { run bin/mysql --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
for _ in $(seq 300); do
	if sql 'SELECT 1' >/dev/null; then break; fi
	if ! kill -0 "$pid" 2>/dev/null; then cat "$temp/error.log" >&2; exit 1; fi
	sleep 0.2
done

failed=0
# type ARGUMENTS…: runs a command with a terminal and types $password at its prompt.
type() {
	password=$password python3 - "$@" <<'PY'
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    if b"assword:" not in seen and b"assword:" in seen + part:
        os.write(terminal, os.environ["password"].encode() + b"\n")
    seen += part
os.waitpid(pid, 0)
text = seen.decode()
print("refused with 1045" if "ERROR 1045" in text else "logs in" if "welcome" in text else text)
PY
}
expect() { # TEXT ACTUAL EXPECTED
	printf '%s: %s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
use() { # sets the account's password, of which the argument is the beginning, and its length
	password=$1
	while [ ${#password} -lt "${2:-0}" ]; do password+=x; done
	sql "CREATE USER IF NOT EXISTS app@localhost; ALTER USER app@localhost IDENTIFIED BY '${password//\\/\\\\}'"
}
mysql=("$loader" --library-path "${loader%/*}" "$root/usr/bin/mysql")
select=(--user=app --socket="$temp/s" --execute "SELECT 'wel''come', CONCAT('wel', 'come')")
export MYSQL_TEST_LOGIN_FILE=$temp/login.cnf
path() {
	rm -f "$MYSQL_TEST_LOGIN_FILE"
	type "$loader" --library-path "${loader%/*}" "$root/usr/bin/mysql_config_editor" set --login-path=app --user=app --password >/dev/null
	if "${mysql[@]}" --login-path=app "${select[@]}" >"$temp/out" 2>&1; then echo 'logs in'; else sed -n 's/^ERROR \(1045\).*/refused with \1/p' "$temp/out"; fi
}
given() { if "${mysql[@]}" --no-defaults --password="$password" "${select[@]}" >/dev/null 2>&1; then echo 'logs in'; else echo refused; fi; }

version=$(sql 'SELECT VERSION()')
echo "MySQL $version"
if [[ $version != 9.7.4* ]]; then echo "this was seen on 9.7.4, and Debian sid now has another version"; fi

mariadb --version
for length in 79 80 128; do
	want='logs in'
	if [ "$length" -gt 79 ]; then want='refused with 1045'; fi
	use Long-1 "$length"
	expect "$length characters, on the command line" "$(given)" 'logs in'
	expect "$length characters, typed for mysql" "$(type "${mysql[@]}" --no-defaults --password "${select[@]}")" "$want"
	expect "$length characters, typed for mysql_config_editor" "$(path)" "$want"
done
use 'back\qslash'
expect "$password, typed for mysql" "$(type "${mysql[@]}" --no-defaults --password "${select[@]}")" 'logs in'
expect "$password, typed for mysql_config_editor" "$(path)" 'logs in'
use 'back\bslash'
expect "$password, typed for mysql" "$(type "${mysql[@]}" --no-defaults --password "${select[@]}")" 'logs in'
expect "$password, typed for mysql_config_editor" "$(path)" 'refused with 1045'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
