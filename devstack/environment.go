package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

// writeEnvironment writes .devstack/env for the shell, and next to it an option file for mysql,
// which contains the administrator's password and is readable only by its owner. Both are useful
// only while the stack is up. forget removes them, unless another stack has replaced them.
func (r running) writeEnvironment() (forget func(), err error) {
	options := filepath.Join(r.Dir, "my.cnf")
	files := map[string]string{options: r.OptionFile()}
	var env strings.Builder
	env.WriteString("# For the shell:  . " + stateDir + "/env\n")
	variables := append(r.Variables(),
		stack.Variable{Name: "MYSQL_HOST", Value: r.Host},
		stack.Variable{Name: "MYSQL_TCP_PORT", Value: strconv.Itoa(r.Port)},
		stack.Variable{Name: "MYSQL_OPTION_FILE", Value: options},
	)
	for _, v := range variables {
		fmt.Fprintf(&env, "export %s=%s\n", v.Name, shellQuote(v.Value))
	}
	fmt.Fprintf(&env, "export PATH=%s:\"$PATH\"\n", shellQuote(r.bin))
	env.WriteString("# The database's administrator:  mysql --defaults-file=\"$MYSQL_OPTION_FILE\"\n")
	files[filepath.Join(r.Dir, "env")] = env.String()
	for path, text := range files {
		if err := writePrivate(path, text); err != nil {
			return nil, err
		}
	}
	return func() {
		for path, text := range files {
			if found, err := os.ReadFile(path); err == nil && string(found) == text {
				_ = os.Remove(path)
			}
		}
	}, nil
}

func writePrivate(path, text string) error {
	// An existing file would keep its permissions.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
