#!/usr/bin/env bash
# MySQL: after SET GLOBAL caching_sha2_password_digest_rounds = DEFAULT, a server cannot create an account with a password.
#
# Ran:       MySQL 9.7.4 of Debian sid, its own client, over a socket.
# Guess:     DEFAULT resets the variable to 5000 or 10000 rounds, and CREATE USER … IDENTIFIED BY keeps working.
# Behaviour: the variable shows 10000 as before, but CREATE USER and ALTER USER … IDENTIFIED BY fail with error 1396. It says that
#            the operation failed, and does not mention hashes. They work again once the variable is set to a number. The server
#            accepts a hash (IDENTIFIED WITH … AS) throughout.
# Matters:   a rotator that sends passwords in clear text stops working after an administrator resets the server's variables. The
#            error reads as if the account already existed, or did not exist. A rotator that sends hashes is not affected.
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
run() { local program=$1; shift; "$loader" --library-path "${loader%/*}" "$root/usr/$program" --no-defaults "$@"; }

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
common=("${as[@]}" --secure-file-priv= --plugin-dir="$(echo "$root"/usr/lib/mysql/plugin)" --basedir="$root/usr" --datadir="$temp/data" --lc-messages-dir="$root/usr/share/mysql" --log-error="$temp/error.log")
run sbin/mysqld "${common[@]}" --initialize-insecure
"$loader" --library-path "${loader%/*}" "$root/usr/sbin/mysqld" --no-defaults "${common[@]}" --skip-networking --mysqlx=OFF --socket="$temp/s" --pid-file="$temp/pid" &
pid=$!
sql() { run bin/mysql --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
for _ in $(seq 300); do
	if sql 'SELECT 1' >/dev/null; then break; fi
	if ! kill -0 "$pid" 2>/dev/null; then cat "$temp/error.log" >&2; exit 1; fi
	sleep 0.2
done

failed=0
expect() { # STATEMENT PREFIX: the output must begin with the prefix, or be empty if that is empty
	local out
	out=$(sql "$1") || true
	printf '%s\n    %s\n' "$1" "${out:-done}"
	if [[ $out != "$2"* || -z $2 && -n $out ]]; then failed=1; fi
}

version=$(sql 'SELECT VERSION()')
echo "MySQL $version"
if [[ $version != 9.7.4* ]]; then echo "this was seen on 9.7.4, and Debian sid now has another version"; fi
sql 'SELECT @@GLOBAL.caching_sha2_password_digest_rounds'
expect "CREATE USER one@localhost IDENTIFIED BY 'First-1'" ''
expect 'SET GLOBAL caching_sha2_password_digest_rounds = DEFAULT' ''
sql 'SELECT @@GLOBAL.caching_sha2_password_digest_rounds'
expect "CREATE USER two@localhost IDENTIFIED BY 'First-1'" 'ERROR 1396'
expect "ALTER USER one@localhost IDENTIFIED BY 'Second-2'" 'ERROR 1396'
expect 'SET GLOBAL caching_sha2_password_digest_rounds = 10000' ''
expect "CREATE USER two@localhost IDENTIFIED BY 'First-1'" ''

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
