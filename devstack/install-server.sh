#!/bin/sh
# Installs MariaDB's server by the system's package manager if there is neither it nor MySQL's; with the name of a program,
# mariadbd or mysqld, if there is none of that name. Only the program is wanted: the package's own service is kept from
# starting.
set -eu

for found in ${1:-mariadbd mysqld}; do
	if PATH="$PATH:/usr/sbin:/usr/libexec:/usr/local/sbin" command -v "$found" >/dev/null; then
		exit 0
	fi
done

sudo=
if [ "$(id -u)" != 0 ]; then sudo=sudo; fi

if command -v apt-get >/dev/null; then
	echo "Installing mariadb-server by apt ..." >&2
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
		$sudo chmod 755 "$policy"
		trap '$sudo rm -f "$policy"' EXIT
	fi
	"${0%/*}/apt-install.sh" mariadb-server
elif command -v dnf >/dev/null; then
	echo "Installing mariadb-server by dnf ..." >&2
	$sudo dnf install -q -y mariadb-server
elif command -v brew >/dev/null; then
	echo "Installing mariadb by brew ..." >&2
	brew install --quiet mariadb
else
	echo "There is no mysqld or mariadbd, and no package manager that this script knows: install MySQL or MariaDB by hand." >&2
	exit 1
fi
