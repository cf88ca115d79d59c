# Read by install-mysql.sh and install-mariadb.sh: puts a Debian suite with a database server into a directory of its own.
#
# The script that reads it sets program, its own name for messages, and defines version TREE, which prints the version of the
# server in a tree, run with the loader of that tree, and fails if there is none.

fail() {
	echo "$program: $*" >&2
	exit 1
}

# install_tree SUITE SERVER PACKAGES DIRECTORY
install_tree() {
	suite=$1 server=$2 packages=$3 root=$4
	mirror=$("${0%/*}/debian-mirror.sh")
	if found=$(version "$root"); then
		echo "$program: already installed: $found"
		return
	fi
	[ "$(uname -s)" = Linux ] || fail "only Linux can run a Debian tree: install $server with your package manager instead"
	[ "$(id -u)" = 0 ] || fail "debootstrap in $root needs root"
	command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
	[ ! -e "$root" ] || fail "$root exists but contains no working $server: remove it and try again"

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

	echo "$program: fetching Debian $suite with $packages into $root; this takes some minutes (log: $log)"
	# debootstrap fails if one of hundreds of packages cannot be fetched. A retry does not fetch the others again.
	for pause in 10 30 60; do
		if get_tree --download-only; then break; fi
		sleep "$pause"
	done
	get_tree || {
		tail -n 20 "$log" >&2
		fail "debootstrap could not fetch it from $mirror: see $log"
	}
	# debootstrap may leave these mounted, and a later recursive removal must not reach them.
	for m in proc sys dev/pts dev; do
		if mountpoint -q "$fresh/$m" 2>/dev/null; then umount "$fresh/$m" || fail "cannot unmount $fresh/$m"; fi
	done
	version "$fresh" >/dev/null || fail "the tree contains no $server that runs on this machine: see $log"
	mv "$fresh" "$root"
	rm -f "$log"
	echo "$program: $(version "$root")"
}

get_tree() { debootstrap "$@" --variant=minbase --include="$packages" "$suite" "$fresh" "$mirror" >"$log" 2>&1; }
