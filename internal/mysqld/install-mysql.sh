#!/bin/sh
# Gets a real MySQL server for tests, on Linux machines whose packages have MariaDB only: Debian sid, which has both, in a
# directory of its own. Find runs the server in there by the tree's own loader; nothing outside the directory changes.
#
#   install-mysql.sh [directory [further packages, separated by commas]]
#
# The directory is $ROTATE_USER_MYSQL_ROOT, or /var/cache/rotate-user/mysql. Needs root and debootstrap. What is already
# there is left alone. Ends with a status other than 0 if there is no working server afterwards.
set -eu

root=${1:-${ROTATE_USER_MYSQL_ROOT:-/var/cache/rotate-user/mysql}}
more=${2:+,$2}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

fail() {
	echo "install-mysql: $*" >&2
	exit 1
}

# The version of the server in a tree, run as Find runs it.
version() {
	for loader in "$1"/usr/lib/*-linux-gnu/ld-linux-*.so.*; do
		"$loader" --library-path "${loader%/*}" "$1/usr/sbin/mysqld" --no-defaults --version 2>/dev/null | grep -v MariaDB && return 0
	done
	return 1
}

if found=$(version "$root"); then
	echo "install-mysql: already there: $found"
	exit 0
fi
[ "$(uname -s)" = Linux ] || fail "only Linux can run a Debian tree; install MySQL by your package manager instead"
[ "$(id -u)" = 0 ] || fail "making a Debian tree in $root needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
[ ! -e "$root" ] || fail "$root exists and holds no working MySQL; remove it and try again"

# Made beside its place and moved there when whole, so that one cut off half way is never taken for good.
mkdir -p "$(dirname "$root")"
fresh=$(mktemp -d "$root.XXXXXX")
log=$fresh.log
trap 'rm -rf --one-file-system "$fresh"' EXIT
trap 'exit 1' INT TERM
chmod 755 "$fresh"

# The packages' scripts would start services; policy-rc.d tells them not to. It must be there before they are unpacked.
mkdir -p "$fresh/usr/sbin" "$fresh/etc/apt/apt.conf.d"
printf '#!/bin/sh\nexit 101\n' >"$fresh/usr/sbin/policy-rc.d"
chmod 755 "$fresh/usr/sbin/policy-rc.d"
# A machine whose clock is ahead would find every list out of date.
echo 'Acquire::Check-Valid-Until "false";' >"$fresh/etc/apt/apt.conf.d/99valid-until"

echo "install-mysql: fetching Debian sid with mysql-server into $root, some minutes (log: $log)"
get() { debootstrap "$@" --variant=minbase --include="mysql-server$more" sid "$fresh" "$mirror" >"$log" 2>&1; }
# One of hundreds of packages that does not come ends it; those that have come are not fetched again.
for pause in 10 30 60; do
	if get --download-only; then break; fi
	sleep "$pause"
done
get || {
	tail -n 20 "$log" >&2
	fail "debootstrap could not get it from $mirror; the whole log is $log"
}
# debootstrap may leave these mounted; a recursive removal later must not reach them.
for m in proc sys dev/pts dev; do
	if mountpoint -q "$fresh/$m" 2>/dev/null; then umount "$fresh/$m" || fail "cannot unmount $fresh/$m"; fi
done
version "$fresh" >/dev/null || fail "the tree holds no MySQL that runs on this machine; the log is $log"
mv "$fresh" "$root"
rm -f "$log"
echo "install-mysql: $(version "$root")"
