#!/usr/bin/env bash
# MySQL: the X protocol refuses the second password of an account that has two.
#
# Ran:       MySQL 9.7.4 of Debian sid with its X plugin, its own client, and npm's @mysql/xdevapi 8.0.35, on 127.0.0.1.
# Guess:     after ALTER USER … RETAIN CURRENT PASSWORD, both passwords log in, whichever protocol the client speaks.
# Behaviour: over the classic protocol both do. Over the X protocol, with TLS and the mechanism PLAIN, only the new one does: the
#            retained one is refused with error 1045, from the moment of the change.
# Matters:   dual passwords give clients of the X protocol (Document Store, mysqlsh by default) no time to change over. The server
#            accepts this port by default, so look for it (performance_schema.mysqlx_…, port 33060) before you rely on a retained
#            password. Two accounts in turn have no such gap.
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

mkdir "$temp/node"
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact @mysql/xdevapi@8.0.35)
cat >"$temp/node/login.js" <<'JS'
const [, , port, user, password] = process.argv;
require('@mysql/xdevapi').getSession({ host: '127.0.0.1', port: Number(port), user, password, auth: 'PLAIN' }).then(
	(session) => session.close().then(() => console.log('logs in')),
	(e) => console.log('refused with ' + (e.info ? e.info.code : e.message)),
);
JS
free() { node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close(); })"; }

root=$temp/mysql
../internal/mysqld/install-mysql.sh "$root" >"$temp/install.log"
loader=$(echo "$root"/usr/lib/*-linux-gnu/ld-linux-*.so.*)
run() { local program=$1; shift; "$loader" --library-path "${loader%/*}" "$root/usr/$program" "$@"; }

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
common=("${as[@]}" --secure-file-priv= --plugin-dir="$(echo "$root"/usr/lib/mysql/plugin)" --basedir="$root/usr" --datadir="$temp/data" --lc-messages-dir="$root/usr/share/mysql" --log-error="$temp/error.log")
run sbin/mysqld --no-defaults "${common[@]}" --initialize-insecure
port=$(free)
xport=$(free)
"$loader" --library-path "${loader%/*}" "$root/usr/sbin/mysqld" --no-defaults "${common[@]}" --bind-address=127.0.0.1 --port="$port" \
	--mysqlx-bind-address=127.0.0.1 --mysqlx-port="$xport" --mysqlx-socket="$temp/x" --socket="$temp/s" --pid-file="$temp/pid" &
pid=$!
sql() { run bin/mysql --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
for _ in $(seq 300); do
	if sql 'SELECT 1' >/dev/null; then break; fi
	if ! kill -0 "$pid" 2>/dev/null; then cat "$temp/error.log" >&2; exit 1; fi
	sleep 0.2
done

failed=0
expect() { # TEXT ACTUAL EXPECTED
	printf '%s: %s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
classic() { run bin/mysql --no-defaults --user=app --password="$1" --host=127.0.0.1 --port="$port" --batch --skip-column-names --execute "SELECT 'logs in'" 2>&1 | grep -v Warning; }
x() { node "$temp/node/login.js" "$xport" app "$1"; }

version=$(sql 'SELECT VERSION()')
echo "MySQL $version"
if [[ $version != 9.7.4* ]]; then echo "this was seen on 9.7.4, and Debian sid now has another version"; fi

sql "CREATE USER app@'%' IDENTIFIED BY 'Old-1'"
expect 'one password, X protocol, Old-1' "$(x Old-1)" 'logs in'
sql "ALTER USER app@'%' IDENTIFIED BY 'New-2' RETAIN CURRENT PASSWORD"
expect 'two passwords, classic protocol, Old-1' "$(classic Old-1)" 'logs in'
expect 'two passwords, classic protocol, New-2' "$(classic New-2)" 'logs in'
expect 'two passwords, X protocol, Old-1' "$(x Old-1)" 'refused with 1045'
expect 'two passwords, X protocol, New-2' "$(x New-2)" 'logs in'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
