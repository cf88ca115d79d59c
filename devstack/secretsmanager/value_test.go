package secretsmanager_test

import (
	"maps"
	"testing"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
)

const (
	noSecret  = "ResourceNotFoundException: Secrets Manager can't find the specified secret."
	scheduled = "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion."
	noValue   = "InvalidRequestException: You must provide either SecretString or SecretBinary."
)

// A step is one call on the secret "s".
type step func(*endpoint) error

func put(version, value string, stages ...string) step {
	return func(e *endpoint) error { _, err := e.put("s", version, value, stages...); return err }
}

func update(version, value string) step {
	return func(e *endpoint) error {
		s := "s"
		_, err := e.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: &s, ClientRequestToken: pointer(id(version)), SecretString: &value})
		return err
	}
}

func move(label, from, to string) step {
	return func(e *endpoint) error { return e.move("s", label, from, to) }
}

func create(version, value string) step {
	return func(e *endpoint) error {
		s := "s"
		_, err := e.CreateSecret(ctx, &sm.CreateSecretInput{Name: &s, ClientRequestToken: pointer(id(version)), SecretString: pointer(value)})
		return err
	}
}

func TestLabels(t *testing.T) {
	type labels = map[string]string
	tests := []struct {
		name    string
		steps   []step // all but the last must succeed
		err     string // of the last
		want    labels
		current string // value that a default GetSecretValue returns
	}{
		{"first version", []step{create("v1", "a")}, "", labels{"v1": "AWSCURRENT"}, "a"},
		{"default put moves two labels", []step{create("v1", "a"), put("v2", "b")}, "",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}, "b"},
		{"third put deprecates the first", []step{create("v1", "a"), put("v2", "b"), put("v3", "c")}, "",
			labels{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"}, "c"},
		{"update is a default put", []step{create("v1", "a"), update("v2", "b"), update("v3", "c")}, "",
			labels{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"}, "c"},
		{"a leftover AWSPENDING goes with a put", []step{create("v1", "a"), put("v2", "b", "AWSCURRENT", "AWSPENDING"), put("v3", "c")}, "",
			labels{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"}, "c"},
		{"AWSPENDING only", []step{create("v1", "a"), put("v2", "b", "AWSPENDING")}, "",
			labels{"v1": "AWSCURRENT", "v2": "AWSPENDING"}, "a"},
		{"custom label does not become current", []step{create("v1", "a"), put("v2", "b", "CUSTOM", "AWSSOMETHING")}, "",
			labels{"v1": "AWSCURRENT", "v2": "AWSSOMETHING CUSTOM"}, "a"},
		{"AWSCURRENT and custom", []step{create("v1", "a"), put("v2", "b", "AWSCURRENT", "CUSTOM")}, "",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT CUSTOM"}, "b"},
		{"AWSPENDING moves from current", []step{create("v1", "a"), put("v2", "b", "AWSCURRENT", "AWSPENDING"), put("v3", "c", "AWSPENDING")}, "",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "v3": "AWSPENDING"}, "b"},
		{"AWSPENDING moves and deprecates", []step{create("v1", "a"), put("v2", "b", "AWSPENDING"), put("v3", "c", "AWSPENDING")}, "",
			labels{"v1": "AWSCURRENT", "v2": "", "v3": "AWSPENDING"}, "a"},
		{"custom labels listed move, others stay", []step{create("v1", "a"), put("v2", "b", "X", "Y"), put("v3", "c", "Y", "Z")}, "",
			labels{"v1": "AWSCURRENT", "v2": "X", "v3": "Y Z"}, "a"},
		{"empty secret", []step{create("", "")}, "", labels{}, ""},
		{"first version of an empty secret becomes current", []step{create("", ""), put("v1", "a", "AWSPENDING")}, "",
			labels{"v1": "AWSCURRENT AWSPENDING"}, "a"},

		{"replay of the current version", []step{create("v1", "a"), put("v2", "b"), put("v2", "b")}, "",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}, "b"},
		{"late replay takes nothing back", []step{create("v1", "a"), put("v2", "b"), put("v3", "c"), put("v1", "a"), put("v2", "b")}, "",
			labels{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"}, "c"},
		{"replay of the pending version", []step{create("v1", "a"), put("v2", "b", "AWSPENDING"), put("v2", "b", "AWSPENDING")}, "",
			labels{"v1": "AWSCURRENT", "v2": "AWSPENDING"}, "a"},
		{"same token, other value", []step{create("v1", "a"), put("v2", "b"), put("v2", "c")},
			"ResourceExistsException: You can't use ClientRequestToken v2------------------------------ because that value is already in use " +
				"for a version of secret arn:aws:secretsmanager:us-east-1:123456789012:secret:s-",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}, "b"},
		{"same token, other value, pending", []step{create("v1", "a"), put("v2", "b", "AWSPENDING"), put("v2", "c", "AWSPENDING")},
			"ResourceExistsException", labels{"v1": "AWSCURRENT", "v2": "AWSPENDING"}, "a"},
		{"same token, other value, update", []step{create("v1", "a"), update("v2", "b"), update("v2", "c")},
			"ResourceExistsException", labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}, "b"},
		{"late replay of an update", []step{create("v1", "a"), update("v2", "b"), update("v3", "c"), update("v2", "b")}, "",
			labels{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"}, "c"},
		{"no value", []step{create("v1", "a"), put("v2", "")}, noValue, labels{"v1": "AWSCURRENT"}, "a"},

		{"promotion keeps AWSPENDING and custom labels", []step{create("v1", "a"), put("v2", "b", "AWSPENDING", "X"), move("OLD", "", "v1"),
			move("AWSCURRENT", "v1", "v2")}, "",
			labels{"v1": "AWSPREVIOUS OLD", "v2": "AWSCURRENT AWSPENDING X"}, "b"},
		{"promotion takes AWSPREVIOUS from a third", []step{create("v1", "a"), put("v2", "b"), put("v3", "c", "AWSPENDING"),
			move("KEPT", "", "v1"), move("AWSCURRENT", "v2", "v3")}, "",
			labels{"v1": "KEPT", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT AWSPENDING"}, "c"},
		{"label off", []step{create("v1", "a"), put("v2", "b"), move("X", "", "v2"), move("X", "v2", "")}, "",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}, "b"},
		{"AWSPREVIOUS off", []step{create("v1", "a"), put("v2", "b"), move("AWSPREVIOUS", "v1", "")}, "",
			labels{"v1": "", "v2": "AWSCURRENT"}, "b"},
		{"custom label moves", []step{create("v1", "a"), put("v2", "b"), move("X", "", "v1"), move("X", "v1", "v2")}, "",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT X"}, "b"},
		{"roll back", []step{create("v1", "a"), put("v2", "b"), move("AWSCURRENT", "v2", "v1")}, "",
			labels{"v1": "AWSCURRENT", "v2": "AWSPREVIOUS"}, "a"},
		{"move to where it is", []step{create("v1", "a"), put("v2", "b"), move("AWSCURRENT", "", "v2")}, "",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}, "b"},

		{"AWSCURRENT held elsewhere", []step{create("v1", "a"), put("v2", "b", "AWSPENDING"), move("AWSCURRENT", "", "v2")},
			"InvalidParameterException: The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to " +
				"version v1------------------------------, so you must explicitly reference that version in RemoveFromVersionId.",
			labels{"v1": "AWSCURRENT", "v2": "AWSPENDING"}, "a"},
		{"custom label held elsewhere", []step{create("v1", "a"), put("v2", "b", "X"), move("X", "", "v1")},
			"InvalidParameterException: The parameter RemoveFromVersionId can't be empty. Staging label X is",
			labels{"v1": "AWSCURRENT", "v2": "X"}, "a"},
		{"promotion repeated", []step{create("v1", "a"), put("v2", "b", "AWSPENDING"), move("AWSCURRENT", "v1", "v2"),
			move("AWSCURRENT", "v1", "v2")},
			"InvalidParameterException", labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT AWSPENDING"}, "b"},
		{"take off where it is not", []step{create("v1", "a"), put("v2", "b", "X"), move("X", "v1", "")},
			"InvalidParameterException", labels{"v1": "AWSCURRENT", "v2": "X"}, "a"},
		{"take off what nobody has", []step{create("v1", "a"), move("X", "v1", "")},
			"InvalidParameterException", labels{"v1": "AWSCURRENT"}, "a"},
		{"AWSCURRENT off", []step{create("v1", "a"), move("AWSCURRENT", "v1", "")},
			"InvalidParameterException: You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
			labels{"v1": "AWSCURRENT"}, "a"},
		{"to no version", []step{create("v1", "a"), move("AWSCURRENT", "v1", "v9")}, "InvalidParameterException", labels{"v1": "AWSCURRENT"},
			"a"},
		{"from no version", []step{create("v1", "a"), put("v2", "b"), move("AWSCURRENT", "v9", "v2")}, "InvalidParameterException",
			labels{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}, "b"},
		{"neither", []step{create("v1", "a"), move("AWSCURRENT", "", "")}, "InvalidParameterException", labels{"v1": "AWSCURRENT"}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEndpoint(t, "")
			last := len(tt.steps) - 1
			for _, do := range tt.steps[:last] {
				if err := do(e); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, tt.steps[last](e), tt.err)
			if d := cmp.Diff(tt.want, e.labels(t, "s")); d != "" {
				t.Errorf("labels: -want +got\n%s", d)
			}
			out, err := e.get("s", "", "")
			if tt.current == "" {
				expect(t, err, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if *out.SecretString != tt.current {
				t.Errorf("current value %q, want %q", *out.SecretString, tt.current)
			}
		})
	}
}

// TestRotation walks through a rotation, and the next one, as an alternating-users
// function carries it out.
func TestRotation(t *testing.T) {
	e := newEndpoint(t, "")
	e.create(t, "s", "v1", "a")
	rotate := func(old, next, value string, want map[string]string) {
		t.Helper()
		_, err := e.get("s", next, "AWSPENDING")
		expect(t, err, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: "+id(next))
		before := e.labels(t, "s")
		if _, err := e.put("s", next, value, "AWSPENDING"); err != nil {
			t.Fatal(err)
		}
		staged := maps.Clone(before)
		staged[next] = "AWSPENDING"
		if d := cmp.Diff(staged, e.labels(t, "s")); d != "" {
			t.Errorf("staged: -want +got\n%s", d)
		}
		out, err := e.get("s", next, "AWSPENDING")
		if err != nil || *out.SecretString != value {
			t.Fatalf("pending value: %v, %v", out, err)
		}
		if err := e.move("s", "AWSCURRENT", old, next); err != nil {
			t.Fatal(err)
		}
		if got := e.labels(t, "s")[next]; got != "AWSCURRENT AWSPENDING" {
			t.Errorf("promoted version has %q", got)
		}
		if err := e.move("s", "AWSPENDING", next, ""); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, e.labels(t, "s")); d != "" {
			t.Errorf("finished: -want +got\n%s", d)
		}
	}
	rotate("v1", "t", "b", map[string]string{"v1": "AWSPREVIOUS", "t": "AWSCURRENT"})
	rotate("t", "u", "c", map[string]string{"v1": "", "t": "AWSPREVIOUS", "u": "AWSCURRENT"})

	if out, err := e.get("s", "v1", ""); err != nil || *out.SecretString != "a" || out.VersionStages != nil {
		t.Errorf("a deprecated version stays readable by its id: %v, %v", out, err)
	}
}
