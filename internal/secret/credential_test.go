package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

const complete = `{
  "engine": "mysql", "host": "db.example.com", "port": "3307",
  "username": "app", "password": "p<ä\"ss", "dbname": "shop",
  "masterarn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:Master-AbCdEf",
  "dbInstanceIdentifier": "db-1", "custom": {"a": [1, 2.50, null]}, "big": 12345678901234567890
}`

func TestParse(t *testing.T) {
	c, err := Parse([]byte(complete))
	if err != nil {
		t.Fatal(err)
	}
	if c.Engine != "mysql" || c.Host != "db.example.com" || c.Port != 3307 || c.Username != "app" || c.Password != `p<ä"ss` ||
		c.DBName != "shop" || !c.TLS {
		t.Errorf("parsed %s: a field is wrong", c)
	}
	for text, want := range map[string]struct {
		port int
		tls  bool
	}{
		`{"engine":"mariadb","host":"h","username":"u","password":"p"}`:                            {3306, true},
		`{"engine":"mariadb","host":"h","username":"u","password":"p","port":3308,"ssl":true}`:     {3308, true},
		`{"engine":"mariadb","host":"h","username":"u","password":"p","port":"1","ssl":"true"}`:    {1, true},
		`{"engine":"aurora-mysql","host":"::1","username":"u","password":"p","ssl":false}`:         {3306, false},
		`{"engine":"aurora-mysql","host":"::1","username":"u","password":"p","ssl":"false"}`:       {3306, false},
		`{"engine":"mysql","host":"h","username":"u","password":"p","port":null,"masterarn":null}`: {3306, true},
	} {
		c, err := Parse([]byte(text))
		if err != nil || c.Port != want.port || c.TLS != want.tls {
			t.Errorf("%s: port %d, TLS %t, error %v: want %v", text, c.Port, c.TLS, err, want)
		}
	}
}

func TestParseNamesTheWrongFieldWithoutItsValue(t *testing.T) {
	const rest = `"engine":"mysql","host":"h","username":"u","password":"hunter2"`
	for text, field := range map[string]string{
		``:                  "",
		`hunter2`:           "",
		`["hunter2"]`:       "",
		`"hunter2"`:         "",
		`{` + rest:          "",
		`{` + rest + `} {}`: "",
		"{\"a\":\"\xff\"}":  "",
		`{"engine":"mysql","host":"h","username":"u"}`:                                "password",
		`{"engine":"mysql","host":"h","username":"u","password":""}`:                  "password",
		`{"engine":"mysql","host":"h","username":"u","password":["hunter2"]}`:         "password",
		`{"engine":"mysql","host":"h","username":"u","password":"hunter2\u0000"}`:     "password",
		`{"engine":"mysql","host":"h","password":"hunter2"}`:                          "username",
		`{"engine":"mysql","username":"u","password":"hunter2"}`:                      "host",
		`{"engine":"mysql","host":"u:hunter2@h","username":"u","password":"hunter2"}`: "host",
		`{"engine":"hunter2","host":"h","username":"u","password":"hunter2"}`:         "engine",
		`{"host":"h","username":"u","password":"hunter2"}`:                            "engine",
		`{` + rest + `,"port":"hunter2"}`:                                             "port",
		`{` + rest + `,"port":0}`:                                                     "port",
		`{` + rest + `,"port":65536}`:                                                 "port",
		`{` + rest + `,"port":33.5}`:                                                  "port",
		`{` + rest + `,"ssl":"hunter2"}`:                                              "ssl",
		`{` + rest + `,"ssl":1}`:                                                      "ssl",
		`{` + rest + `,"password":"hunter2"}`:                                         "password",
		`{` + rest + `,"masterarn":7}`:                                                "masterarn",
	} {
		_, err := Parse([]byte(text))
		var wrong *FieldError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: error %v, want one about field %q", text, err, field)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error %q quotes the value", err)
		}
	}
}

func TestHost(t *testing.T) {
	for text, want := range map[string]struct{ host, address, refused string }{
		"db.example.com":           {"db.example.com", "db.example.com:3306", ""},
		"DB.example.com.":          {"DB.example.com.", "db.example.com:3306", ""},
		"192.0.2.1":                {"192.0.2.1", "192.0.2.1:3306", ""},
		"::1":                      {"::1", "[::1]:3306", ""},
		"[::1]":                    {"::1", "[::1]:3306", ""},
		"2001:DB8:0:0:0:0:0:1":     {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:3306", ""},
		"[2001:db8::1]":            {"2001:db8::1", "[2001:db8::1]:3306", ""},
		"fe80::1%eth0":             {"fe80::1%eth0", "[fe80::1%eth0]:3306", ""},
		"db.example.com:3306":      {refused: `put the port into the field "port"`},
		"192.0.2.1:3306":           {refused: `put the port into the field "port"`},
		"[::1]:3306":               {refused: `put the port into the field "port"`},
		"db.example.com:":          {refused: `put the port into the field "port"`},
		"2001:db8::1:zz":           {refused: `put the port into the field "port"`},
		"[db.example.com]":         {refused: "IPv6"},
		"[192.0.2.1]":              {refused: "IPv6"},
		"[::1":                     {refused: "IPv6"},
		"::1]":                     {refused: "IPv6"},
		"[]":                       {refused: "IPv6"},
		"mysql://db.example.com":   {refused: "host name or an IP address"},
		"tcp(db.example.com:3306)": {refused: "host name or an IP address"},
		"db example":               {refused: "host name or an IP address"},
	} {
		quoted, _ := json.Marshal(text)
		c, err := Parse([]byte(`{"engine":"mysql","username":"u","password":"p","host":` + string(quoted) + `}`))
		var wrong *FieldError
		switch {
		case want.refused == "" && (err != nil || c.Host != want.host || c.Address() != want.address):
			t.Errorf("%s: host %s, address %s, error %v: want %s, %s", text, c.Host, c.Address(), err, want.host, want.address)
		case want.refused != "" && (!errors.As(err, &wrong) || wrong.Field != "host" || !strings.Contains(err.Error(), want.refused)):
			t.Errorf("%s: error %v: want one about the host that says %q", text, err, want.refused)
		}
	}
}

func TestWithChangesOnlyTheCredential(t *testing.T) {
	c, err := Parse([]byte(complete))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.With("app_clone", `new<&>"\pass`)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(`"username": "app"`, `"username": "app_clone"`, `"p<ä\"ss"`, `"new<&>\"\\pass"`).Replace(complete)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSameServer(t *testing.T) {
	a := Credential{Host: "DB.example.com.", Port: 3306}
	if !a.SameServer(Credential{Host: "db.example.com", Port: 3306}) {
		t.Error("DNS names must be compared without case and final dot")
	}
	if a.SameServer(Credential{Host: "db.example.com", Port: 3307}) || a.SameServer(Credential{Host: "db2.example.com", Port: 3306}) {
		t.Error("a different port or host must be a different server")
	}
}

func TestPrintedCredentialHasNoPassword(t *testing.T) {
	c, err := Parse([]byte(`{"engine":"mysql","host":"h","username":"u","password":"hunter2"}`))
	if err != nil {
		t.Fatal(err)
	}
	v := Version{Credential: c}
	encoded, _ := json.Marshal(v)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credential", c, "version", v, "pointer", &c)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q %x", c, c, c, c, c, c), fmt.Sprintf("%v %+v %#v", v, v, &v),
		string(encoded), log.String()} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%q shows the password", text)
		}
	}
}

func FuzzCredential(f *testing.F) {
	f.Add([]byte(complete), "u", "p")
	f.Fuzz(func(t *testing.T, data []byte, user, password string) {
		c, err := Parse(data)
		if err != nil {
			var wrong *FieldError
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v is not a *FieldError", err)
			}
			return
		}
		changed, err := c.With(user, password)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(changed)
		if user == "" || password == "" || strings.ContainsRune(user+password, 0) || !utf8.ValidString(user+password) {
			return
		}
		if err != nil {
			t.Fatalf("the changed secret cannot be read: %v", err)
		}
		if again.Username != user || again.Password != password || again.Host != c.Host || again.Port != c.Port || again.TLS != c.TLS {
			t.Fatalf("%s became %s", c, again)
		}
	})
}

func TestSameButIgnoresLayout(t *testing.T) {
	t.Parallel()
	base := `{"engine":"mysql","host":"db","port":3306,"username":"app","password":"a","region":{"a":1,"b":[2]},"big":12345678901234567890}`
	for _, c := range []struct {
		name, other string
		want        bool
	}{
		{"another credential", `{"engine":"mysql","host":"db","port":3306,"username":"app_clone","password":"b","region":{"a":1,"b":[2]},"big":12345678901234567890}`, true},
		{"rewritten in another order", `{ "big": 12345678901234567890, "region": {"b": [2], "a": 1}, "password": "b", "username": "app", "port": "3306", "host": "db", "engine": "mysql" }`, true},
		{"another address", `{"engine":"mysql","host":"db2","port":3306,"username":"app","password":"a","region":{"a":1,"b":[2]},"big":12345678901234567890}`, false},
		{"without TLS", `{"engine":"mysql","host":"db","port":3306,"ssl":false,"username":"app","password":"a","region":{"a":1,"b":[2]},"big":12345678901234567890}`, false},
		{"a different nested field", `{"engine":"mysql","host":"db","port":3306,"username":"app","password":"a","region":{"a":1,"b":[3]},"big":12345678901234567890}`, false},
		{"a number that a float cannot distinguish", `{"engine":"mysql","host":"db","port":3306,"username":"app","password":"a","region":{"a":1,"b":[2]},"big":12345678901234567891}`, false},
		{"an additional field", `{"engine":"mysql","host":"db","port":3306,"username":"app","password":"a","region":{"a":1,"b":[2]},"big":12345678901234567890,"more":null}`, false},
		{"another administrator", `{"engine":"mysql","host":"db","port":3306,"masterarn":"m","username":"app","password":"a","region":{"a":1,"b":[2]},"big":12345678901234567890}`, false},
	} {
		x, err := Parse([]byte(base))
		if err != nil {
			t.Fatal(err)
		}
		y, err := Parse([]byte(c.other))
		if err != nil {
			t.Fatal(err)
		}
		if x.SameBut(y) != c.want || y.SameBut(x) != c.want {
			t.Errorf("%s: SameBut is %t, want %t", c.name, !c.want, c.want)
		}
	}
}
