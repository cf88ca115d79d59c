#!/usr/bin/env bash
# npm's mariadb: one request for a connection with a stale password makes many logins, and blocks the account for everyone.
#
# Ran:       mariadb 3.5.4 (npm) with its defaults, and MariaDB 10.11.19 of Debian 12 with max_password_errors = 5, on 127.0.0.1.
# Guess:     a pool that is refused with 1045 reports it at once, after one login.
# Behaviour: pool.getConnection() tries again with growing pauses until acquireTimeout (10 seconds), and then fails with 45028, a time-out:
#            the 1045 is only its cause. One call is ten refused logins or so. From then on the server refuses that user from
#            every host, with the right password too (4150), until FLUSH PRIVILEGES.
# Matters:   after a rotation, one instance that still has the old password locks out all that have the new one, if the server or the
#            account limits failed logins (FAILED_LOGIN_ATTEMPTS on MySQL). Code that reads the secret again on 1045 must look at
#            the cause of 45028. Alternate between two accounts: a stale password is then that of the other account.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

mkdir "$temp/node"
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact mariadb@3.5.4)
cat >"$temp/node/ask.js" <<'JS'
const [, , port, password] = process.argv;
const pool = require('mariadb').createPool({ host: '127.0.0.1', port: Number(port), user: 'app', password });
pool.on('error', () => {});
pool.getConnection()
	.then((c) => { c.release(); console.log('logs in'); }, (e) => console.log(`error ${e.errno}, cause ${e.cause ? e.cause.errno : 'none'}`))
	.finally(() => pool.end());
JS
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
ask() { node "$temp/node/ask.js" "$port" "$1"; }
right() { mariadb --no-defaults --user=app --password=New-2 --host=127.0.0.1 --port="$port" --batch --skip-column-names --execute "SELECT 'logs in'" 2>&1 | sed 's/^ERROR \([0-9]*\).*/refused with \1/'; }
refused() { sql "SHOW GLOBAL STATUS LIKE 'Access_denied_errors'" | cut -f 2; }

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'New-2'"
expect 'the new password' "$(right)" 'logs in'
before=$(refused)
expect 'one call of a pool with the old password' "$(ask Old-1)" 'error 45028, cause 1045'
refusals=$(($(refused) - before))
printf '    refused logins: %s\n' "$refusals"
if [ "$refusals" -lt 5 ] || [ "$refusals" -gt 20 ]; then failed=1; fi
sql 'FLUSH PRIVILEGES; SET GLOBAL max_password_errors = 5'
expect 'the new password' "$(right)" 'logs in'
expect 'one call of a pool with the old password, five errors allowed' "$(ask Old-1 | cut -d , -f 1)" 'error 45028'
expect 'the new password' "$(right)" 'refused with 4150'
sql 'FLUSH PRIVILEGES'
expect 'the new password after FLUSH PRIVILEGES' "$(right)" 'logs in'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
