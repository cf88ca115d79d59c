package rotation_test

import (
	"encoding/json"
	"testing"

	"github.com/rotate-user/rotate-user/rotation"
)

// FuzzInput checks that every text is either refused with a message or gives a valid input, and
// that a valid input is still valid after it is passed to the next run.
func FuzzInput(f *testing.F) {
	for _, text := range []string{
		`{"SecretId":"s"}`, `{"SecretId":"s","RotationRules":{"ScheduleExpression":"rate(4 hours)","Duration":"1h"}}`,
		`{"SecretId":"s","MinimumOverlap":"1h","Drain":"2h","RequireDrained":true}`, `[]`, `{"SecretId":{}}`, `{"secretid":1}`, "{",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var in rotation.RotateUserInput
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			return // not JSON
		}
		if err := in.Validate(); err != nil {
			if err.Error() == "" {
				t.Error("refused without a message")
			}
			return
		}
		carried, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var again rotation.RotateUserInput
		if err := json.Unmarshal(carried, &again); err != nil {
			t.Fatal(err)
		}
		if err := again.Validate(); err != nil {
			t.Errorf("%s is valid, but is not when passed on as %s: %v", text, carried, err)
		}
	})
}
