#!/usr/bin/env bash
# mysql2's PoolCluster: one request with a stale password removes every server for good, and ends the connections that still work.
#
# Ran:       mysql2 3.24.6 (npm) with its defaults, and MariaDB 10.11.19 of Debian 12, on 127.0.0.1, which stands for two servers.
# Guess:     only servers that cannot be reached are taken out. A refused login is reported with 1045, and the next request tries again.
# Behaviour: a refused login counts like an unreachable server, and getConnection() goes on to the next server until each has refused
#            it five times (removeNodeErrorCount). Then all are removed. This request gets the 1045; every later one gets
#            POOL_NOEXIST, also when the password is right. Removing a server closes its pool, with the connections that were opened
#            before the rotation, even those in use. A server that refuses alone is removed without an error; only the events warn and
#            remove tell.
# Matters:   a process whose password was changed is out of service with the first new connection that it opens, until it makes
#            another cluster, and each server counts five failed logins. A replica that gets the new password a moment late is no
#            longer used. Set restoreNodeTimeout, so that servers come back, and canRetry: false, and watch the event remove.
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
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact mysql2@3.24.6)
cat >"$temp/node/ask.js" <<'JS'
const { execFileSync } = require('child_process');
const mysql2 = require('mysql2');

const [, , socket, port] = process.argv;
function sql(text) {
	return execFileSync('mariadb', ['--no-defaults', '--user=root', `--socket=${socket}`, '--batch', '--skip-column-names', '--execute', text]).toString().trim();
}
function refused() {
	return Number(sql("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'").split('\t')[1]);
}
let failed = false;
function expect(text, got, want) {
	console.log(`${text}: ${got}`);
	failed ||= got !== want;
}
function open(options, users) {
	const cluster = mysql2.createPoolCluster(options);
	const removed = [];
	cluster.on('remove', (name) => removed.push(name));
	for (const [name, user] of Object.entries(users)) cluster.add(name, { host: '127.0.0.1', port: Number(port), user, password: 'Old-1' });
	return { cluster, removed };
}
function connect(cluster) {
	return new Promise((done) => cluster.getConnection((e, connection) => done(e ? { code: e.code } : { code: 'connected', connection })));
}
async function ask(text, cluster, want, wantRefused) {
	const before = refused();
	const { code, connection } = await connect(cluster);
	connection?.release();
	expect(text, `${code}, ${refused() - before} refused logins`, `${want}, ${wantRefused} refused logins`);
}
async function rotate(options, name) {
	sql("CREATE OR REPLACE USER app@'127.0.0.1' IDENTIFIED BY 'Old-1'");
	const { cluster, removed } = open(options, { primary: 'app', replica: 'app' });
	const early = [(await connect(cluster)).connection, (await connect(cluster)).connection];
	early.forEach((connection) => connection.on('error', () => {}));
	sql("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'New-2'");
	console.log(name);
	return { cluster, removed, early };
}
async function run() {
	const { cluster, removed, early } = await rotate({}, 'the password was changed, two connections are open');
	await ask('    one request', cluster, 'ER_ACCESS_DENIED_ERROR', 10);
	expect('    removed', removed.join(), 'primary,replica');
	const works = await Promise.all(early.map((connection) => new Promise((done) => connection.query('SELECT 1', (e) => done(e ? 'closed' : 'works')))));
	expect('    the connections in use', works.join(), 'closed,closed');
	sql("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'Old-1'");
	await ask('    one request, with the right password', cluster, 'POOL_NOEXIST', 0);

	const careful = await rotate({ canRetry: false, restoreNodeTimeout: 1000 }, 'the same with canRetry: false and restoreNodeTimeout of a second');
	await ask('    one request', careful.cluster, 'ER_ACCESS_DENIED_ERROR', 1);
	expect('    removed', careful.removed.join() || 'none', 'none');

	sql("CREATE OR REPLACE USER app@'127.0.0.1' IDENTIFIED BY 'Old-1'; CREATE USER late@'127.0.0.1' IDENTIFIED BY 'Other-1'");
	console.log('one server refuses for a moment');
	const half = open({ defaultSelector: 'RR' }, { primary: 'app', replica: 'late' });
	const before = refused();
	const codes = new Set();
	for (let i = 0; i < 12; i++) {
		const { code, connection } = await connect(half.cluster);
		codes.add(code);
		connection?.release();
	}
	expect('    twelve requests', `${[...codes].join()}, ${refused() - before} refused logins`, 'connected, 5 refused logins');
	expect('    removed', half.removed.join(), 'replica');
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


node "$temp/node/ask.js" "$temp/s" "$port"
