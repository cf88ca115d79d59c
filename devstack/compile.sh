#!/usr/bin/env bash
# Compiles what packages of the module in DIR need, and says how far it is: one line that counts on a terminal, and a line for
# every tenth elsewhere. Prints nothing if Go's build cache has all of it. FLAGS are those of go list: -test adds what tests need.
#
#   devstack/compile.sh WHAT DIR [FLAGS] PACKAGES
set -euo pipefail
what=$1
cd "$2"
shift 2

# Programs are left out, because linking is not cached, and so are packages that go test compiles again for one test.
missing=$(go list -deps -f '{{if and .Stale (ne .Name "main") (not .ForTest)}}{{.ImportPath}}{{end}}' "$@")
if [ -z "$missing" ]; then exit 0; fi

total=$(wc -l <<<"$missing")
count=0
say() {
	printf 'Compiling %s: %d of %d packages' "$what" "$count" "$total" >&2
}
# A compiler that does not collect garbage below 700 MiB needs a sixth less CPU.
# shellcheck disable=SC2086 # package paths have no spaces
GOGC=off GOMEMLIMIT=700MiB go build -v $missing 2>&1 | {
	while IFS= read -r line; do
		case $line in
		'#'* | *[[:space:]]*) printf '%s\n' "$line" >&2 ;; # an error
		*)
			count=$((count + 1))
			if [ -t 2 ]; then
				printf '\r' >&2
				say
			elif [ $((count * 10 / total)) != $(((count - 1) * 10 / total)) ] || [ "$count" = 1 ]; then
				say
				printf '\n' >&2
			fi
			;;
		esac
	done
	if [ -t 2 ]; then printf '\n' >&2; fi
}
