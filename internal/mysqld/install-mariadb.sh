#!/bin/sh
# Installs another release of MariaDB for tests, next to the one that this machine packages. Each Debian suite has one release, and
# the script puts the suite into its own directory. A test run uses it if ROTATE_USER_SERVERS names that directory.
#
#   install-mariadb.sh 10.5|10.11|11.8 [directory]
#
# The directory is /var/cache/rotate-user/mariadb-RELEASE by default. The script needs root and debootstrap. It does nothing if the
# directory already contains a working server, and fails if it does not contain one at the end.
set -eu

fail() {
	echo "install-mariadb: $*" >&2
	exit 1
}

release=${1:-}
case $release in
10.5) suite=bullseye ;;
10.11) suite=bookworm ;;
11.8) suite=trixie ;;
*) fail "name a release that a Debian suite has: 10.5, 10.11 or 11.8" ;;
esac
root=${2:-/var/cache/rotate-user/mariadb-$release}
mirror=$("${0%/*}/debian-mirror.sh")

# version TREE prints the version of the server in a tree, run with the loader of that tree.
version() {
	for loader in "$1"/usr/lib/*-linux-gnu/ld-linux-*.so.* "$1"/lib/*-linux-gnu/ld-[0-9]*.so; do
		[ -e "$loader" ] || continue
		libraries=${loader%/*}:$1/usr/lib/${loader#"$1"/*lib/}
		"$loader" --library-path "${libraries%/*}" "$1/usr/sbin/mariadbd" --no-defaults --version 2>/dev/null | grep " $release\." && return 0
	done
	return 1
}

if found=$(version "$root"); then
	echo "install-mariadb: already installed: $found"
	exit 0
fi
[ "$(uname -s)" = Linux ] || fail "only Linux can run a Debian tree"
[ "$(id -u)" = 0 ] || fail "debootstrap in $root needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
[ ! -e "$root" ] || fail "$root exists but contains no working MariaDB $release: remove it and try again"

# The tree is built next to its place and moved there when complete, so an interrupted one is never used.
mkdir -p "$(dirname "$root")"
fresh=$(mktemp -d "$root.XXXXXX")
log=$fresh.log
trap 'rm -rf --one-file-system "$fresh"' EXIT
trap 'exit 1' INT TERM
chmod 755 "$fresh"

# policy-rc.d keeps the packages' scripts from starting services. It must exist before they are unpacked.
mkdir -p "$fresh/usr/sbin"
printf '#!/bin/sh\nexit 101\n' >"$fresh/usr/sbin/policy-rc.d"
chmod 755 "$fresh/usr/sbin/policy-rc.d"

echo "install-mariadb: fetching Debian $suite with mariadb-server into $root; this takes some minutes (log: $log)"
get() { debootstrap "$@" --variant=minbase --include=mariadb-server "$suite" "$fresh" "$mirror" >"$log" 2>&1; }
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
version "$fresh" >/dev/null || fail "the tree contains no MariaDB $release that runs on this machine: see $log"
mv "$fresh" "$root"
rm -f "$log"
echo "install-mariadb: $(version "$root")"
