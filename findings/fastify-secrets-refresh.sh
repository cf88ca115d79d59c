#!/usr/bin/env bash
# fastify-secrets-aws: refresh() fails once the server has started, and with a namespace it does not find one secret by its key.
#
# Ran:       fastify-secrets-aws 1.0.0 with fastify-secrets-core 1.2.1, fastify 3.29.5 and aws-sdk 2.1693.0 (npm), against an HTTP server in
#            this script.
# Guess:     as fastify-secrets-core documents it, refresh() after a rotation replaces the values, and refresh('db') that of db. If
#            Secrets Manager throttles the call, the error says so, and the old value stays. (The code was read before the runs with a
#            namespace.)
# Behaviour: without a namespace, refresh() always fails after the server has started ("The decorator 'secrets' has been added after
#            start"), because Fastify accepts no decorator then. The old value stays. With a namespace, refresh() works, but not
#            refresh('db'): it asks for a secret that is named db, not for the one that db stands for, and refresh('app') adds a
#            value under app. Throttling is reported as "Secret not found".
# Matters:   a server that refreshes after a refused login keeps the password with which it started, and an alert that looks for throttling
#            finds none. Use a namespace, call refresh() without a name, and read fastify.secrets.NAMESPACE again each time: the
#            object is replaced.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact fastify-secrets-aws@1.0.0 fastify-secrets-core@1.2.1 fastify@3.29.5 aws-sdk@2.1693.0 2>npm.log || { cat npm.log >&2; exit 1; }
cat >refresh.js <<'JS'
const http = require('http');
const AWS = require('aws-sdk');
const plugin = require('fastify-secrets-aws');

let password = 'first', throttled = false, failed = false;
const server = http.createServer((request, response) => {
	const body = [];
	request.on('data', (part) => body.push(part)).on('end', () => {
		const name = JSON.parse(Buffer.concat(body)).SecretId;
		let answer = { Name: name, SecretString: password };
		if (throttled) answer = { __type: 'ThrottlingException', Message: 'Rate exceeded' };
		else if (name !== 'app') answer = { __type: 'ResourceNotFoundException', Message: "Secrets Manager can't find the specified secret." };
		response.statusCode = answer.__type ? 400 : 200;
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		response.end(JSON.stringify(answer));
	});
});
async function start(namespace) {
	password = 'first';
	const fastify = require('fastify')();
	fastify.register(plugin, { secrets: { db: 'app' }, ...(namespace && { namespace }) });
	await fastify.ready();
	password = 'second';
	return () => (namespace ? fastify.secrets[namespace] : fastify.secrets);
}
async function refresh(text, secrets, argument, expected) {
	const outcome = await secrets().refresh(argument).then(() => 'done', (e) => e.message);
	const got = `${outcome}; ${Object.entries(secrets()).filter(([, value]) => typeof value === 'string').map((pair) => pair.join('=')).join(', ')}`;
	console.log(`${text}: ${got}`);
	failed ||= got !== expected;
}
async function run() {
	AWS.config.update({
		region: 'eu-west-1', maxRetries: 0, credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
		secretsmanager: { endpoint: `http://127.0.0.1:${server.address().port}` },
	});
	let secrets = await start();
	await refresh('refresh()', secrets, undefined, "The decorator 'secrets' has been added after start!; db=first");
	secrets = await start('aws');
	await refresh("with a namespace, refresh('db')", secrets, 'db', 'Secret not found: db; db=first');
	await refresh("with a namespace, refresh('app')", secrets, 'app', 'done; db=first, app=second');
	throttled = true;
	await refresh('with a namespace, throttled', secrets, undefined, 'Secret not found: app; db=first, app=second');
	throttled = false;
	await refresh('with a namespace, refresh()', secrets, undefined, 'done; db=second, app=second');
	console.log(failed ? 'the behaviour has changed' : 'as described');
	process.exit(failed ? 1 : 0);
}
server.listen(0, '127.0.0.1', run);
JS
node --no-warnings refresh.js
