#!/usr/bin/env bash
# AWS Advanced NodeJS Wrapper: a cached secret is read again when the login is denied, but not when its password has expired.
#
# Ran:       aws-advanced-nodejs-wrapper 2.0.1 with its plugin secretsManager, mysql2 3.24.6 and @aws-sdk/client-secrets-manager 3.1164.0
#            (npm), against an HTTP server in this script, and MariaDB 10.11.19 of Debian 12, on 127.0.0.1.
# Guess:     a login that the server refuses with the cached secret makes the plugin read the secret again.
# Behaviour: the secret is cached without a time limit. The plugin reads it again only if the error says "Access denied": 1045, or 4151 for
#            a locked account. It does not after 1862 (password expired), nor if the login succeeds and every statement fails with
#            1820, as on a MariaDB that lets expired passwords log in. The process then keeps the old credential until it is restarted,
#            whatever the secret holds.
# Matters:   with two accounts, a process logs in as the previous one until the next rotation takes it away. If passwords expire sooner
#            than after two rotation intervals (default_password_lifetime), that account expires first, and the process stays
#            locked out. Let passwords live for more than two intervals, or exempt the accounts (PASSWORD EXPIRE NEVER).
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
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact aws-advanced-nodejs-wrapper@2.0.1 mysql2@3.24.6 \
	@aws-sdk/client-secrets-manager@3.1164.0 2>npm.log) || { cat "$temp/node/npm.log" >&2; exit 1; }
cat >"$temp/node/ask.mjs" <<'JS'
import http from 'node:http';
import { execFileSync } from 'node:child_process';
import { AwsMySQLClient } from 'aws-advanced-nodejs-wrapper/mysql';

const [, , socket, port] = process.argv;
const sql = (text) => execFileSync('mariadb', ['--no-defaults', '--user=root', `--socket=${socket}`, '--execute', text]);
let username = 'app', calls = 0, failed = false;
const server = http.createServer((request, response) => {
	request.resume().on('end', () => {
		calls++;
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		response.end(JSON.stringify({ Name: 'app', SecretString: JSON.stringify({ username, password: 'Current-1' }) }));
	});
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });

async function ask(text, want) {
	const before = calls;
	const client = new AwsMySQLClient({
		host: '127.0.0.1', port: Number(port), plugins: 'secretsManager',
		secretId: 'app', secretRegion: 'eu-west-1', secretEndpoint: `http://127.0.0.1:${server.address().port}`,
	});
	let got;
	try {
		await client.connect();
		const [rows] = await client.query({ sql: 'SELECT CURRENT_USER() AS user' });
		got = rows[0].user;
	} catch (e) {
		got = `error ${e.errno ?? e.cause?.errno ?? e.message}`;
	}
	await client.end().catch(() => {});
	got += `, ${calls - before} reads of the secret`;
	console.log(`${text}: ${got}`);
	failed ||= got !== want;
}
const accounts = ['app', 'app_clone'];
for (const name of accounts) sql(`CREATE USER ${name}@'127.0.0.1' IDENTIFIED BY 'Current-1'`);
await ask('first login', 'app@127.0.0.1, 1 reads of the secret');
username = 'app_clone';
await ask('the secret names the other account', 'app@127.0.0.1, 0 reads of the secret');
sql("SET GLOBAL disconnect_on_expired_password = ON; ALTER USER app@'127.0.0.1' PASSWORD EXPIRE");
await ask('the password of the cached account has expired', 'error 1862, 0 reads of the secret');
await ask('    again', 'error 1862, 0 reads of the secret');
sql('SET GLOBAL disconnect_on_expired_password = OFF');
await ask('the server lets it log in', 'error 1820, 0 reads of the secret');
sql("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'Current-1' ACCOUNT LOCK");
await ask('the cached account is locked', 'app_clone@127.0.0.1, 1 reads of the secret');
username = 'app';
sql("ALTER USER app@'127.0.0.1' ACCOUNT UNLOCK; ALTER USER app_clone@'127.0.0.1' IDENTIFIED BY 'Next-2'");
await ask('the cached account has another password', 'app@127.0.0.1, 1 reads of the secret');
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


node --no-warnings "$temp/node/ask.mjs" "$temp/s" "$port"
