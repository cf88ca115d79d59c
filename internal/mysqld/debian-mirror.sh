#!/bin/sh
# Prints where to get Debian: $DEBIAN_MIRROR, or where this machine's apt gets it, or the address that works everywhere.
set -eu

if [ -z "${DEBIAN_MIRROR:-}" ]; then
	DEBIAN_MIRROR=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n '/security/d; s/^Debian //p' | head -n 1)
fi
echo "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
