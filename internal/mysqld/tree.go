package mysqld

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ServersVariable is the environment variable that lists the servers of a test run, instead of
// those that Find would find. Its entries are paths of server programs and of Linux trees (see
// install-mysql.sh and install-mariadb.sh), separated as in PATH.
const ServersVariable = "ROTATE_USER_SERVERS"

// named returns the server programs that an entry of ServersVariable stands for, with the tree that
// they belong to.
func named(entry string) (paths []string, root string) {
	info, err := os.Stat(entry)
	if err != nil || !info.IsDir() {
		return []string{entry}, ""
	}
	return []string{filepath.Join(entry, "usr/sbin/mariadbd"), filepath.Join(entry, "usr/sbin/mysqld")}, entry
}

// share returns the directory with the messages, character sets and scripts of a server from
// another tree.
func (p Program) share() string {
	for _, name := range []string{"mariadb", "mysql"} {
		dir := filepath.Join(p.Root, "usr/share", name)
		if _, err := os.Stat(filepath.Join(dir, "english")); err == nil {
			return dir
		}
	}
	return filepath.Join(p.Root, "usr/share/mysql")
}

// bootstrapScript returns what mariadb-install-db has the server run on an empty data directory.
// mariadb-install-db itself would start the server with this machine's libraries. As there, root logs in
// without a password, but only through the socket and as the system's root.
func (p Program) bootstrapScript() ([]byte, error) {
	var script bytes.Buffer
	script.WriteString("create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket='root';\n")
	for _, name := range []string{"system_tables", "performance_tables", "system_tables_data", "add_gis_sp_bootstrap", "sys_schema"} {
		text, err := p.script(name)
		if name == "sys_schema" && errors.Is(err, fs.ErrNotExist) {
			continue // MariaDB has it from 10.6 on
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "@current_hostname") { // as with --skip-name-resolve
				script.WriteString(line)
			}
		}
		script.WriteString("\n")
	}
	return script.Bytes(), nil
}

func (p Program) script(name string) (string, error) {
	for _, prefix := range []string{"mariadb_", "mysql_", "maria_"} {
		text, err := os.ReadFile(filepath.Join(p.share(), prefix+name+".sql"))
		if err == nil {
			return string(text), nil
		}
	}
	return "", fmt.Errorf("%s has no %s.sql: %w", p.share(), name, fs.ErrNotExist)
}
