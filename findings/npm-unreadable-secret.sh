#!/usr/bin/env bash
# config-dug and nestjs-aws-secrets-manager: when Secrets Manager refuses, the program starts with a default password, or with none.
#
# Ran:       config-dug 1.9.0 and nestjs-aws-secrets-manager 1.1.3 with @nestjs/common 9.4.3 and @aws-sdk/client-secrets-manager 3.1164.0
#            (npm), against an HTTP server in this script.
# Guess:     (what its users would expect; its code was read before the run) if the secret cannot be read, the call fails, and the program
#            does not start.
# Behaviour: both write the error to the log and go on. config-dug takes the secret for an empty object, so that what the configuration
#            files say stands, also with NODE_ENV=production. nestjs-aws-secrets-manager returns undefined from getSecretsByID() and from
#            getAllSecrects(). With isSetToEnv it sets nothing, and it sets the environment only after the module has been made.
# Matters:   one throttled call during a restart of many instances, and an instance logs in with the password of the development
#            database, or with none, until it is restarted. The server answers 1045, as for a stale password, and counts a failed login.
#            Check the returned value, and stop if there is no password. Keep no password in config.default.js.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact config-dug@1.9.0 nestjs-aws-secrets-manager@1.1.3 @nestjs/common@9.4.3 \
	reflect-metadata@0.1.14 rxjs@7.8.2 @aws-sdk/client-secrets-manager@3.1164.0 2>npm.log || { cat npm.log >&2; exit 1; }
cat >server.js <<'JS'
const fs = require('fs');
const server = require('http').createServer((request, response) => {
	request.resume().on('end', () => {
		const throttled = fs.existsSync('throttled');
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		response.statusCode = throttled ? 400 : 200;
		response.end(JSON.stringify(throttled
			? { __type: 'ThrottlingException', Message: 'Rate exceeded' }
			: { Name: 'app', SecretString: '{"username":"app","password":"current"}' }));
	});
});
server.listen(0, '127.0.0.1', () => { fs.writeFileSync('port.new', `${server.address().port}`); fs.renameSync('port.new', 'port'); });
JS
cat >config.default.js <<'JS'
module.exports = { awsSecretsManagerName: 'app', awsSecretsManagerRegion: 'eu-west-1', username: 'app', password: 'for development' };
JS
cat >dug.js <<'JS'
const { username, password } = require('config-dug').default;
console.log(`${username}, ${password}`);
JS
cat >nest.js <<'JS'
require('reflect-metadata');
const { AWSSecretsService } = require('nestjs-aws-secrets-manager');
const { SecretsManager } = require('@aws-sdk/client-secrets-manager');
require('@nestjs/common').Logger.overrideLogger(false);
async function run() {
	const service = new AWSSecretsService({ secretsManager: new SecretsManager(), secretsSource: 'app', isSetToEnv: true });
	const early = process.env.password;
	const byID = await service.getSecretsByID('app');
	const all = await service.getAllSecrects();
	console.log(`${byID?.password}, ${all?.password}, in the environment ${early}, later ${process.env.password}`);
}
run();
JS
node server.js &
pid=$!
for _ in $(seq 100); do
	if [ -e port ]; then break; fi
	sleep 0.1
done
AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:$(cat port)
export AWS_ENDPOINT_URL_SECRETS_MANAGER AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test NODE_ENV=production

failed=0
expect() { # TEXT FILE EXPECTED
	local got
	got=$(node --no-warnings "$2" 2>>errors.log) || got="failed: $(tail -n 1 errors.log)"
	printf '%s: %s\n' "$1" "$got"
	if [ "$got" != "$3" ]; then failed=1; fi
}
expect 'config-dug' dug.js 'app, current'
expect 'nestjs-aws-secrets-manager' nest.js 'current, current, in the environment undefined, later current'
touch throttled
expect 'config-dug, throttled' dug.js 'app, for development'
expect 'nestjs-aws-secrets-manager, throttled' nest.js 'undefined, undefined, in the environment undefined, later undefined'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
