package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/rotation"
)

func TestFleetApply(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(file, []byte("Defaults: {MasterSecretId: m}\nSecrets:\n  - SecretId: new\n  - SecretId: same\n  - SecretId: "+
		"slow\n    RotationRules: {AutomaticallyAfterDays: 90}\n  - SecretId: drained\n    Drain: 1h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	running := func() *fake {
		in := func(id string) rotation.RotateUserInput {
			return rotation.RotateUserInput{SecretID: id, MasterSecretID: "m"}
		}
		f := fleetFake(in("same"), in("slow"), in("drained"), in("stranger"))
		for _, id := range []string{"same", "slow", "drained"} {
			f.declare(id, "file")
		}
		return f
	}

	f := running()
	code, out := runFleet(t, f, "fleet", "apply", "-f", file, "--dry-run")
	for _, want := range []string{
		"start    new      every 30 days", `change   slow     RotationRules: is {"AutomaticallyAfterDays":30}, declared {"AutomaticallyAfterDays":90}`,
		"restart  drained  Drain: is none, declared 1h", "1 to start, 1 to change, 1 to restart, 0 to stop, 1 unchanged.",
		"1 rotation not in the file: unchanged",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan does not say %q:\n%s", want, out)
		}
	}
	if code != 3 || len(f.asked) != 1 { // the list of running rotations
		t.Errorf("a dry run returned %d and asked for %q", code, f.asked)
	}

	other := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other, []byte("Defaults: {MasterSecretId: m}\nSecrets:\n  - SecretId: new\n  - SecretId: same\n  - SecretId: "+
		"slow\n    RotationRules: {AutomaticallyAfterDays: 90}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f = running()
	_, out = runFleet(t, f, "fleet", "apply", "-f", other, "--prune", "--over", "7d")
	slices.Sort(f.asked)
	asked := strings.Join(f.asked, "\n")
	for _, want := range []string{
		`execute RotateUserWorkflow rotate-user/new on rotate-user [{"SecretId":"new","MasterSecretId":"m","FirstRotationWithin":"7d"}]`,
		`update rotate-user/slow reschedule [{"RotationRules":{"AutomaticallyAfterDays":90},"TimeZone":"UTC","Blackout":[]}]`,
		`update rotate-user/drained stop`,
	} {
		if !strings.Contains(asked, want) {
			t.Errorf("it was not sent %s:\n%s\n%s", want, asked, out)
		}
	}
	if strings.Contains(asked, "/same") || strings.Contains(asked, "/stranger") {
		t.Errorf("an unchanged rotation was changed:\n%s", asked)
	}

	f = fleetFake(rotation.RotateUserInput{SecretID: "new", MasterSecretID: "m"})
	f.declare("new", "file")
	one := filepath.Join(t.TempDir(), "one.yaml")
	if err := os.WriteFile(one, []byte("Secrets:\n  - SecretId: new\n    MasterSecretId: m\n    MinimumOverlap: 1h\n    TimeZone: "+
		"UTC\n    RotationRules: {AutomaticallyAfterDays: 30}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := runFleet(t, f, "fleet", "apply", "-f", one, "--dry-run"); code != 0 || !strings.Contains(out, "1 unchanged") {
		t.Errorf("a file that matches the running rotations: %d\n%s", code, out)
	}
	if code, out := runFleet(t, f, "fleet", "apply", "-f", one+".missing"); code != 2 || !strings.Contains(out, "no such file") {
		t.Errorf("no file: %d\n%s", code, out)
	}
}

// TestAFileDoesNotChangeWhatItDidNotDeclare applies files to rotations that something else declares.
func TestAFileDoesNotChangeWhatItDidNotDeclare(t *testing.T) {
	zlib := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	file := filepath.Join(t.TempDir(), "fleet.yaml")
	for _, c := range []struct {
		name, owner, header string
		memos               converter.DataConverter // those of the starter and of the worker; nil: as without a codec server
		ended               bool                    // the workflow of the tag
		code                int
		says, sent          string // sent may be empty
	}{
		{name: "a tag", owner: "sync-fleet/rotate-user", code: 1,
			says: "skip  app  declared by sync-fleet/rotate-user\n\n0 to start, 0 to change, 0 to restart, 0 to stop, 0 unchanged.\n" +
				"1 rotation declared elsewhere: skipped.\n1 rotation not in the file: unchanged.\n"},
		{name: "a tag that is no longer watched", owner: "sync-fleet/rotate-user", ended: true,
			says: "declared by sync-fleet/rotate-user, from now on by file", sent: `"DeclaredBy":"file"`},
		{name: "another file", owner: "file shop", code: 1, says: "skip  app  declared by file shop"},
		{name: "the same name", owner: "file shop", header: "Name: shop\n", says: "RotationRules: is", sent: `"AutomaticallyAfterDays":7}`},
		{name: "the same name, encoded", owner: "file shop", header: "Name: shop\n", memos: zlib, says: "RotationRules: is",
			sent: `"AutomaticallyAfterDays":7}`},
		{name: "started by hand", header: "Name: shop\n", says: "declared by nothing, from now on by file shop", sent: `"DeclaredBy":"file shop"`},
	} {
		if err := os.WriteFile(file, []byte(c.header+"Secrets:\n  - SecretId: app\n    RotationRules: {AutomaticallyAfterDays: 7}\n"),
			0o600); err != nil {
			t.Fatal(err)
		}
		f := fleetFake(rotation.RotateUserInput{SecretID: "app"}, rotation.RotateUserInput{SecretID: "other"})
		if c.owner != "" {
			f.memos = c.memos
			f.declare("app", c.owner)
			f.declare("other", c.owner+"/other")
		}
		if c.ended {
			f.described = ended(enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
		}
		code, out := runFleet(t, f, "fleet", "apply", "-f", file, "--prune")
		asked := strings.Join(f.asked, "\n")
		if code != c.code || !strings.Contains(out, c.says) || strings.Contains(asked, "update") != (c.sent != "") ||
			!strings.Contains(asked, c.sent) || strings.Contains(asked, "stop") {
			t.Errorf("%s: exit code %d, asked for\n%s\n%s", c.name, code, asked, out)
		}
	}
}
