package secret

import "testing"

func TestAnIDNamesOneSecret(t *testing.T) {
	const prefix = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
	app := Version{Name: "app", ARN: prefix + "app-a1b2c3"}
	longer := Version{Name: "app-a1b2c3", ARN: prefix + "app-a1b2c3-XyZ123"}
	for _, tt := range []struct {
		id          string
		app, longer bool
	}{
		{"app", true, false},
		{prefix + "app", true, false},
		{prefix + "app-a1b2c3", true, false}, // Secrets Manager takes it for a complete ARN
		{"app-a1b2c3", false, true},
		{prefix + "app-a1b2c3-XyZ123", false, true},
		{"app-a1b2c3-XyZ123", false, false},
		{prefix + "ap", false, false},
		{"", false, false},
	} {
		if app.Is(tt.id) != tt.app || longer.Is(tt.id) != tt.longer {
			t.Errorf("%q: is app %t, is app-a1b2c3 %t", tt.id, app.Is(tt.id), longer.Is(tt.id))
		}
	}
}
