#!/usr/bin/env bash
# Prints the path of Docker Compose, which it builds into the user's cache directory if it is not there.
set -euo pipefail

version=v2.40.3
program=${XDG_CACHE_HOME:-$HOME/.cache}/rotate-user/docker-compose-$version
if [ ! -x "$program" ]; then
	echo "building Docker Compose $version into $program" >&2
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	mkdir -p "${program%/*}"
	cd "$scratch"
	go mod init scratch 2>/dev/null
	go get "github.com/docker/compose/v2/cmd@$version" 2>/dev/null
	go build -o compose github.com/docker/compose/v2/cmd
	mv compose "$program"
fi
echo "$program"
