#!/bin/sh
# Installs promtool, which checks the alert rules, from the package of Prometheus on Debian or Ubuntu. The server that the package
# also has is not installed.
set -eu

if command -v promtool >/dev/null; then
	exit 0
fi

sudo=
if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

for pause in 5 15 30 60 0; do
	if $sudo apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 update && apt-get -qq download prometheus; then
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool
		$sudo install -m 755 promtool /usr/local/bin/promtool
		exit 0
	fi
	sleep "$pause"
done
echo "apt-get could not download prometheus" >&2
exit 1
