package secret

import (
	"errors"
	"testing"
)

func TestMasterSecretNeedNotNameAServer(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		field      string // the wrong one, or ""
		bare       bool
	}{
		{"as RDS creates it", `{"username":"admin","password":"p"}`, "", true},
		{"with fields of other programs", `{"username":"admin","password":"p","note":"x"}`, "", true},
		{"null counts as absent", `{"username":"admin","password":"p","host":null,"engine":null}`, "", true},
		{"a server", `{"username":"admin","password":"p","engine":"mysql","host":"db"}`, "", false},
		{"a host only", `{"username":"admin","password":"p","host":"db"}`, "engine", false},
		{"an engine only", `{"username":"admin","password":"p","engine":"mysql"}`, "host", false},
		{"a port only", `{"username":"admin","password":"p","port":3306}`, "engine", false},
		{"no password", `{"username":"admin"}`, "password", true},
	} {
		c, err := ParseMaster([]byte(tt.text))
		var wrong *FieldError
		switch {
		case tt.field == "" && err != nil, tt.field != "" && (!errors.As(err, &wrong) || wrong.Field != tt.field):
			t.Errorf("%s: %v", tt.name, err)
		case err == nil && (c.NamesNoServer() != tt.bare || (c.Host == "") != tt.bare || (c.Port == 0) != tt.bare):
			t.Errorf("%s: server %s, named %t", tt.name, c.Address(), !c.NamesNoServer())
		}
		if tt.bare {
			if _, err := Parse([]byte(tt.text)); err == nil {
				t.Errorf("%s: a user's secret was accepted without a server", tt.name)
			}
		}
	}
}
