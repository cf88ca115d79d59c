#!/usr/bin/env bash
# mysqld_exporter: a reload that fails is answered with 200, and SIGHUP ends the process.
#
# Ran:       mysqld_exporter 0.19.0 of Debian sid, and MariaDB 10.11.19 of Debian 12, on 127.0.0.1.
# Guess:     POST /-/reload answers with an error if it cannot load the new option file. (There was no guess about SIGHUP, which makes
#            Prometheus itself reload.)
# Behaviour: the option file is read at the start and at POST /-/reload. If the file is missing, empty or without a user, the answer is 200
#            and has no body, where success has the body "ok". The exporter keeps the credential that it had, and only its log says so.
#            SIGHUP ends the process. A scrape with a stale password is answered with 200 too, with mysql_up 0, after one refused login.
# Matters:   a hook that runs curl --fail after a rotation reports success although the exporter keeps the previous credential. With two
#            accounts, that one works until the next rotation, so nothing shows before then. Compare the body with "ok", write the file
#            under another name and rename it, and raise an alert on mysql_up == 0. Templating agents that send SIGHUP to their program need
#            a command in its place.
set -euo pipefail

temp=$(mktemp -d)
pid=
exporter=
finish() {
	for p in $exporter $pid; do kill "$p" 2>/dev/null && wait "$p" || true; done
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

(
	mirror=$(../internal/mysqld/debian-mirror.sh)
	cd "$temp"
	mkdir -p lists/partial cache/archives/partial
	echo "deb $mirror sid main" >sid.list
	sid=(-o Dir::Etc::sourcelist="$temp/sid.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$temp/lists" -o Dir::Cache="$temp/cache")
	{
		apt-get "${sid[@]}" -o APT::Sandbox::User=root update
		apt-get "${sid[@]}" -o APT::Sandbox::User=root download prometheus-mysqld-exporter
	} >download.log 2>&1 || { cat download.log >&2; exit 1; }
	dpkg --extract prometheus-mysqld-exporter_*.deb exporter
)
as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
free() { python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"; }
port=$(free)
"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --bind-address=127.0.0.1 --port="$port" \
	--socket="$temp/s" --pid-file="$temp/pid" 2>>"$temp/error.log" &
pid=$!
sql() { mariadb --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1"; }
for _ in $(seq 300); do
	if sql 'SELECT 1' >/dev/null 2>&1; then break; fi
	if ! kill -0 "$pid" 2>/dev/null; then cat "$temp/error.log" >&2; exit 1; fi
	sleep 0.2
done
sql "CREATE USER exporter@'%' IDENTIFIED BY 'Old-1'; CREATE USER exporter_clone@'%' IDENTIFIED BY 'New-2'"
sql "GRANT SELECT, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO exporter@'%', exporter_clone@'%'"

web=$(free)
write() { printf '[client]\nuser=%s\npassword=%s\nhost=127.0.0.1\nport=%s\n' "$1" "$2" "$port" >"$temp/my.cnf"; }
start() {
	"$temp/exporter/usr/bin/prometheus-mysqld-exporter" --config.my-cnf="$temp/my.cnf" --web.listen-address="127.0.0.1:$web" >>"$temp/exporter.log" 2>&1 &
	exporter=$!
	for _ in $(seq 100); do
		if curl --silent --output /dev/null "127.0.0.1:$web/"; then return; fi
		if ! kill -0 "$exporter" 2>/dev/null; then break; fi
		sleep 0.1
	done
	cat "$temp/exporter.log" >&2
	exit 1
}
version=$("$temp/exporter/usr/bin/prometheus-mysqld-exporter" --version 2>&1 | sed -n 's/^mysqld_exporter, version \([^ ]*\).*/\1/p')
echo "mysqld_exporter $version"
if [ "$version" != 0.19.0 ]; then echo "this was seen on 0.19.0, and Debian sid now has another version"; fi
write exporter Old-1
start

failed=0
expect() { # TEXT GOT EXPECTED
	printf '%s: %s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
reload() { curl --silent --request POST --write-out ' %{http_code}' "127.0.0.1:$web/-/reload"; }
count() { sql "SHOW GLOBAL STATUS LIKE 'Access_denied_errors'" | cut -f2; }
scrape() { # the answer, mysql_up, and how many logins the server refused
	local before code
	before=$(count)
	code=$(curl --silent --output "$temp/metrics" --write-out '%{http_code}' "127.0.0.1:$web/metrics")
	echo "$code, $(grep '^mysql_up' "$temp/metrics"), $(($(count) - before)) refused"
}
expect 'scrape' "$(scrape)" '200, mysql_up 1, 0 refused'
rm "$temp/my.cnf"
expect 'reload, the file is missing' "$(reload)" ' 200'
: >"$temp/my.cnf"
expect 'reload, the file is empty' "$(reload)" ' 200'
printf '[client]\npassword=New-2\n' >"$temp/my.cnf"
expect 'reload, the file has no user' "$(reload)" ' 200'
expect 'scrape' "$(scrape)" '200, mysql_up 1, 0 refused'
sql "ALTER USER exporter@'%' IDENTIFIED BY 'Newer-3'"
expect 'scrape after the next rotation' "$(scrape)" '200, mysql_up 0, 1 refused'
write exporter_clone New-2
expect 'reload, the file is right' "$(reload)" 'ok 200'
expect 'scrape' "$(scrape)" '200, mysql_up 1, 0 refused'
kill -HUP "$exporter"
code=0
{ wait "$exporter"; } 2>/dev/null || code=$?
exporter=
expect 'SIGHUP' "ended with $code" 'ended with 129'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
