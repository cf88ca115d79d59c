#!/bin/sh
# Prints the Debian mirror to use: $DEBIAN_MIRROR, or the mirror of this machine's apt, or the one that works everywhere.
set -eu

if [ -z "${DEBIAN_MIRROR:-}" ]; then
	DEBIAN_MIRROR=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n '/security/d; s/^Debian //p' | head -n 1)
fi
echo "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
