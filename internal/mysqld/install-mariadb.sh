#!/bin/sh
# Installs another release of MariaDB for tests, next to the one that this machine packages. Each Debian suite has one release, and
# the script puts the suite into its own directory. A test run uses it if ROTATE_USER_SERVERS names that directory.
#
#   install-mariadb.sh 10.5|10.11|11.8 [directory]
#
# The directory is /var/cache/rotate-user/mariadb-RELEASE by default. The script needs root and debootstrap. It does nothing if the
# directory already contains a working server, and fails if it does not contain one at the end.
set -eu

program=install-mariadb
. "${0%/*}/debian-tree.sh"

release=${1:-}
case $release in
10.5) suite=bullseye ;;
10.11) suite=bookworm ;;
11.8) suite=trixie ;;
*) fail "name a release that a Debian suite has: 10.5, 10.11 or 11.8" ;;
esac

version() {
	for loader in "$1"/usr/lib/*-linux-gnu/ld-linux-*.so.* "$1"/lib/*-linux-gnu/ld-[0-9]*.so; do
		[ -e "$loader" ] || continue
		libraries=${loader%/*}:$1/usr/lib/${loader#"$1"/*lib/}
		"$loader" --library-path "${libraries%/*}" "$1/usr/sbin/mariadbd" --no-defaults --version 2>/dev/null | grep " $release\." && return 0
	done
	return 1
}

install_tree "$suite" "MariaDB $release" mariadb-server "${2:-/var/cache/rotate-user/mariadb-$release}"
