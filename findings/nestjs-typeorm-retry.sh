#!/usr/bin/env bash
# NestJS with TypeORM: all attempts of a start use the secret that was read before the first.
#
# Ran:       @nestjs/typeorm 11.0.0, @nestjs/core 11.1.6, typeorm 0.3.27 and mysql2 3.24.6 (npm), and MariaDB 10.11.19 of Debian 12, on
#            127.0.0.1.
# Guess:     TypeOrmModule.forRootAsync() asks its factory, which reads the secret, again at each attempt to connect.
# Behaviour: the factory is asked once. After a refused login, the same options are tried again, every three seconds by default, and after
#            nine refused logins the start fails with 1045.
# Matters:   a rotation of a single account changes the password before it moves AWSCURRENT. An instance that starts in between reads
#            the previous password, is refused nine times, and ends after 24 seconds, when the secret has long been right. It also
#            reaches limits on failed logins. Log in once in the factory, and read the secret again there if that is refused.
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
(cd "$temp/node" && npm init --yes >/dev/null && npm install --no-audit --no-fund --silent --save-exact @nestjs/typeorm@11.0.0 @nestjs/core@11.1.6 \
	@nestjs/common@11.1.6 typeorm@0.3.27 mysql2@3.24.6 reflect-metadata@0.2.2 rxjs@7.8.2 2>npm.log) || { cat "$temp/node/npm.log" >&2; exit 1; }
cat >"$temp/node/ask.js" <<'JS'
require('reflect-metadata');
const { NestFactory } = require('@nestjs/core');
const { Module, Logger } = require('@nestjs/common');
const { TypeOrmModule } = require('@nestjs/typeorm');

const [, , port, ...passwords] = process.argv;
let asked = 0;
class App {}
Module({
	imports: [TypeOrmModule.forRootAsync({
		useFactory: async () => ({
			type: 'mysql', host: '127.0.0.1', port: Number(port), username: 'app',
			password: passwords[Math.min(asked++, passwords.length - 1)], retryDelay: 200,
		}),
	})],
})(App);
Logger.overrideLogger(false);
NestFactory.createApplicationContext(App, { abortOnError: false })
	.then(() => 'started', (e) => `error ${e.errno}`)
	.then((result) => {
		console.log(`${result}, factory asked ${asked} times`);
		process.exit(0);
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

failed=0
expect() { # TEXT ACTUAL EXPECTED
	printf '%s: %s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
refused() { sql "SHOW GLOBAL STATUS LIKE 'Access_denied_errors'" | cut -f 2; }
ask() { node --no-warnings "$temp/node/ask.js" "$port" "$@"; }

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'New-2'"
expect 'the secret has the right password' "$(ask New-2)" 'started, factory asked 1 times'
before=$(refused)
expect 'the secret is right from the second read on' "$(ask Old-1 New-2)" 'error 1045, factory asked 1 times'
expect '    refused logins' "$(($(refused) - before))" 9

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
