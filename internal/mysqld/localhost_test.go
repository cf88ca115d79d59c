package mysqld

import (
	"strings"
	"testing"
)

// TestMachineWithoutLocalhost checks that what mariadb-install-db prints on a machine whose /etc/hosts has no line for localhost
// leads to advice that helps.
func TestMachineWithoutLocalhost(t *testing.T) {
	const printed = "Neither host 'vm' nor 'localhost' could be looked up with\n'/usr/bin/resolveip'\n" +
		"Please configure the 'hostname' command to return a correct\nhostname.\n"
	if got := whatHelps(printed); !strings.Contains(got, "add the line `127.0.0.1 localhost` to /etc/hosts") {
		t.Errorf("the advice is %q", got)
	}
	for _, other := range []string{"", "WARNING: The host 'vm' could not be looked up with /usr/bin/resolveip.", "No space left on device"} {
		if got := whatHelps(other); got != "" {
			t.Errorf("after %q, the advice is %q", other, got)
		}
	}
}

// TestOptionsWithoutLocalhost checks the options with which the server would not know the administrator, who is at localhost.
func TestOptionsWithoutLocalhost(t *testing.T) {
	for arg, refused := range map[string]bool{
		"--skip-name-resolve": true, "--skip_name_resolve": true, "--skip-name-resolve=ON": true, "--skip-name-resolve=1": true,
		"--loose-skip-name-resolve": true,
		"--skip-name-resolve=0":     false, "--skip-name-resolve=OFF": false, "--skip-log-bin": false, "--name-resolve": false,
	} {
		err := checkArguments([]string{"--read-only=OFF", arg})
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), arg) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}
