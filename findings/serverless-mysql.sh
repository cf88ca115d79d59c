#!/usr/bin/env bash
# serverless-mysql: a refused login has no error code, a new credential waits for the connection to end, and a URL's password is not decoded.
#
# Ran:       serverless-mysql 2.1.0 with mysql2 3.24.6 (npm), and MariaDB 10.11.19 of Debian 12, on 127.0.0.1.
# Guess:     (what its users would expect; its code was read before the run) it passes on the errors and reads the URLs of mysql2, which it
#            wraps, and config() with another credential is used by the next query.
# Behaviour: connect() wraps what mysql2 reports in a new Error: code and errno are gone, and only the message says "Access denied".
#            config() has no effect on a connection that is open: queries run as the previous account until quit(), also after end(). In a
#            URL, a percent-encoded password is sent with its percent signs, and one with = or ; is encoded before it is sent. mysql2
#            logs in with the same URL.
# Matters:   code that reads the secret again when e.code is ER_ACCESS_DENIED_ERROR never does. A function that reads the secret at each
#            invocation still works as the old account, whose sessions end with it. With a URL, logins fail after the first rotation that
#            draws such a character. Look at the message, call quit() after config(), and pass user and password as fields.
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
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact serverless-mysql@2.1.0 mysql2@3.24.6)
cat >"$temp/node/ask.js" <<'JS'
const serverless = require('serverless-mysql');
const mysql2 = require('mysql2/promise');

const [, , port] = process.argv;
const app = { user: 'app', password: 'Kx7=mQ;2' };
const standby = { user: 'app_clone', password: 'Clone-1' };
const encoded = `mysql://app:${encodeURIComponent(app.password)}@127.0.0.1:${port}/`;
let failed = false;
function open(config) {
	return serverless({ config: typeof config === 'string' ? config : { host: '127.0.0.1', port: Number(port), ...config } });
}
async function expect(text, client, want) {
	const got = await client.query('SELECT CURRENT_USER() AS user').then(
		(rows) => (Array.isArray(rows[0]) ? rows[0][0] : rows[0]).user,
		(e) => `code ${e.code}, errno ${e.errno}, ${e.message.includes('Access denied') ? 'Access denied' : e.message}`);
	console.log(`${text}: ${got}`);
	failed ||= got !== want;
}
async function run() {
	const refused = 'code undefined, errno undefined, Access denied';
	await expect('a stale password', open({ ...app, password: 'Old-1' }), refused);

	const client = open(app);
	await expect('the right one', client, 'app@127.0.0.1');
	client.config(standby);
	await expect('after config() with another account', client, 'app@127.0.0.1');
	await client.end();
	await expect('    after end()', client, 'app@127.0.0.1');
	client.quit();
	await expect('    after quit()', client, 'app_clone@127.0.0.1');
	client.quit();

	await expect('a URL, percent-encoded', open(encoded), refused);
	await expect('a URL, as it is', open(encoded.replace(/:[^:]*@/, `:${app.password}@`)), refused);
	const other = await mysql2.createConnection(encoded);
	await expect('mysql2, percent-encoded', other, 'app@127.0.0.1');
	await other.end();
}
run().then(() => {
	console.log(failed ? 'the behaviour has changed' : 'as described');
	process.exit(failed ? 1 : 0);
});
JS

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --bind-address=127.0.0.1 --port="$port" --socket="$temp/s" \
		--skip-name-resolve --pid-file="$temp/pid" 2>>"$temp/error.log" &
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

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'Kx7=mQ;2'; CREATE USER app_clone@'127.0.0.1' IDENTIFIED BY 'Clone-1'"
node "$temp/node/ask.js" "$port"
