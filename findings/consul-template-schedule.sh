#!/usr/bin/env bash
# consul-template: a static credential that Vault rotates by a schedule is not read again when its time to live is over.
#
# Ran:       consul-template v0.41.1, against an HTTP server in this script that answers as Vault 1.21 does for static-creds.
# Guess:     consul-template reads a static credential again when the ttl in Vault's answer has passed, however the role is rotated.
# Behaviour: it does so if the answer has rotation_period. If the role has a rotation_schedule instead, the answer has that, and
#            consul-template ignores the ttl. With a ttl of three seconds it had not asked again after twenty. It treats the answer
#            like any other without a lease, for which its documentation gives five minutes.
# Matters:   the role's password has changed, and the application's file still has the old one, which is refused at once: a static role
#            has no second account. With schedules, lower default_lease_duration in consul-template's vault block, or rotate by period.
set -euo pipefail

temp=$(mktemp -d)
pids=()
finish() {
	if [ ${#pids[@]} -gt 0 ]; then kill -KILL "${pids[@]}" 2>/dev/null && wait "${pids[@]}" 2>/dev/null || true; fi
	chmod -R u+w "$temp"
	rm -rf --one-file-system "$temp"
}
trap finish EXIT

GOWORK=off GOMODCACHE="$temp/modules" GOBIN="$temp" go install github.com/hashicorp/consul-template@v0.41.1 2>"$temp/go.log" || { tail "$temp/go.log" >&2; exit 1; }
cat >"$temp/vault.js" <<'JS'
const [, , port, rotation] = process.argv;
const fs = require('fs');
let reads = 0;
const server = require('http').createServer((request, response) => {
	response.setHeader('Content-Type', 'application/json');
	if (!request.url.startsWith('/v1/database/static-creds/')) {
		response.statusCode = 404;
		return response.end('{"errors":[]}');
	}
	reads++;
	const data = { username: 'app', password: `read-${reads}`, last_vault_rotation: '2026-11-28T10:00:00Z', ttl: 3 };
	Object.assign(data, rotation === 'schedule' ? { rotation_schedule: '0 * * * *' } : { rotation_period: 3600 });
	response.end(JSON.stringify({ request_id: 'test', lease_id: '', renewable: false, lease_duration: 0, data }));
});
server.listen(0, '127.0.0.1', () => fs.writeFileSync(port, String(server.address().port)));
JS
printf '{{ with secret "database/static-creds/app" }}{{ .Data.password }}{{ end }}' >"$temp/app.tpl"

# started ROTATION: starts both, and waits until the file has been written.
started() {
	node "$temp/vault.js" "$temp/port.$1" "$1" &
	pids+=($!)
	for _ in $(seq 100); do if [ -s "$temp/port.$1" ]; then break; fi; sleep 0.1; done
	"$temp/consul-template" -vault-addr "http://127.0.0.1:$(cat "$temp/port.$1")" -vault-token test -vault-renew-token=false \
		-template "$temp/app.tpl:$temp/app.$1" >"$temp/log.$1" 2>&1 &
	pids+=($!)
	for _ in $(seq 100); do if [ -s "$temp/app.$1" ]; then return; fi; sleep 0.1; done
	cat "$temp/log.$1" >&2
	exit 1
}
# A rotation shows as a change of the file after the start, at which consul-template reads twice.
failed=0
for rotation in period schedule; do
	started "$rotation"
	sleep 1
	first=$(cat "$temp/app.$rotation")
	sleep 20
	if [ "$(cat "$temp/app.$rotation")" = "$first" ]; then got='the old credential'; else got='a new credential'; fi
	printf 'rotation_%s, ttl of 3 seconds, after 20 seconds: %s\n' "$rotation" "$got"
	if [ "$rotation $got" != 'period a new credential' ] && [ "$rotation $got" != 'schedule the old credential' ]; then failed=1; fi
done

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
