#!/usr/bin/env bash
# Runs the tutorial on docker-compose.yml. Without a Docker engine it says so, and only checks the files.
set -euo pipefail
cd "$(dirname "$0")/.."

go test -C devstack -count=1 -run 'TestComposeFile|TestImagesArePinned|TestDockerfilesCopyWhatIsBuilt' .
if ! docker info >/dev/null 2>&1; then
	echo "compose-check: no Docker engine answers here, so docker-compose.yml was only parsed" >&2
	exit 0
fi

# Its own project, so that containers that are up stay as they are. The published ports must be free.
compose() { docker compose --project-name rotate-user-check "$@"; }
end() {
	status=$?
	if [ "$status" != 0 ]; then compose logs --tail 50 >&2 || true; fi
	compose --profile tools down --volumes --timeout 5 >/dev/null 2>&1 || true
	exit "$status"
}
trap end EXIT

secret=MyTestDatabaseUserSecret
starter() { compose run --rm --no-TTY starter "$@"; }
compose up --build --detach --wait worker
starter create --secret-id "$secret" --master-secret-id MyTestDatabaseMasterSecret --username mytestuser --grant 'SELECT ON *.*'
starter validate --secret-id "$secret"
starter start --secret-id "$secret"
for _ in 1 2; do starter rotate --secret-id "$secret" --force; done
starter status --secret-id "$secret"
starter delete --secret-id "$secret" --force
echo "compose-check: passed"
