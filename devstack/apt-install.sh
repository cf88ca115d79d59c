#!/bin/sh
# Installs packages with apt: apt-install.sh PACKAGE... It retries if the network fails or another apt holds the lock.
set -eu

sudo=
if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300"

for pause in 5 15 30 60 0; do
	if $apt update && $apt install -y --no-install-recommends "$@" >/dev/null; then exit 0; fi
	sleep "$pause"
done
echo "apt-get could not install $*" >&2
exit 1
