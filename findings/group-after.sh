#!/usr/bin/env bash
# MySQL: while an account statement waits for the members of its group, no one can log in.
#
# Ran:       MySQL 9.7.4 of Debian sid, three members of Group Replication on 127.0.0.1, one of them the primary.
# Guess:     with group_replication_consistency = 'AFTER', ALTER USER waits until every member has the new password, and nothing else waits.
# Behaviour: while it waits for a member that a backup holds with FLUSH TABLES WITH READ LOCK, no new login succeeds on any other
#            member. They keep their lists of accounts locked until the statement ends.
# Matters:   a rotator that wants a password on every member before it is used must not wait in the statement that sets it. It can
#            ask each member afterwards, with a read under 'BEFORE'.
set -euo pipefail
cd "$(dirname "$0")"

temp=$(mktemp -d)
pids=()
finish() {
	if [ ${#pids[@]} -gt 0 ]; then kill -KILL "${pids[@]}" 2>/dev/null && wait "${pids[@]}" 2>/dev/null || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

root=$temp/mysql
../internal/mysqld/install-mysql.sh "$root" >"$temp/install.log"
loader=$(echo "$root"/usr/lib/*-linux-gnu/ld-linux-*.so.*)
run() { local program=$1; shift; "$loader" --library-path "${loader%/*}" "$root/usr/$program" --no-defaults "$@"; }

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
common=("${as[@]}" --plugin-dir="$(echo "$root"/usr/lib/mysql/plugin)" --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" --secure-file-priv=)
port() { echo $((23300 + $1)); } # of the group's own connections; the server listens on that port plus ten
seeds=127.0.0.1:$(port 1),127.0.0.1:$(port 2),127.0.0.1:$(port 3)
for i in 1 2 3; do
	run sbin/mysqld "${common[@]}" --datadir="$temp/data$i" --log-error="$temp/error$i.log" --initialize-insecure
	"$loader" --library-path "${loader%/*}" "$root/usr/sbin/mysqld" --no-defaults "${common[@]}" --datadir="$temp/data$i" --log-error="$temp/error$i.log" \
		--bind-address=127.0.0.1 --port=$(($(port $i) + 10)) --mysqlx=OFF --socket="$temp/s$i" --pid-file="$temp/pid$i" \
		--server-id=$i --log-bin=binlog --gtid-mode=ON --enforce-gtid-consistency=ON --report-host=127.0.0.1 --plugin-load-add=group_replication.so \
		--loose-group-replication-group-name=6d0b7f0e-2f65-4b3c-9d5a-0d3c6f2f4a11 --loose-group-replication-start-on-boot=OFF \
		--loose-group-replication-local-address=127.0.0.1:"$(port $i)" --loose-group-replication-group-seeds="$seeds" \
		--loose-group-replication-ip-allowlist=127.0.0.1 --loose-group-replication-recovery-get-public-key=ON &
	pids+=($!)
done
sql() { local i=$1; shift; run bin/mysql --user="${2:-root}" --socket="$temp/s$i" --batch --skip-column-names --execute "$1" 2>&1; }
for i in 1 2 3; do
	for _ in $(seq 300); do
		if sql $i 'SELECT 1' >/dev/null; then break; fi
		sleep 0.2
	done
	sql $i 'RESET BINARY LOGS AND GTIDS'
	if [ $i = 1 ]; then
		sql 1 "SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION; SET GLOBAL group_replication_bootstrap_group = OFF;
			CREATE USER recovery@localhost IDENTIFIED BY 'recovery'; GRANT REPLICATION SLAVE ON *.* TO recovery@localhost"
	else
		sql $i "START GROUP_REPLICATION USER = 'recovery', PASSWORD = 'recovery'"
	fi
	for _ in $(seq 300); do
		if [ "$(sql 1 "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'")" = $i ]; then break; fi
		sleep 0.2
	done
done

failed=0
logins() { # prints the members that accept a login within five seconds
	local i in=
	for i in 1 2 3; do
		if timeout 5 "$loader" --library-path "${loader%/*}" "$root/usr/bin/mysql" --no-defaults --user=other --socket="$temp/s$i" --execute 'SELECT 1' >/dev/null 2>&1; then in="$in $i"; fi
	done
	echo "${in:- none}"
}
expect() { # TEXT ACTUAL EXPECTED
	printf '%s:%s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
after="SET SESSION group_replication_consistency = 'AFTER';"

echo "MySQL $(sql 1 'SELECT VERSION()')"
sql 1 'CREATE USER one@localhost, two@localhost, other@localhost'
sleep 2
expect 'members that accept a login' "$(logins)" ' 1 2 3'
sql 2 'FLUSH TABLES WITH READ LOCK; SELECT SLEEP(30)' >/dev/null &
sleep 2
sql 1 "$after ALTER USER one@localhost ACCOUNT UNLOCK" &
alter=$!
sleep 2
expect 'while one member is held and ALTER USER waits for it' "$(logins)" ' 2'
wait $alter
expect 'after ALTER USER has ended' "$(logins)" ' 1 2 3'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
