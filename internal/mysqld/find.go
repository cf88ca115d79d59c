// Package mysqld runs private MySQL and MariaDB servers, for tests that need real servers and for
// demonstrations on a laptop. The servers listen only on 127.0.0.1, use TLS with their own
// certificate authority, and trade durability for speed. Do not use them for data that matters.
package mysqld

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The engines, as secrets spell them.
const (
	MySQL   = "mysql"
	MariaDB = "mariadb"
)

// RootVariable is the environment variable with the path of a Linux tree that contains a MySQL
// server, for machines whose packages include only MariaDB. See install-mysql.sh.
const RootVariable = "ROTATE_USER_MYSQL_ROOT"

const defaultRoot = "/var/cache/rotate-user/mysql"

// Program is a server binary on this machine.
type Program struct {
	Path    string // path of the binary
	Root    string // the Linux tree that the binary belongs to; empty if it is this machine
	Engine  string // MySQL or MariaDB
	Version string // such as 9.7.4 or 10.11.19
}

// Find returns the servers that ServersVariable lists. Without it, Find returns the servers on this
// machine: first those on PATH and in other usual places, then the one in the tree that
// RootVariable names. It leaves out binaries that do not run.
func Find() []Program {
	dirs := append(filepath.SplitList(os.Getenv("PATH")),
		"/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin",
		"/opt/homebrew/opt/mysql/bin", "/opt/homebrew/opt/mariadb/bin",
		"/usr/local/opt/mysql/bin", "/usr/local/opt/mariadb/bin")
	var found []Program
	seen := map[string]bool{}
	add := func(path, root string) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil || seen[real] {
			return
		}
		seen[real] = true
		p := Program{Path: path, Root: root}
		if p.identify() {
			found = append(found, p)
		}
	}
	if list := os.Getenv(ServersVariable); list != "" {
		for _, entry := range filepath.SplitList(list) {
			paths, root := named(entry)
			for _, path := range paths {
				add(path, root)
			}
		}
		return found
	}
	for _, name := range []string{"mariadbd", "mysqld"} {
		for _, dir := range dirs {
			add(filepath.Join(dir, name), "")
		}
	}
	root := os.Getenv(RootVariable)
	if root == "" {
		root = defaultRoot
	}
	add(filepath.Join(root, "usr/sbin/mysqld"), root)
	return found
}

// FindOne returns the server with an engine or a path, or Find's first one if wanted is empty.
func FindOne(wanted string) (Program, error) {
	found := Find()
	if len(found) == 0 {
		return Program{}, errors.New("no mysqld or mariadbd on this machine")
	}
	names := make([]string, len(found))
	for i, p := range found {
		if wanted == "" || wanted == p.Engine || wanted == p.Path {
			return p, nil
		}
		names[i] = fmt.Sprintf("%s (%s %s)", p.Path, p.Engine, p.Version)
	}
	return Program{}, fmt.Errorf("%s is not among the servers on this machine: %s", wanted, strings.Join(names, ", "))
}

var versionText = regexp.MustCompile(`Ver (\d+\.\d+\.\d+)(\S*)`)

// identify asks the binary for its engine and version.
func (p *Program) identify() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := p.command("--no-defaults", "--version")
	out, err := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...).Output()
	m := versionText.FindSubmatch(out)
	if err != nil || m == nil {
		return false
	}
	p.Engine, p.Version = MySQL, string(m[1])
	if strings.Contains(string(m[2]), "MariaDB") {
		p.Engine = MariaDB
	}
	return true
}

// command runs the server with the given arguments. It runs a server from another tree with that
// tree's loader and libraries. Unlike chroot, this does not need root, and the server sees the same
// files as other programs.
func (p Program) command(args ...string) *exec.Cmd {
	if p.Root == "" {
		return exec.Command(p.Path, args...)
	}
	loader := filepath.Join(p.Root, "lib64/ld-linux-x86-64.so.2")
	if found, _ := filepath.Glob(filepath.Join(p.Root, "usr/lib/*-linux-gnu/ld-linux-*.so.*")); len(found) > 0 {
		loader = found[0]
	}
	return exec.Command(loader, append([]string{"--library-path", filepath.Dir(loader), p.Path}, args...)...)
}

// places tells a server from another tree where its files are, because it would look for them on
// this machine.
func (p Program) places() []string {
	if p.Root == "" {
		return nil
	}
	usr := filepath.Join(p.Root, "usr")
	return []string{
		"--basedir=" + usr,
		"--plugin-dir=" + usr + "/lib/mysql/plugin",
		"--lc-messages-dir=" + p.share(),
		"--character-sets-dir=" + p.share() + "/charsets",
	}
}
