package grants_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/internal/grants/recorded"
)

var update = flag.Bool("update", false, "write the results for the recordings to testdata")

// TestRecordedAnswers reads recorded answers of servers, and compares the result with the file next
// to each: the sample account line by line, and the statements that create its clone.
func TestRecordedAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			answers, err := recorded.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			got := understood(t, answers)
			golden := strings.TrimSuffix(file, ".json") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// understood formats what is read from a recording.
func understood(t *testing.T, answers recorded.Answers) string {
	t.Helper()
	server := answers.Server()
	accounts, err := server.ParseAccounts(recorded.Users, recorded.Answer(answers.Accounts))
	if err != nil {
		t.Fatal(err)
	}
	grants.AddRights(accounts, recorded.Answer(answers.Rights))
	slices.SortFunc(accounts, func(x, y *grants.Account) int { return cmp.Compare(x.Name.User, y.Name.User) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", server.Flavor)
	for _, a := range accounts {
		fmt.Fprintf(&b, "\n%s\n", a.Name)
		for _, line := range a.AllLines() {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	b.WriteString("\nclone\n")
	for _, statement := range clone(t, server, answers, accounts) {
		fmt.Fprintf(&b, "  %s\n", statement)
	}
	return b.String()
}

// clone plans the clone of the sample account, and returns the statements.
func clone(t *testing.T, server *grants.Server, answers recorded.Answers, accounts []*grants.Account) []string {
	t.Helper()
	p := grants.Pair{Source: grants.Name{User: "rec_app"}, Standby: "rec_app_clone", Mark: "mark"}
	snapshot, err := p.Pick(accounts)
	if err != nil {
		t.Fatal(err)
	}
	shown := answers.Shown[snapshot.Source.Name.String()]
	snapshot.SourceInMemory = server.ParseShown(snapshot.Source.Name, shown.Grants, shown.Account)
	d, err := grants.NewDraft(grants.Facts{Snapshot: snapshot, Server: server, Pair: p, Administrator: grants.Name{User: "admin", Host: "%"}})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := server.PasswordPolicy(d.Plan.Standby)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.ChooseReference(policy, grants.NewPowers(server)); err != nil {
		t.Fatal(err)
	}
	if err := d.Compare(nil, nil); err != nil { // SHOW GRANTS agrees with the tables
		t.Fatal(err)
	}
	var statements []string
	for _, s := range d.Plan.Steps {
		statements = append(statements, s.Statement)
	}
	// The refusal for an administrator without rights lists everything that it needs.
	if err := d.CheckGrantable(grants.Name{User: "admin", Host: "%"}, nil, nil); err != nil {
		statements = append(statements, err.Error())
	}
	return statements
}
