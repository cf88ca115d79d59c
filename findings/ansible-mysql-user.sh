#!/usr/bin/env bash
# Ansible: mysql_user with the password that the account already has removes REQUIRE SSL and the account's plugin.
#
# Ran:       community.mysql 3.7.2 with ansible-core 2.14.18 and PyMySQL 1.0.2 of Debian 12, and MariaDB 10.11.19, over a socket.
# Guess:     a task that names a user and its password changes the password if it differs, and leaves what it does not name as it is.
# Behaviour: with the password that is in force, an account with REQUIRE SSL loses it. One that logs in with ed25519 is moved to
#            mysql_native_password. With a new password and `priv`, an account with a default role gets the password, and then the
#            task fails because it cannot read SHOW GRANTS: the play reports a failure, and the credential has changed.
# Matters:   playbooks run on both accounts of a rotated pair, or on one of them, make them differ. Do not let Ansible manage accounts that
#            something else rotates. If it must, give tls_requires, plugin and update_password: on_create in every task.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

(
	cd "$temp"
	apt-get download ansible=7.7.0+dfsg-3+deb12u1 ansible-core=2.14.18-0+deb12u2 python3-pymysql=1.0.2-2+deb12u1 >download.log 2>&1 || { cat download.log >&2; exit 1; }
	for package in *.deb; do dpkg --extract "$package" python; done
)
as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --skip-networking --socket="$temp/s" --plugin-load-add=auth_ed25519 \
		--pid-file="$temp/pid" 2>>"$temp/error.log" &
	pid=$!
	for _ in $(seq 300); do
		if sql 'SELECT 1' >/dev/null; then return; fi
		if ! kill -0 "$pid" 2>/dev/null; then break; fi
		sleep 0.2
	done
	cat "$temp/error.log" >&2
	exit 1
}
sql() { mariadb --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
start

failed=0
expect() { # TEXT ACTUAL EXPECTED
	printf '%s: %s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
# task USER ARGUMENTS: runs the module by itself, as a play does on the target machine, and prints what it reports.
task() {
	(cd "$temp" && echo "{\"ANSIBLE_MODULE_ARGS\": {\"login_unix_socket\": \"$temp/s\", \"login_user\": \"root\", \"host\": \"localhost\", \"name\": \"$1\", $2}}" |
		PYTHONPATH=$temp/python/usr/lib/python3/dist-packages /usr/bin/python3 -m ansible_collections.community.mysql.plugins.modules.mysql_user 2>&1 || true) |
		grep -oE '"(msg|password_changed|failed)": ("[^"]*"|[a-z]*)' | tr '\n' ' '
}
account() { sql "SHOW CREATE USER $1@localhost" | sed "s/^CREATE USER [^ ]* //; s/'[^']*'/…/"; }

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql "CREATE USER tls@localhost IDENTIFIED BY 'First-1' REQUIRE SSL; CREATE USER plugin@localhost IDENTIFIED VIA ed25519 USING PASSWORD('First-1');
	CREATE DATABASE shop; CREATE ROLE reader; CREATE USER role@localhost IDENTIFIED BY 'First-1'; GRANT reader TO role@localhost;
	SET DEFAULT ROLE reader FOR role@localhost; GRANT SELECT ON shop.* TO role@localhost"
expect 'tls' "$(account tls)" 'IDENTIFIED BY PASSWORD … REQUIRE SSL'
expect '    a task with its password' "$(task tls '"password": "First-1"')" '"msg": "TLS requires updated" "password_changed": false '
expect '    tls' "$(account tls)" 'IDENTIFIED BY PASSWORD …'
expect 'plugin' "$(account plugin)" 'IDENTIFIED VIA ed25519 USING …'
expect '    a task with its password' "$(task plugin '"password": "First-1"')" '"msg": "Password updated (new style)" "password_changed": true '
expect '    plugin' "$(account plugin)" 'IDENTIFIED BY PASSWORD …'
login() { if mariadb --no-defaults --user=role --password="$1" --socket="$temp/s" --execute 'SELECT 1' >/dev/null 2>&1; then echo 'logs in'; else echo refused; fi; }
report=$(task role '"password": "Second-2", "priv": "shop.*:SELECT"')
expect 'role: a task with a new password and its rights' "${report:0:58}" '"failed": true "msg": "unable to parse the MySQL grant str'
expect '    its old password' "$(login First-1)" refused
expect '    its new password' "$(login Second-2)" 'logs in'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
