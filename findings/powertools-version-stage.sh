#!/usr/bin/env bash
# Powertools for AWS Lambda (TypeScript): getSecret with AWSPREVIOUS returns the value that was cached for AWSCURRENT, and the other way round.
#
# Ran:       @aws-lambda-powertools/parameters 2.35.0 with @aws-sdk/client-secrets-manager 3.1164.0 (npm), against an HTTP server in
#            this script.
# Guess:     what is cached is one version of the secret, so a call that asks for another staging label is another entry.
# Behaviour: the entry is found by name and transform alone. A call with VersionStage AWSPREVIOUS, or with a VersionId, gets what an earlier
#            call without them got, for maxAge (5 seconds by default), without a request. After a call for AWSPREVIOUS, a plain call
#            gets the previous credential.
# Matters:   a function that falls back to AWSPREVIOUS when a login is refused tries the same password twice. One that looks at
#            AWSPREVIOUS first, then connects with a credential that the next rotation takes away. Pass forceFetch: true with
#            every call that names a label or a version, and in the call after it.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact @aws-lambda-powertools/parameters@2.35.0 @aws-sdk/client-secrets-manager@3.1164.0 2>npm.log || { cat npm.log >&2; exit 1; }
cat >ask.mjs <<'JS'
import http from 'node:http';
import { SecretsProvider } from '@aws-lambda-powertools/parameters/secrets';

let calls = 0, failed = false;
const server = http.createServer((request, response) => {
	let body = '';
	request.on('data', (part) => (body += part)).on('end', () => {
		calls++;
		const { VersionStage = 'AWSCURRENT', VersionId } = JSON.parse(body);
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		response.end(JSON.stringify({ Name: 'app', SecretString: `value of ${VersionId ?? VersionStage}` }));
	});
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
async function ask(text, ...requests) {
	const provider = new SecretsProvider({
		clientConfig: { region: 'eu-west-1', endpoint: `http://127.0.0.1:${server.address().port}`, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } },
	});
	calls = 0;
	console.log(text);
	for (const [name, options, expected] of requests) {
		const got = await provider.get('app', options);
		console.log(`    ${name}: ${got} (${calls} requests)`);
		failed ||= got !== expected;
	}
}
const previous = { sdkOptions: { VersionStage: 'AWSPREVIOUS' } };
const version = { sdkOptions: { VersionId: '2f8b6f5e-6f3c-4a35-8f0f-3d3b2c9e7a10' } };
const current = 'value of AWSCURRENT';
await ask('the current value first', ['no label', {}, current], ['AWSPREVIOUS', previous, current], ['a version id', version, current],
	['AWSPREVIOUS, forceFetch', { ...previous, forceFetch: true }, 'value of AWSPREVIOUS'], ['no label, after it', {}, 'value of AWSPREVIOUS']);
await ask('the previous value first', ['AWSPREVIOUS', previous, 'value of AWSPREVIOUS'], ['no label', {}, 'value of AWSPREVIOUS'],
	['no label, forceFetch', { forceFetch: true }, current]);
server.close();
server.closeAllConnections();
console.log(failed ? 'the behaviour has changed' : 'as described');
process.exit(failed ? 1 : 0);
JS
node --no-warnings ask.mjs
