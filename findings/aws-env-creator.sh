#!/usr/bin/env bash
# aws-env-creator: a password with # is cut in the .env file, and a read that fails deletes the file.
#
# Ran:       @nekonomokochan/aws-env-creator 2.0.4 with aws-sdk 2.1693.0, and dotenv 16.6.1 (npm), against an HTTP server in this script.
# Guess:     the values are quoted, so that dotenv reads the password of the secret. (And, as its users would expect, that the file stays if
#            the secret cannot be read.)
# Behaviour: the values are written as they are. dotenv takes # for the beginning of a comment, wherever it stands, and removes quotes
#            around the value. The file that exists is deleted before Secrets Manager is asked, so after an error there is none.
# Matters:   a deployment works until a rotation draws a password with a # in it, which GetRandomPassword does by default. A cron job that
#            writes the file again after each rotation leaves a program that restarts without its configuration when one call is
#            throttled. Exclude # from generated passwords, write to another file name, and rename it after success.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf --one-file-system "$temp"' EXIT
cd "$temp"
npm init --yes >/dev/null
npm install --no-audit --no-fund --silent --save-exact @nekonomokochan/aws-env-creator@2.0.4 aws-sdk@2.1693.0 dotenv@16.6.1 2>npm.log || { cat npm.log >&2; exit 1; }
cat >ask.js <<'JS'
const fs = require('fs');
const aws = require('aws-sdk');
const dotenv = require('dotenv');
const { createEnvFile, EnvFileType } = require('@nekonomokochan/aws-env-creator');

let password = '', failed = false;
const server = require('http').createServer((request, response) => {
	request.resume().on('end', () => {
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		response.statusCode = password ? 200 : 400;
		response.end(JSON.stringify(password
			? { Name: 'app', SecretString: JSON.stringify({ password }) }
			: { __type: 'AccessDeniedException', Message: 'not allowed' }));
	});
});
function write() {
	return createEnvFile({ type: EnvFileType.dotenv, outputDir: './', secretIds: ['app'], region: 'eu-west-1' });
}
function expect(text, got, want) {
	console.log(`${text}: ${got}`);
	failed ||= got !== want;
}
async function ask(secret, want) {
	password = secret;
	await write();
	expect(`the secret has ${secret}, dotenv reads`, dotenv.parse(fs.readFileSync('.env')).password, want);
}
server.listen(0, '127.0.0.1', async () => {
	aws.config.update({ accessKeyId: 'test', secretAccessKey: 'test', maxRetries: 0, secretsmanager: { endpoint: `http://127.0.0.1:${server.address().port}` } });
	await ask('Kx7!mQ2$vB9', 'Kx7!mQ2$vB9');
	await ask('Kx7#mQ2$vB9', 'Kx7');
	await ask("'Kx7mQ2vB9'", 'Kx7mQ2vB9');
	password = '';
	const error = await write().then(() => 'none', (e) => e.message);
	expect('not allowed, error', error, 'AccessDeniedException');
	expect('    the file of the run before', fs.existsSync('.env') ? 'is there' : 'is gone', 'is gone');
	console.log(failed ? 'the behaviour has changed' : 'as described');
	process.exit(failed ? 1 : 0);
});
JS
AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1 node --no-warnings ask.js
