#!/usr/bin/env bash
# MySQL: the same ALTER USER … RETAIN CURRENT PASSWORD, sent twice, ends the old password that it was to retain.
#
# Ran:       MySQL 9.7.4 of Debian sid, its own client, over a socket.
# Guess:     the statement can be repeated after a lost answer: the account has the new password, and the old one is retained.
# Behaviour: the first run retains the old password. The second one, with the same new password, succeeds without a warning, and
#            retains the current password, which is the new one by now. The old password is refused from then on. Sent as a hash
#            (IDENTIFIED WITH … AS), it is the same.
# Matters:   a rotator that relies on dual passwords must not retry this statement blindly. Every client that still has the old
#            password is locked out. Before a retry, log in with the new password: if that succeeds, the first run took effect.
set -euo pipefail
cd "$(dirname "$0")"

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

root=$temp/mysql
../internal/mysqld/install-mysql.sh "$root" >"$temp/install.log"
loader=$(echo "$root"/usr/lib/*-linux-gnu/ld-linux-*.so.*)
run() { local program=$1; shift; "$loader" --library-path "${loader%/*}" "$root/usr/$program" "$@"; }

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
common=("${as[@]}" --secure-file-priv= --plugin-dir="$(echo "$root"/usr/lib/mysql/plugin)" --basedir="$root/usr" --datadir="$temp/data" --lc-messages-dir="$root/usr/share/mysql" --log-error="$temp/error.log")
run sbin/mysqld --no-defaults "${common[@]}" --initialize-insecure
"$loader" --library-path "${loader%/*}" "$root/usr/sbin/mysqld" --no-defaults "${common[@]}" --skip-networking --mysqlx=OFF --socket="$temp/s" --pid-file="$temp/pid" &
pid=$!
sql() { run bin/mysql --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
for _ in $(seq 300); do
	if sql 'SELECT 1' >/dev/null; then break; fi
	if ! kill -0 "$pid" 2>/dev/null; then cat "$temp/error.log" >&2; exit 1; fi
	sleep 0.2
done

failed=0
logins() { # TEXT EXPECTED: which of the passwords Old-1 and New-2 log in
	local in='' password
	for password in Old-1 New-2; do
		if run bin/mysql --no-defaults --user=app --password=$password --socket="$temp/s" --execute 'SELECT 1' >/dev/null 2>&1; then in="$in $password"; fi
	done
	printf '%s:%s\n' "$1" "${in:- none}"
	if [ "${in:- none}" != "$2" ]; then failed=1; fi
}
must() {
	local out
	out=$(sql "$1") || true
	printf '%s\n    %s\n' "$1" "${out:-done}"
	if [ -n "$out" ]; then failed=1; fi
}

version=$(sql 'SELECT VERSION()')
echo "MySQL $version"
if [[ $version != 9.7.4* ]]; then echo "this was seen on 9.7.4, and Debian sid now has another version"; fi

must "CREATE USER app@localhost IDENTIFIED BY 'Old-1'"
must "ALTER USER app@localhost IDENTIFIED BY 'New-2' RETAIN CURRENT PASSWORD; SHOW WARNINGS"
logins 'passwords that log in' ' Old-1 New-2'
must "ALTER USER app@localhost IDENTIFIED BY 'New-2' RETAIN CURRENT PASSWORD; SHOW WARNINGS"
logins 'passwords that log in' ' New-2'

must "CREATE USER other@localhost IDENTIFIED BY 'New-2'"
hash=$(sql "SELECT CONCAT('0x', HEX(authentication_string)) FROM mysql.user WHERE user = 'other'")
must "ALTER USER app@localhost IDENTIFIED BY 'Old-1'; ALTER USER app@localhost DISCARD OLD PASSWORD"
for n in 1 2; do
	must "ALTER USER app@localhost IDENTIFIED WITH caching_sha2_password AS $hash RETAIN CURRENT PASSWORD"
	if [ $n = 1 ]; then logins 'after a hash was set once' ' Old-1 New-2'; fi
done
logins 'after it was set twice' ' New-2'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
