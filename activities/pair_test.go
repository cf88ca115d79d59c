package activities

import "testing"

func TestStandbyIsTakenOnlyOnEvidence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pair

		want  string
		owned bool
		fails bool
	}{
		"first rotation":                      {pair: pair{Current: "app"}, want: "app_clone"},
		"second rotation":                     {pair: pair{Current: "app_clone", Previous: "app"}, want: "app", owned: true},
		"third rotation":                      {pair: pair{Current: "app", Previous: "app_clone"}, want: "app_clone", owned: true},
		"previous names a stranger":           {pair: pair{Current: "app", Previous: "billing"}, want: "app_clone"},
		"previous is the same user":           {pair: pair{Current: "app", Previous: "app"}, want: "app_clone"},
		"a clone and nothing else":            {pair: pair{Current: "billing_clone"}, fails: true},
		"a clone, and previous is a stranger": {pair: pair{Current: "billing_clone", Previous: "app"}, fails: true},
		"a clone, and previous is its own clone": {pair: pair{Current: "x_clone", Previous: "x_clone_clone"}, want: "x_clone_clone",
			owned: true},
		"a clone, and the input says so":         {pair: pair{Current: "app_clone", CloneUsername: "app_clone"}, want: "app", owned: true},
		"a clone, and the input names the other": {pair: pair{Current: "app_clone", CloneUsername: "app"}, want: "app", owned: true},
		"the input names the other":              {pair: pair{Current: "red", CloneUsername: "blue"}, want: "blue", owned: true},
		"the input wins over the usual name": {pair: pair{Current: "app", Previous: "app_clone", CloneUsername: "app_b"}, want: "app_b",
			owned: true},
		"swapped names, and the workflow knows": {pair: pair{Current: "blue", CloneUsername: "blue", Known: []string{"blue", "red"}},
			want: "red", owned: true},
		"swapped names, and no evidence": {pair: pair{Current: "blue", Previous: "red", CloneUsername: "blue"}, fails: true},
		"a clone, and the workflow knows": {pair: pair{Current: "app_clone", Known: []string{"app_clone", "app"}}, want: "app",
			owned: true},
		"the workflow knows another pair": {pair: pair{Current: "new", Known: []string{"app_clone", "app"}}, want: "new_clone"},
	} {
		got, owned, err := c.standby("MySecret")
		if got != c.want || owned != c.owned || (err != nil) != c.fails {
			t.Errorf("%s: standby %q, owned %t, error %v: want %q, %t", name, got, owned, err, c.want, c.owned)
		}
	}
}

func TestTheBaseNameOfAPair(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pair

		standby string
		base    bool
	}{
		{pair{Current: "app"}, "app_clone", false},
		{pair{Current: "app_clone"}, "app", true},
		{pair{Current: "app_clone", CloneUsername: "app_clone"}, "app", true},
		{pair{Current: "app_clone", CloneUsername: "app"}, "app", true}, // CloneUsername only names the other account
		{pair{Current: "app", CloneUsername: "app"}, "app_clone", false},
		{pair{Current: "red", CloneUsername: "blue"}, "blue", false},
		{pair{Current: "blue", CloneUsername: "blue"}, "red", true},
		{pair{Current: "blue", Known: []string{"blue", "red"}}, "red", false}, // no evidence which one it is
		{pair{Current: "app_clone"}, "app_clone", false},
	} {
		if got := c.isBase(c.standby); got != c.base {
			t.Errorf("%+v: %q is the base name: %t", c.pair, c.standby, got)
		}
	}
}
