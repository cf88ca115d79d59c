#!/usr/bin/env bash
# @keyv/mysql: closing the store with the previous credential closes the store with the current one, and leaves its own session open.
#
# Ran:       @keyv/mysql 2.1.10 (npm), and MariaDB 10.11.19 of Debian 12, on 127.0.0.1.
# Guess:     (earlier versions had one pool for the whole process, as we remembered) each store has its own pool by now: a program that
#            opens a store with the next credential, and then disconnects the previous one, goes on.
# Behaviour: the process has one pool, that of the store that was opened last. disconnect() of any store closes it: every call of the
#            current store fails with "Pool is closed.", and the session of the previous store stays open.
# Matters:   the usual way to rotate (open, switch, close the old one) breaks the cache of a process at each rotation, and leaves a session of
#            the previous account, which a rotator that looks at sessions takes for one in use. Have one store in a process. On a
#            rotation, disconnect it before you open the next one, or start the process again.
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
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact @keyv/mysql@2.1.10 mysql2@3.24.6)
cat >"$temp/node/ask.mjs" <<'JS'
import { execFileSync } from 'node:child_process';
import KeyvMysql from '@keyv/mysql';

const [, , socket, port] = process.argv;
function sql(text) {
	return execFileSync('mariadb', ['--no-defaults', '--user=root', `--socket=${socket}`, '--batch', '--skip-column-names', '--execute', text]).toString().trim();
}
async function sessions() {
	let got;
	for (let i = 0; i < 5; i++) { // a session that was closed may be listed for a moment
		await new Promise((done) => setTimeout(done, 200));
		got = sql("SELECT IFNULL(GROUP_CONCAT(USER ORDER BY USER), 'none') FROM information_schema.PROCESSLIST WHERE USER IN ('app', 'app_clone')");
	}
	return got;
}
let failed = false;
function expect(text, got, want) {
	console.log(`    ${text}: ${got}`);
	failed ||= got !== want;
}
function open(user) {
	return new KeyvMysql(`mysql://${user}:Current-1@127.0.0.1:${port}/shop`);
}
const read = (store) => store.get('key').then((value) => String(value), (e) => e.message);

sql('CREATE DATABASE shop');
for (const user of ['app', 'app_clone']) sql(`CREATE USER ${user}@'127.0.0.1' IDENTIFIED BY 'Current-1'; GRANT ALL ON shop.* TO ${user}@'127.0.0.1'`);

console.log('open the next store, close the previous one');
const previous = open('app');
await previous.set('key', 'value');
expect('the first store', await read(previous), 'value');
const current = open('app_clone');
expect('the store with the other account', await read(current), 'value');
expect('sessions', await sessions(), 'app,app_clone');
await previous.disconnect();
expect('the previous store was closed, the current one', await read(current), 'Pool is closed.');
expect('sessions', await sessions(), 'app');

console.log('close the previous store, open the next one');
const before = open('app_clone');
expect('a store', await read(before), 'value');
await before.disconnect();
const after = open('app');
expect('it was closed, the next one', await read(after), 'value');
expect('sessions, with the one left above', await sessions(), 'app,app');
console.log(failed ? 'the behaviour has changed' : 'as described');
process.exit(failed ? 1 : 0);
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


node "$temp/node/ask.mjs" "$temp/s" "$port"
