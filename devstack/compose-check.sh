#!/usr/bin/env bash
# Follows docs/tutorial.md on docker-compose.yml, in a project of its own, and removes it again. Without a Docker engine it
# says so, and only checks the files. It needs the AWS CLI and jq, as the tutorial does, and curl.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "compose-check: $*" >&2; }

go test -C devstack -count=1 -run 'TestComposeFile|TestImagesArePinned|TestDockerfilesCopyWhatIsBuilt' .
if ! docker version >/dev/null 2>&1; then
	say "no Docker engine answers here, so docker-compose.yml was only parsed"
	exit 0
fi

project=rotate-user-check
work=$(mktemp -d)
compose=(docker compose)
if ! docker compose version >/dev/null 2>&1; then
	program=$(devstack/standin/install-compose.sh)
	compose=("$program")
fi
compose() { "${compose[@]}" --project-name "$project" --file docker-compose.yml --file "$work/images.yml" "$@"; }
end() {
	status=$?
	if [ "$status" != 0 ] && [ -e "$work/images.yml" ]; then compose logs --tail 50 >&2 || true; fi
	if [ -e "$work/images.yml" ]; then compose --profile tools down --volumes --timeout 5 >/dev/null 2>&1 || true; fi
	docker images --format '{{.Repository}}:{{.Tag}}' --filter "reference=$project/*" | xargs --no-run-if-empty docker rmi >/dev/null || true
	rm -rf "$work"
	exit "$status"
}
trap end EXIT

# Images that are built here have names of their own, and ports are free ones, so that whatever is up stays as it is.
devstack/standin/images.sh "$project" "$work"
compose up --detach --wait worker

secret=SecretsManagerTutorialAppuser
starter() { compose run --rm --no-TTY starter "$@"; }
admin() { compose exec --no-TTY mysql sh -c 'MYSQL_PWD=$(cat /setup/root-password) exec mysql --user=root "$@"' - "$@"; }

# app does what an application does: it reads the secret and logs in, over verified TLS. It prints who it is.
app() {
	local value
	value=$(AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws secretsmanager get-secret-value --secret-id "$secret" \
		--version-stage "$1" --query SecretString --output text --region us-east-1 --endpoint-url "http://$(compose port secretsmanager 4584)") || return
	MYSQL_PWD=$(jq -r .password <<<"$value") compose exec --no-TTY --env MYSQL_PWD mysql mysql --host=mysql \
		--user="$(jq -r .username <<<"$value")" --ssl-mode=VERIFY_IDENTITY --ssl-ca=/setup/ca.pem \
		--skip-column-names --batch --execute 'SELECT CURRENT_USER(); SHOW GRANTS'
}

expect() {
	if [ "$1" != "$2" ]; then
		say "got \"$1\", want \"$2\""
		exit 1
	fi
}
refused() {
	if "$@" >"$work/refused" 2>&1; then
		say "\"$*\" should be refused"
		exit 1
	fi
	cat "$work/refused"
}

say "step 1: a database, and step 2: a user with a secret, rotated every two days"
admin --execute 'CREATE DATABASE myDB'
starter create --secret-id "$secret" --master-secret-id MyTestDatabaseMasterSecret --username appuser --dbname myDB --grant 'SELECT ON myDB.*'
starter validate --secret-id "$secret"
starter start --secret-id "$secret" --automatically-after-days 2 --duration 2h

say "step 3: both credentials log in, and rotating again takes --force"
expect "$(app AWSCURRENT | head -n 1)" appuser_clone@%
expect "$(app AWSPREVIOUS | head -n 1)" appuser@%
expect "$(app AWSCURRENT | tail -n 1)" 'GRANT SELECT ON `myDB`.* TO `appuser_clone`@`%`'
refused starter rotate --secret-id "$secret"
starter rotate --secret-id "$secret" --force
expect "$(app AWSCURRENT | head -n 1)" appuser@%
expect "$(app AWSPREVIOUS | head -n 1)" appuser_clone@%
starter status --secret-id "$secret"
curl --silent --fail --output /dev/null "http://$(compose port temporal 8233)"
curl --silent --fail "http://$(compose port worker 9464)/metrics" >"$work/metrics"
grep --max-count 3 ^rotate_user_ "$work/metrics"

say "beyond AWS's tutorial: rights that follow, and a credential that leaked"
admin --execute 'GRANT INSERT ON myDB.* TO appuser'
planned=0
starter plan --secret-id "$secret" || planned=$?
expect "$planned" 3
starter rotate --secret-id "$secret" --force --revoke-previous
expect "$(app AWSCURRENT | tail -n 1)" 'GRANT SELECT, INSERT ON `myDB`.* TO `appuser_clone`@`%`'
refused app AWSPREVIOUS

say "step 4: clean up"
starter delete --secret-id "$secret" --recovery-window-in-days 7
refused app AWSCURRENT
say "passed"
if [ -s "$work/replaced" ]; then sed 's/^/compose-check: /' "$work/replaced" >&2; fi
