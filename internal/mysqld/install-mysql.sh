#!/bin/sh
# Installs a real MySQL server for tests on Linux systems that package only MariaDB. It puts Debian sid, which has MySQL, into its
# own directory. Find (find.go) runs that server with the loader of that tree. Nothing outside the directory changes.
#
#   install-mysql.sh [directory [further packages, separated by commas]]
#
# The directory is $ROTATE_USER_MYSQL_ROOT by default, or /var/cache/rotate-user/mysql. The script needs root and debootstrap.
# It does nothing if the directory already contains a working server, and fails if it does not contain one at the end.
set -eu

program=install-mysql
. "${0%/*}/debian-tree.sh"

version() {
	for loader in "$1"/usr/lib/*-linux-gnu/ld-linux-*.so.*; do
		"$loader" --library-path "${loader%/*}" "$1/usr/sbin/mysqld" --no-defaults --version 2>/dev/null | grep -v MariaDB && return 0
	done
	return 1
}

install_tree sid MySQL "mysql-server${2:+,$2}" "${1:-${ROTATE_USER_MYSQL_ROOT:-/var/cache/rotate-user/mysql}}"
