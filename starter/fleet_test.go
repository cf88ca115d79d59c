package main

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/rotate-user/rotate-user/rotation"
)

const exampleFile = `Defaults:
  MasterSecretId: shop/admin
  TimeZone: Europe/Berlin
  Blackout: [2026-12-24/2027-01-02, Fri 16:00 - Mon 08:00, 2026-12-31]
Secrets:
  - SecretId: shop/app
  - SecretId: shop/report
    RotationRules:
      ScheduleExpression: rate(10 days)
    Drain: 1h
  - SecretId: shop/other
    TimeZone: UTC
    Blackout: []
    RotateImmediately: false
`

func TestReadFleet(t *testing.T) {
	file, err := readFleet("fleet.yaml", []byte(exampleFile))
	if err != nil {
		t.Fatal(err)
	}
	inputs := file.secrets
	var got []string
	for _, in := range inputs {
		got = append(got, in.SecretID+" "+in.MasterSecretID+" "+in.ScheduleText()+" "+in.Drain.String())
	}
	want := []string{
		"shop/app shop/admin every 30 days in Europe/Berlin, but for 2026-12-24/2027-01-02, Fri 16:00 - Mon 08:00, 2026-12-31 0s",
		"shop/report shop/admin rate(10 days) in Europe/Berlin, but for 2026-12-24/2027-01-02, Fri 16:00 - Mon 08:00, 2026-12-31 1h",
		"shop/other shop/admin every 30 days in UTC 0s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if inputs[2].Immediately() {
		t.Error("RotateImmediately was lost")
	}
}

func TestReadFleetErrorsHaveAPosition(t *testing.T) {
	tests := []struct{ name, file, says string }{
		{"nothing", "", "f.yaml is empty"},
		{"not YAML", "Secrets: [", "f.yaml: yaml: line 1"},
		{"two documents", "Secrets: []\n---\nSecrets: []\n", "more than one document"},
		{"a list", "- SecretId: a\n", "f.yaml:1:1: the file must be a mapping"},
		{"unknown at the top", "Secrets: []\nsecrets: []\n", `f.yaml:2:1: unknown field "secrets"`},
		{"a name that is none", "Name: a b\nSecrets: []\n", "f.yaml:1:1: Name must have 1 to 60"},
		{"no secrets", "Defaults: {}\n", "f.yaml:1:1: Secrets is missing"},
		{"unknown in a secret", "Secrets:\n  - SecretId: a\n    Drian: 1h\n", `f.yaml:3:5: unknown field "Drian"`},
		{"wrong case", "Secrets:\n  - SecretID: a\n", `f.yaml:2:5: unknown field "SecretID" (do you mean "SecretId"?)`},
		{"unknown inside", "Secrets:\n  - SecretId: a\n    RotationRules:\n      Duratoin: 3h\n",
			`f.yaml:4:7: unknown field "RotationRules.Duratoin"`},
		{"unknown in the defaults", "Defaults:\n  TimeZne: UTC\nSecrets:\n  - SecretId: a\n  - SecretId: b\n",
			`f.yaml:2:3: Defaults: unknown field "TimeZne"`},
		{"wrong in the defaults", "Defaults:\n  TimeZone: Mars\nSecrets:\n  - SecretId: a\n", `f.yaml:2:3: Defaults: TimeZone "Mars"`},
		{"an id in the defaults", "Defaults:\n  SecretId: x\nSecrets: []\n", "f.yaml:2:3: Defaults must not have a SecretId"},
		{"wrong value", "Secrets:\n  - SecretId: a\n    RotationRules: {AutomaticallyAfterDays: 0}\n",
			"f.yaml:3:21: RotationRules: AutomaticallyAfterDays is 0"},
		{"wrong type", "Secrets:\n  - SecretId: a\n    RequireDrained: maybe\n", "f.yaml:3:5: RequireDrained: true or false is expected"},
		{"a number as a duration", "Secrets:\n  - SecretId: a\n    Drain: 5\n", "f.yaml:3:5: Drain"},
		{"a wrong entry", "Secrets:\n  - SecretId: a\n    Blackout: [2026-12-24, christmas]\n", `f.yaml:3:5: Blackout[1] "christmas"`},
		{"nothing after the colon", "Secrets:\n  - SecretId: a\n    Drain:\n", `f.yaml:3:5: field "Drain" is null`},
		{"no id", "Secrets:\n  - Drain: 1h\n", "f.yaml:2:5: SecretId is required"},
		{"a bare name", "Secrets:\n  - shop/app\n", "f.yaml:2:5: expected fields"},
		{"a secret twice", "Secrets:\n  - SecretId: a\n  - SecretId: b\n  - SecretId: a\n", "f.yaml:4:5: secret a is already in line 2"},
		{"a field twice", "Secrets:\n  - SecretId: a\n    Drain: 1h\n    Drain: 2h\n", `f.yaml:4:5: field "Drain" occurs twice`},
		{"an alias", "Defaults: &d {Drain: 1h}\nSecrets:\n  - SecretId: a\n    RotationRules: *d\n", "f.yaml:4:20: aliases are not supported"},
		{"the master itself", "Defaults: {MasterSecretId: a}\nSecrets:\n  - SecretId: a\n", "MasterSecretId is the secret itself"},
		{"two mistakes", "Secrets:\n  - SecretId: a\n    Drian: 1h\n  - SecretId: b\n    TimeZone: Mars\n", `f.yaml:5:5: TimeZone "Mars"`},
	}
	for _, test := range tests {
		_, err := readFleet("f.yaml", []byte(test.file))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error does not say %q:\n%v", test.name, test.says, err)
		}
		if err != nil && strings.Count(err.Error(), "TimeZne") > 3 {
			t.Errorf("%s: a mistake in the defaults is reported for each secret:\n%v", test.name, err)
		}
	}
}

// TestFleetFileRoundTrip writes the inputs of a file, reads them again, and finds no difference.
func TestFleetFileRoundTrip(t *testing.T) {
	read, err := readFleet("fleet.yaml", []byte(exampleFile))
	if err != nil {
		t.Fatal(err)
	}
	inputs := read.secrets
	var file bytes.Buffer
	for i := range inputs {
		inputs[i] = lasting(inputs[i])
	}
	if err := writeFleet(&file, inputs); err != nil {
		t.Fatal(err)
	}
	again, err := readFleet("fleet.yaml", file.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, file.String())
	}
	for i, in := range again.secrets {
		if differs, _ := differences(inputs[i], in); len(differs) > 0 {
			t.Errorf("%s: %v\n%s", in.SecretID, differs, file.String())
		}
	}
	if strings.Contains(file.String(), "{") || strings.Contains(file.String(), "MinimumOverlap") {
		t.Errorf("it is not in block style:\n%s", file.String())
	}
}

// declare sets what declares a rotation of a fake.
func (f *fake) declare(secretID, owner string) {
	payload, err := cmp.Or(f.memos, converter.GetDefaultDataConverter()).ToPayload(owner)
	if err != nil {
		panic(err)
	}
	for _, e := range f.pages[0].GetExecutions() {
		if e.GetExecution().GetWorkflowId() == "rotate-user/"+secretID {
			e.Memo = &common.Memo{Fields: map[string]*common.Payload{rotation.DeclaredByMemo: payload}}
		}
	}
}

// fleetFake is a server with some running rotations.
func fleetFake(inputs ...rotation.RotateUserInput) *fake {
	f := &fake{statuses: map[string]rotation.Status{}, updated: status(rotation.Scheduled), results: map[string]any{}}
	page := &workflowservice.ListWorkflowExecutionsResponse{}
	for _, in := range inputs {
		s := status(rotation.Scheduled)
		s.SecretID, s.Input = in.SecretID, in.Complete()
		f.statuses[in.SecretID] = s
		page.Executions = append(page.Executions, execution("rotate-user/"+in.SecretID,
			map[string]*common.Payload{"RotationStatus": payload("Scheduled")}))
	}
	f.pages = []*workflowservice.ListWorkflowExecutionsResponse{page}
	return f
}

func runFleet(t *testing.T, f *fake, args ...string) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := newApp(&stdout, &stderr)
	a.dial = func(context.Context) (temporal, converter.DataConverter, error) { return f, f.memos, nil }
	code = a.run(t.Context(), args)
	return code, stdout.String() + stderr.String()
}

func TestFleetExport(t *testing.T) {
	day := rotation.Duration(24 * time.Hour)
	f := fleetFake(rotation.RotateUserInput{SecretID: "b", Blackout: []string{"2026-12-24"}},
		rotation.RotateUserInput{SecretID: "a", MinimumOverlap: &day}, rotation.RotateUserInput{SecretID: "tagged"})
	f.declare("b", "file")
	f.declare("tagged", "sync-fleet/rotate-user")
	code, out := runFleet(t, f, "fleet", "export")
	out = strings.Replace(out, "Left out: 1 rotation declared by a tag.\n", "left out\n", 1)
	want := `Secrets:
  - SecretId: a
    RotationRules:
      AutomaticallyAfterDays: 30
    MinimumOverlap: 1d
  - SecretId: b
    RotationRules:
      AutomaticallyAfterDays: 30
    Blackout:
      - "2026-12-24"
left out
`
	if code != 0 || out != want {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestFleetSync(t *testing.T) {
	pass := &rotation.FleetPass{StartedAt: now.Add(-time.Minute), Tagged: 3, Started: 2, Failed: 1,
		Changes: []string{"shop/app: started, every 30 days"}, Problems: []string{`x: the tag's value is "weekly"`}}
	f := &fake{rotated: []any{rotation.FleetStatus{Tag: "t", Managed: 2, NextPass: now.Add(time.Hour), LastPass: pass}}}
	code, out := runFleet(t, f, "fleet", "sync", "--tag", "t", "--over", "0s", "--time-zone", "Europe/Berlin", "--blackout",
		"Fri 16:00 - Mon 08:00", "--duration", "3h")
	for _, want := range []string{"Managed     2 secrets", "3 secrets tagged: 2 started, 0 rescheduled, 0 stopped, 0 unchanged, 1 failed",
		"Problems:\n  x: the tag's value", "(in 1 hour)"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	const input = `{"Tag":"t","Every":"1h","Over":"0s","AtOnce":20,"Defaults":{"SecretId":"","RotationRules":{"Duration":"3h"},"TimeZone":"Europe/Berlin","Blackout":["Fri 16:00 - Mon 08:00"]}}`
	if want := `start sync-fleet/t on rotate-user [` + input + `], conflict UseExisting, update sync [{"Input":` + input + `}]`; code != 0 ||
		!slices.Equal(f.asked, []string{want}) {
		t.Errorf("%d, asked for %q, want %q", code, f.asked, want)
	}
	// Without options, a workflow that runs keeps its own.
	f = &fake{rotated: []any{rotation.FleetStatus{Tag: "t", LastPass: pass}}}
	code, out = runFleet(t, f, "fleet", "sync", "--tag", "t")
	if asked := strings.Join(f.asked, "\n"); code != 0 || !strings.HasSuffix(asked, "update sync [{}]") {
		t.Errorf("%d, asked for %q: %s", code, asked, out)
	}
	if code, out := runFleet(t, f, "fleet", "sync", "--every", "1s"); code != 2 || !strings.Contains(out, "Every is 1s") {
		t.Errorf("%d: %s", code, out)
	}
}

func TestFleetRotate(t *testing.T) {
	ended := rotation.RotateFleetStatus{StartedAt: now.Add(-time.Minute), EndedAt: now, Total: 10, Rotated: 8, Failed: 1, Pending: 1,
		Stopped:  "a canary failed",
		Failures: []string{"shop/app: no answer"}, PendingHosts: map[string]int{"db1:3306": 1}}
	f := &fake{results: map[string]any{rotation.RotateFleetWorkflow: ended}}
	code, out := runFleet(t, f, "fleet", "rotate", "--query", "DatabaseHost = 'db1:3306'", "--revoke-previous", "--grace", "10m",
		"--max-failures", "1")
	for _, want := range []string{"8 of 10 rotated, 1 failed, 0 skipped, 0 in progress, 1 to go; stopped: a canary failed",
		"shop/app: no answer", "db1:3306: 1 secret", "2 secrets not rotated"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	const input = `{"Query":"DatabaseHost = 'db1:3306'","Rotate":{"RevokePrevious":true,"Grace":"10m"},"Canary":5,"MaxFailures":"1","PerHost":2}`
	if want := "execute RotateFleetWorkflow rotate-fleet on rotate-user [" + input + "]"; code != 1 || f.asked[0] != want {
		t.Errorf("%d, asked for %q, want %q", code, f.asked, want)
	}
	f = &fake{running: true}
	if code, out := runFleet(t, f, "fleet", "rotate"); code != 1 || !strings.Contains(out, "starter fleet rotate status") {
		t.Errorf("one that runs: %d\n%s", code, out)
	}
	if code, out := runFleet(t, f, "fleet", "rotate", "--max-failures", "some"); code != 2 || !strings.Contains(out, "MaxFailures") {
		t.Errorf("wrong usage: %d\n%s", code, out)
	}
}

func TestProgressLine(t *testing.T) {
	s := rotation.RotateFleetStatus{StartedAt: now.Add(-100 * time.Second), Total: 1000, Rotated: 490, Failed: 10}
	for _, test := range []struct {
		change func(*rotation.RotateFleetStatus)
		want   string
	}{
		{func(*rotation.RotateFleetStatus) {}, "[###############...............] 500 of 1000, 10 failed, 5.0/s, 2 minutes left"},
		{func(s *rotation.RotateFleetStatus) { s.Paused = true }, "[###############...............] 500 of 1000, 10 failed, paused"},
		{func(s *rotation.RotateFleetStatus) { s.Canary = true }, "[###############...............] 500 of 1000, 10 failed, canaries first"},
		{func(s *rotation.RotateFleetStatus) { *s = rotation.RotateFleetStatus{} }, "[..............................] 0 of 0"},
	} {
		s := s
		test.change(&s)
		if got := progressLine(s, now); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
