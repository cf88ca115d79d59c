#!/usr/bin/env bash
# @janiscommerce/aws-secrets-manager: one request that fails is remembered, and the secret cannot be read for a day.
#
# Ran:       @janiscommerce/aws-secrets-manager 1.1.1 with @aws-sdk/client-secrets-manager 3.1164.0 (npm), against an HTTP server in this
#            script.
# Guess:     values are cached for a day, as its documentation says, and errors are not: the next call asks Secrets Manager again.
# Behaviour: the answer is cached before it has come. If it is an error, every later getValue() of the process fails with that error,
#            without a request, also when Secrets Manager would answer. clearFromCache() ends it.
# Matters:   a process that is throttled once, or that starts before its role may read the secret, stays broken until it is restarted.
#            After a failed getValue(), and after a refused login, call clearFromCache() before you ask again.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact @janiscommerce/aws-secrets-manager@1.1.1 @aws-sdk/client-secrets-manager@3.1164.0 2>npm.log || { cat npm.log >&2; exit 1; }
cat >ask.js <<'JS'
let failing = true, calls = 0, failed = false;
const server = require('http').createServer((request, response) => {
	request.resume().on('end', () => {
		calls++;
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		response.statusCode = failing ? 400 : 200;
		response.end(JSON.stringify(failing
			? { __type: 'AccessDeniedException', Message: 'not allowed' }
			: { Name: 'app', SecretString: '{"password":"current"}' }));
	});
});
server.listen(0, '127.0.0.1', async () => {
	process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = `http://127.0.0.1:${server.address().port}`;
	Object.assign(process.env, { AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
	const secret = require('@janiscommerce/aws-secrets-manager').AwsSecretsManager.secret('app');
	async function ask(text, want) {
		const got = await secret.getValue().then((value) => value.password, (e) => `error: ${e.message}`);
		const line = `${got} (${calls} requests)`;
		console.log(`${text}: ${line}`);
		failed ||= line !== want;
	}
	await ask('while the role may not read the secret', 'error: not allowed (1 requests)');
	failing = false;
	await ask('when it may', 'error: not allowed (1 requests)');
	await ask('once more', 'error: not allowed (1 requests)');
	secret.clearFromCache();
	await ask('after clearFromCache()', 'current (2 requests)');
	console.log(failed ? 'the behaviour has changed' : 'as described');
	process.exit(failed ? 1 : 0);
});
JS
node --no-warnings ask.js
