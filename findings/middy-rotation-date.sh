#!/usr/bin/env bash
# Middy: fetchRotationDate asks when a secret will be rotated, and does not fetch it again when that time has come.
#
# Ran:       @middy/secrets-manager 6.4.5 with @middy/core 6.4.5 and @aws-sdk/client-secrets-manager 3.1164.0 (npm), against an HTTP
#            server in this script.
# Guess:     with fetchRotationDate: true, the middleware keeps a secret until its NextRotationDate, and then fetches it. If the secret
#            has no such date, because something other than Secrets Manager rotates it, the middleware does not cache it for good.
# Behaviour: it calls DescribeSecret and GetSecretValue once. After NextRotationDate it serves the old credential, for as long as the
#            process lives, and so it does without such a date. With cacheExpiry it fetches the secret again after that time.
# Matters:   warm Lambda functions use the old credential until the next rotation takes it away, and are refused then. Set cacheExpiry to less
#            than the overlap of your rotation, and do not rely on fetchRotationDate.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact @middy/core@6.4.5 @middy/secrets-manager@6.4.5 @middy/util@6.4.5 @aws-sdk/client-secrets-manager@3.1164.0 2>npm.log || { cat npm.log >&2; exit 1; }
cat >ask.mjs <<'JS'
import http from 'node:http';
import middy from '@middy/core';
import secretsManager from '@middy/secrets-manager';

const now = Date.now() / 1000;
let failed = false;
async function ask(text, nextRotation, options, expected) {
	let password = 'old', calls = 0;
	const server = http.createServer((request, response) => {
		calls++;
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		const described = { Name: 'app', LastChangedDate: now, ...(nextRotation && { NextRotationDate: Date.now() / 1000 + nextRotation }) };
		const value = { Name: 'app', SecretString: JSON.stringify({ password }) };
		request.resume().on('end', () => response.end(JSON.stringify(request.headers['x-amz-target'].endsWith('DescribeSecret') ? described : value)));
	});
	await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
	const handler = middy()
		.use(secretsManager({
			fetchData: { app: 'app' }, setToContext: true, cacheKey: text, ...options,
			awsClientOptions: { region: 'eu-west-1', endpoint: `http://127.0.0.1:${server.address().port}`, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } },
		}))
		.handler(async (event, context) => context.app.password);
	const invoke = () => handler({}, { getRemainingTimeInMillis: () => 5000 });
	const first = await invoke();
	password = 'new';
	await new Promise((done) => setTimeout(done, 4000));
	const got = `${first}, ${await invoke()} after 4 seconds`;
	console.log(`${text}: ${got} (${calls} calls)`);
	failed ||= got !== expected;
	server.close();
	server.closeAllConnections();
}
await ask('rotated after 2 seconds', 2, { fetchRotationDate: true }, 'old, old after 4 seconds');
await ask('without NextRotationDate', 0, { fetchRotationDate: true }, 'old, old after 4 seconds');
await ask('cacheExpiry of 2 seconds', 0, { cacheExpiry: 2000 }, 'old, new after 4 seconds');
console.log(failed ? 'the behaviour has changed' : 'as described');
process.exit(failed ? 1 : 0);
JS
node --no-warnings ask.mjs
