package secret

import (
	"errors"
	"strings"
	"testing"
)

func TestLoginNeedsAUserAndAPassword(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		`{"username":"app","password":"Secret.1"}`:                         "",
		`{"username":"app","password":"Secret.1","engine":"x","port":"y"}`: "",
		`{"username":"app"}`:                                              `"password"`,
		`{"password":"Secret.1"}`:                                         `"username"`,
		`{"username":"","password":"Secret.1"}`:                           `"username"`,
		`{"username":"app","password":null}`:                              `"password"`,
		`{"username":"app","password":["Secret.1"]}`:                      `"password"`,
		`{"username":"app","username":"app_clone","password":"Secret.1"}`: `"username"`,
		`["app","Secret.1"]`:                                              "JSON object",
		`Secret.1`:                                                        "JSON object",
		"{\"username\":\"app\",\"password\":\"Secret.1\xff\"}":            "UTF-8",
	} {
		c, err := ParseLogin([]byte(text))
		switch {
		case says == "" && (err != nil || c.Username != "app" || c.Password != "Secret.1"):
			t.Errorf("%s: %v, error %v", text, c, err)
		case says != "" && (!errors.As(err, new(*FieldError)) || !strings.Contains(err.Error(), says) ||
			strings.Contains(err.Error(), "Secret.1")):
			t.Errorf("%s: error %v, want one about %s without the password", text, err, says)
		}
	}
}

func TestLoginKeepsItsOtherFields(t *testing.T) {
	t.Parallel()
	const text = `{ "ttl": 1.50, "password": "Old.1", "username": "app", "note": "<b>" }`
	c, err := ParseLogin([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.With("app", "New.1")
	if want := strings.Replace(text, "Old.1", "New.1", 1); err != nil || string(got) != want {
		t.Errorf("%s, error %v: want %s", got, err, want)
	}
}
