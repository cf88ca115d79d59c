#!/bin/bash
# Does what docker-compose.yml needs of the entry point in MySQL's image: it creates the database, runs the scripts in
# /docker-entrypoint-initdb.d on a server without TCP, and then becomes the server, with the container's arguments.
set -euo pipefail

data=/var/lib/mysql
run=/var/run/mysqld
server=(mysqld --no-defaults --user=mysql --datadir="$data" --socket="$run/mysqld.sock" --mysqlx=OFF)
install --directory --owner mysql --group mysql "$data" "$run"

docker_process_sql() { mysql --no-defaults --user=root --socket="$run/mysqld.sock"; }

"${server[@]}" --initialize-insecure
"${server[@]}" --skip-networking &
for _ in {1..600}; do
	if docker_process_sql </dev/null 2>/dev/null; then break; fi
	sleep 0.1
done
password=$(cat "$MYSQL_ROOT_PASSWORD_FILE")
docker_process_sql <<<"ALTER USER root@localhost IDENTIFIED BY '$password'"
export MYSQL_PWD=$password
for script in /docker-entrypoint-initdb.d/*.sh; do
	# shellcheck disable=SC1090
	. "$script"
done
docker_process_sql <<<SHUTDOWN
wait %1
unset MYSQL_PWD password
exec "${server[@]}" "$@"
