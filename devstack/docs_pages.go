package main

import (
	"fmt"
	"strings"

	"github.com/rotate-user/rotate-user/devstack/stack"
)

// docPage says how to run the commands of a page. Pages without one are not run.
type docPage struct {
	setup []string
	// replace are pairs of a text on the page, and what stands for it on the dev stack.
	replace []string
	// codes are commands, by their beginnings, that do not exit with 0.
	codes map[string]int
	// skip are commands, by their beginnings, that are not run, with the reason.
	skip map[string]string
}

// docPages returns the pages whose commands are run.
func (r running) docPages() map[string]docPage {
	create := func(secret, user string) string {
		return fmt.Sprintf("starter create --secret-id %s --master-secret-id %s --username %s --grant 'SELECT ON *.*'", secret,
			stack.MasterSecret, user)
	}
	later := func(secret string) string { return "starter start --rotate-immediately=false --secret-id " + secret }
	server := fmt.Sprintf("%s:%d", r.Host, r.Port)
	const lambda = "the endpoint has no Lambda"
	wouldChange := map[string]int{"starter plan": 3}
	return map[string]docPage{
		"README.md": {
			setup:   []string{create("MyTestDatabaseUserSecret", "docs_readme")},
			replace: []string{"go run ./starter", "starter"},
		},
		"docs/tutorial.md": {codes: wouldChange},
		"docs/adopt.md": {
			setup:   []string{create("docs/adopt", "docs_adopt")},
			replace: []string{"NAME", "docs/adopt"},
			codes:   wouldChange,
			skip: map[string]string{
				"aws secretsmanager cancel-rotate-secret": lambda,
				"aws secretsmanager rotate-secret":        lambda,
				"aws secretsmanager create-secret":        "its file is the reader's",
			},
		},
		"docs/fleet.md": {
			setup:   []string{create("shop/app", "docs_fleet"), create("shop/report", "docs_report"), later("shop/report")},
			replace: []string{"MyMasterSecret", stack.MasterSecret, "db1.example.com:3306", server},
			codes: map[string]int{
				"starter plan": 3, "starter fleet apply -f fleet.yaml --dry-run": 3, // what was started by hand becomes the file's
			},
		},
		"docs/operations.md": {
			setup:   []string{create("docs/operations", "docs_operations"), later("docs/operations")},
			replace: []string{"NAME", "docs/operations"},
			skip: map[string]string{
				"aws securityhub":              "the dev stack has no Security Hub",
				"starter start":                "the dev stack has neither readers nor a secret that was renamed",
				"starter stop --secret-id OLD": "the dev stack has no secret that was renamed",
			},
		},
		"docs/runbooks.md": {
			setup:   []string{create("docs/runbooks", "docs_runbooks"), later("docs/runbooks")},
			replace: []string{"NAME", "docs/runbooks"},
		},
	}
}

// why returns the reason why a command is not run.
func (p docPage) why(text string) string {
	for beginning, reason := range p.skip {
		if strings.HasPrefix(text, beginning) {
			return reason
		}
	}
	return ""
}

// code returns the exit code that a command should have.
func (p docPage) code(text string) int {
	for beginning, code := range p.codes {
		if strings.HasPrefix(text, beginning) {
			return code
		}
	}
	return 0
}
