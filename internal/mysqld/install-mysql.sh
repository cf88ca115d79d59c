#!/bin/sh
# Installs a real MySQL server for tests on Linux systems that package only MariaDB. It puts Debian sid, which has MySQL, into its
# own directory. Find (find.go) runs that server with the loader of that tree. Nothing outside the directory changes.
#
#   install-mysql.sh [directory [further packages, separated by commas]]
#
# The directory is $ROTATE_USER_MYSQL_ROOT by default, or /var/cache/rotate-user/mysql. The script needs root and debootstrap.
# It does nothing if the directory already contains a working server, and fails if it does not contain one at the end.
set -eu

root=${1:-${ROTATE_USER_MYSQL_ROOT:-/var/cache/rotate-user/mysql}}
more=${2:+,$2}
mirror=$("${0%/*}/debian-mirror.sh")

fail() {
	echo "install-mysql: $*" >&2
	exit 1
}

# version TREE prints the version of the server in a tree, run as Find runs it.
version() {
	for loader in "$1"/usr/lib/*-linux-gnu/ld-linux-*.so.*; do
		"$loader" --library-path "${loader%/*}" "$1/usr/sbin/mysqld" --no-defaults --version 2>/dev/null | grep -v MariaDB && return 0
	done
	return 1
}

if found=$(version "$root"); then
	echo "install-mysql: already installed: $found"
	exit 0
fi
[ "$(uname -s)" = Linux ] || fail "only Linux can run a Debian tree: install MySQL with your package manager instead"
[ "$(id -u)" = 0 ] || fail "debootstrap in $root needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
[ ! -e "$root" ] || fail "$root exists but contains no working MySQL: remove it and try again"

# The tree is built next to its place and moved there when complete, so an interrupted one is never used.
mkdir -p "$(dirname "$root")"
fresh=$(mktemp -d "$root.XXXXXX")
log=$fresh.log
trap 'rm -rf --one-file-system "$fresh"' EXIT
trap 'exit 1' INT TERM
chmod 755 "$fresh"

# policy-rc.d keeps the packages' scripts from starting services. It must exist before they are unpacked.
mkdir -p "$fresh/usr/sbin" "$fresh/etc/apt/apt.conf.d"
printf '#!/bin/sh\nexit 101\n' >"$fresh/usr/sbin/policy-rc.d"
chmod 755 "$fresh/usr/sbin/policy-rc.d"
# If the machine's clock is ahead, apt would reject every list as out of date.
echo 'Acquire::Check-Valid-Until "false";' >"$fresh/etc/apt/apt.conf.d/99valid-until"

echo "install-mysql: fetching Debian sid with mysql-server into $root; this takes some minutes (log: $log)"
get() { debootstrap "$@" --variant=minbase --include="mysql-server$more" sid "$fresh" "$mirror" >"$log" 2>&1; }
# debootstrap fails if one of hundreds of packages cannot be fetched. A retry does not fetch the others again.
for pause in 10 30 60; do
	if get --download-only; then break; fi
	sleep "$pause"
done
get || {
	tail -n 20 "$log" >&2
	fail "debootstrap could not fetch it from $mirror: see $log"
}
# debootstrap may leave these mounted, and a later recursive removal must not reach them.
for m in proc sys dev/pts dev; do
	if mountpoint -q "$fresh/$m" 2>/dev/null; then umount "$fresh/$m" || fail "cannot unmount $fresh/$m"; fi
done
version "$fresh" >/dev/null || fail "the tree contains no MySQL that runs on this machine: see $log"
mv "$fresh" "$root"
rm -f "$log"
echo "install-mysql: $(version "$root")"
