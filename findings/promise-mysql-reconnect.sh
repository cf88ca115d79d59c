#!/usr/bin/env bash
# promise-mysql: with reconnect, its default, the session that replaces one that was ended is used by no one, and queries fail.
#
# Ran:       promise-mysql 5.2.0 with mysql 2.18.1 (npm), and MariaDB 10.11.19 of Debian 12, on 127.0.0.1.
# Guess:     "the connection will reconnect", as its documentation says: a query after the server ended the session succeeds.
# Behaviour: the library logs in again as soon as the session has ended, but the program's connection does not use the new session. Every
#            query on it fails with PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR. If the new session is ended too, there is another one.
# Matters:   whoever ends the sessions of an account finds this client back at once, for as long as its password works. Its
#            session is idle, and the program that holds it is out of service although it seems to be connected. Set reconnect: false,
#            and make a new connection on the event error. Do not take a session in the list of processes for a client that works.
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
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact promise-mysql@5.2.0 mysql@2.18.1)
cat >"$temp/node/ask.js" <<'JS'
const { execFileSync } = require('child_process');
const mysql = require('promise-mysql');

const [, , socket, port] = process.argv;
function sql(text) {
	return execFileSync('mariadb', ['--no-defaults', '--user=root', `--socket=${socket}`, '--batch', '--skip-column-names', '--execute', text]).toString().trim();
}
let user = 'app';
const sessions = () => sql(`SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '${user}'`).split('\n').filter(Boolean);
async function until(condition) {
	for (let i = 0; i < 50 && !condition(); i++) await new Promise((done) => setTimeout(done, 100));
}
let failed = false;
async function ask(text, connection, want) {
	const got = await connection.query('SELECT 1').then(() => 'works', (e) => e.code);
	const line = `${got}; ${sessions().length} session`;
	console.log(`    ${text}: ${line}`);
	failed ||= line !== want;
}
async function end() { // returns once there is another session
	const before = sessions();
	before.forEach((id) => sql(`KILL ${id}`));
	await until(() => sessions().length === 1 && !before.includes(sessions()[0]));
}
async function main() {
	sql("CREATE USER app@'127.0.0.1' IDENTIFIED BY 'Current-1'");
	const options = { host: '127.0.0.1', port: Number(port), user: 'app', password: 'Current-1' };

	console.log('the default');
	let connection = await mysql.createConnection({ ...options });
	await ask('at the start', connection, 'works; 1 session');
	for (const text of ['its session was ended', 'the session after that was ended']) {
		await end();
		await ask(text, connection, 'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR; 1 session');
		await ask('once more', connection, 'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR; 1 session');
	}

	console.log('reconnect: false, and the program makes a new connection on the event error');
	sql("CREATE USER other@'127.0.0.1' IDENTIFIED BY 'Current-1'");
	user = options.user = 'other';
	async function open() {
		connection = await mysql.createConnection({ ...options, reconnect: false });
		connection.on('error', open);
	}
	await open();
	await end();
	await until(() => connection.connection.state === 'authenticated');
	await ask('its session was ended', connection, 'works; 1 session');
	console.log(failed ? 'the behaviour has changed' : 'as described');
	process.exit(failed ? 1 : 0);
}
main();
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


node "$temp/node/ask.js" "$temp/s" "$port"
