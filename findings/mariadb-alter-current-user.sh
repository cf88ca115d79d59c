#!/usr/bin/env bash
# MariaDB: ALTER USER CURRENT_USER() IDENTIFIED BY … reports success, but the password does not change.
#
# Ran:       MariaDB 10.11.19 of Debian 12, its own client, over a socket.
# Guess:     an account changes its own password with ALTER USER CURRENT_USER(), as on MySQL.
# Behaviour: for an account with the right CREATE USER, the statement succeeds without a warning. The stored hash does not change: the old
#            password logs in, and the new one is refused with error 1045. Without that right the statement fails with error 1227.
#            SET PASSWORD, and ALTER USER with the account's name, change the password.
# Matters:   a rotator that changes the password of its own login this way stores a password that does not work. The error comes
#            with the next login. Rotators must name the account, and log in with the new password before they promote it.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --skip-networking --socket="$temp/s" --pid-file="$temp/pid" 2>"$temp/error.log" &
pid=$!
sql() { mariadb --no-defaults --socket="$temp/s" --batch --skip-column-names "${@:2}" --execute "$1" 2>&1; }
for _ in $(seq 300); do
	if sql 'SELECT 1' --user=root >/dev/null; then break; fi
	if ! kill -0 "$pid" 2>/dev/null; then cat "$temp/error.log" >&2; exit 1; fi
	sleep 0.2
done

failed=0
expect() { # STATEMENT PREFIX USER PASSWORD: the output must begin with the prefix, or be empty if that is empty
	local out
	out=$(sql "$1" --user="$3" --password="$4" | sed -n '/^ERROR/p; /^[0-9][0-9]*$/p; /^Warning/p') || true # without the statement, which the client repeats
	printf '%s: %s\n    %s\n' "$3" "$1" "${out:-done}"
	if [[ $out != "$2"* || -z $2 && -n $out ]]; then failed=1; fi
}

version=$(sql 'SELECT VERSION()' --user=root)
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi
sql "CREATE USER one@localhost IDENTIFIED BY 'First-1'; GRANT CREATE USER ON *.* TO one@localhost; CREATE USER two@localhost IDENTIFIED BY 'First-1'" --user=root
expect "ALTER USER CURRENT_USER() IDENTIFIED BY 'Second-2'; SHOW WARNINGS" '' one First-1
expect 'SELECT 1' 'ERROR 1045' one Second-2
expect 'SELECT 1' '1' one First-1
expect "ALTER USER CURRENT_USER() IDENTIFIED BY 'Second-2'" 'ERROR 1227' two First-1
expect "SET PASSWORD = PASSWORD('Second-2')" '' one First-1
expect "ALTER USER one@localhost IDENTIFIED BY 'Third-3'" '' one Second-2
expect 'SELECT 1' '1' one Third-3

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
