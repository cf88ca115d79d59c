#!/bin/sh
# Installs MariaDB's server with the system's package manager, unless a MariaDB or MySQL server is installed. With an
# argument, mariadbd or mysqld, only that program counts. The package's own service is not started.
set -eu

for found in ${1:-mariadbd mysqld}; do
	if PATH="$PATH:/usr/sbin:/usr/libexec:/usr/local/sbin" command -v "$found" >/dev/null; then
		exit 0
	fi
done

sudo=
if [ "$(id -u)" != 0 ]; then sudo=sudo; fi

if command -v apt-get >/dev/null; then
	echo "Installing mariadb-server with apt ..." >&2
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
		$sudo chmod 755 "$policy"
		trap '$sudo rm -f "$policy"' EXIT
	fi
	"${0%/*}/apt-install.sh" mariadb-server
elif command -v dnf >/dev/null; then
	echo "Installing mariadb-server with dnf ..." >&2
	$sudo dnf install -q -y mariadb-server
elif command -v brew >/dev/null; then
	echo "Installing mariadb with brew ..." >&2
	brew install --quiet mariadb
else
	echo "no mysqld or mariadbd found, and no package manager that this script knows: install MySQL or MariaDB by hand" >&2
	exit 1
fi
