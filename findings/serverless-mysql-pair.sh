#!/usr/bin/env bash
# serverless-mysql: after a rotation between two accounts, the sessions that frozen functions left are no longer ended, and none is reused.
#
# Ran:       serverless-mysql 2.1.0 with mysql2 3.24.6 (npm), and MariaDB 10.11.19 of Debian 12 with 20 connections, on 127.0.0.1.
# Guess:     end() ends the sessions that functions left asleep when more than 80% of the connections are in use, as its documentation says.
# Behaviour: it counts the connections of all accounts, but ends only those of the account that it is logged in as. Those of the previous
#            account stay until the server's wait_timeout (8 hours by default). While they keep the server above 80%, each end() closes its
#            own connection, so that every invocation opens another one.
# Matters:   after each rotation, the connections that Lambda froze with the previous account hold their places for hours, when those of
#            the current account come on top. Set wait_timeout to some minutes, or end the sessions of the previous account after a
#            rotation.
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
const server = { host: '127.0.0.1', port: Number(port), password: 'Current-1' };
let failed = false;
function wait(milliseconds) {
	return new Promise((done) => setTimeout(done, milliseconds));
}
async function ask(user, want) {
	const asleep = [];
	for (let i = 0; i < 17; i++) {
		const connection = await mysql2.createConnection({ ...server, user });
		connection.on('error', () => {});
		asleep.push(connection);
	}
	await wait(5000);
	let ended = 0, closed = 0, opened = 0;
	const client = serverless({
		config: { ...server, user: 'app_clone' }, onConnect: () => opened++, onKill: () => ended++, onClose: () => closed++,
	});
	for (let i = 0; i < 4; i++) {
		await client.query('SELECT 1');
		await client.end();
	}
	const got = `${ended} sessions ended; four invocations opened ${opened} and closed ${closed}`;
	console.log(`17 sessions of ${user} asleep: ${got}`);
	failed ||= got !== want;
	client.quit();
	asleep.forEach((connection) => connection.destroy());
	await wait(1000);
}
async function run() {
	await ask('app_clone', '17 sessions ended; four invocations opened 1 and closed 0');
	await ask('app', '0 sessions ended; four invocations opened 4 and closed 4');
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
		--skip-name-resolve --max-connections=20 --pid-file="$temp/pid" 2>>"$temp/error.log" &
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


for user in app app_clone; do
	sql "CREATE USER $user@'127.0.0.1' IDENTIFIED BY 'Current-1'; GRANT PROCESS, CONNECTION ADMIN ON *.* TO $user@'127.0.0.1'"
done
node "$temp/node/ask.js" "$port"
