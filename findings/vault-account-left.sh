#!/usr/bin/env bash
# Vault: creation statements of which one fails leave an account that no lease ends.
#
# Ran:       the MySQL database plugin of github.com/hashicorp/vault v1.21.4, called as Vault calls it, and MariaDB 10.11.19 of Debian 12.
# Guess:     the statements run in a transaction, so when one of them fails, nothing is left: the caller gets an error and no account.
# Behaviour: the caller gets the error of the failed statement and no user name, but the account exists, unlocked, with the password
#            that was generated. CREATE USER commits by itself. Vault makes no lease, so nothing drops the account later. Each retry
#            leaves another one.
# Matters:   a GRANT that names a table that was dropped fills the server with accounts. Look for names that begin with v- and have no
#            lease. Put CREATE USER … ACCOUNT LOCK first and ALTER USER … ACCOUNT UNLOCK last in creation_statements.
set -euo pipefail

temp=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
	chmod -R u+w "$temp"
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
chmod 755 "$temp"

mkdir "$temp/go"
cat >"$temp/go/go.mod" <<'MOD'
module finding

go 1.25.3

require (
	github.com/hashicorp/vault v1.21.4
	github.com/hashicorp/vault/sdk v0.21.0
)
MOD
cat >"$temp/go/main.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/vault/plugins/database/mysql"
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
)

func main() {
	plugin, err := mysql.New(mysql.DefaultUserNameTemplate)()
	if err != nil {
		panic(err)
	}
	db := plugin.(dbplugin.Database)
	_, err = db.Initialize(context.Background(), dbplugin.InitializeRequest{
		Config:           map[string]any{"connection_url": "{{username}}:{{password}}@unix(" + os.Args[1] + ")/", "username": "root", "password": ""},
		VerifyConnection: true,
	})
	if err != nil {
		panic(err)
	}
	for range 2 {
		user, err := db.NewUser(context.Background(), dbplugin.NewUserRequest{
			UsernameConfig: dbplugin.UsernameMetadata{DisplayName: "token", RoleName: "report"},
			Statements: dbplugin.Statements{Commands: []string{
				"CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON shop." + os.Args[2] + " TO '{{name}}'@'%'"}},
			Password: "Generated-1", Expiration: time.Now().Add(time.Hour),
		})
		fmt.Printf("name %.8q, error %v\n", user.Username, err)
	}
}
GO
# The plugin writes a log to its standard error.
ask() { "$temp/go/ask" "$temp/s" "$1" 2>/dev/null; }
(cd "$temp/go" && GOWORK=off GOFLAGS=-mod=mod GOMODCACHE="$temp/modules" go build -o ask . 2>"$temp/go.log") || { tail "$temp/go.log" >&2; exit 1; }

as=()
if [ "$(id -u)" = 0 ]; then as=(--user=nobody); chown nobody "$temp"; fi
mariadb-install-db --no-defaults "${as[@]}" --datadir="$temp/data" --auth-root-authentication-method=normal --skip-test-db >"$temp/install.log"
start() {
	"$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults "${as[@]}" --datadir="$temp/data" --skip-networking --socket="$temp/s" \
		--pid-file="$temp/pid" 2>>"$temp/error.log" &
	pid=$!
	for _ in $(seq 300); do
		if sql 'SELECT 1' >/dev/null; then return; fi
		if ! kill -0 "$pid" 2>/dev/null; then break; fi
		sleep 0.2
	done
	cat "$temp/error.log" >&2
	exit 1
}
sql() { mariadb --no-defaults --user=root --socket="$temp/s" --batch --skip-column-names --execute "$1" 2>&1; }
start

failed=0
expect() { # TEXT ACTUAL EXPECTED
	printf '%s: %s\n' "$1" "$2"
	if [ "$2" != "$3" ]; then failed=1; fi
}
accounts() { sql "SELECT COUNT(*), COUNT(DISTINCT user) FROM mysql.user WHERE user LIKE 'v-token-%'" | tr '\t' ' '; }

version=$(sql 'SELECT VERSION()')
echo "MariaDB $version"
if [[ $version != 10.11.19* ]]; then echo "this was seen on 10.11.19"; fi


sql 'CREATE DATABASE shop; CREATE TABLE shop.sale (id INT)'
ok='name "v-token-", error <nil>'
expect 'statements that succeed, twice' "$(ask sale)" "$ok"$'\n'"$ok"
expect '    accounts' "$(accounts)" '2 2'
sql "$(sql "SELECT GROUP_CONCAT('DROP USER \`', user, '\`' SEPARATOR ';') FROM mysql.user WHERE user LIKE 'v-token-%'")"
bad="name \"\", error Error 1146 (42S02): Table 'shop.gone' doesn't exist"
expect 'a GRANT that fails, twice' "$(ask gone)" "$bad"$'\n'"$bad"
expect '    accounts' "$(accounts)" '2 2'
user=$(sql "SELECT user FROM mysql.user WHERE user LIKE 'v-token-%' LIMIT 1")
expect '    one of them, with the generated password' "$(mariadb --no-defaults --user="$user" --password=Generated-1 --socket="$temp/s" --batch --skip-column-names --execute "SELECT 'logs in'")" 'logs in'

if [ "$failed" != 0 ]; then echo "the behaviour has changed" >&2; exit 1; fi
echo "as described"
