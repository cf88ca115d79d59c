package address

import (
	"fmt"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"reader:3306": "reader 3306", "db-1.Example.com:1": "db-1.Example.com 1", "10.0.0.1:65535": "10.0.0.1 65535", "[::1]:3306": "::1 3306",
		"": "", "reader": "", ":3306": "", "reader:": "", "reader:0": "", "reader:65536": "", "reader:-1": "", "::1:3306": "", "[::1:3306": "",
		"[]:3306":  "",
		"a@b:3306": "", "a b:3306": "", "tcp(a):3306": "", "a/b:3306": "", "[reader]:3306": "", "a:b:3306": "",
	} {
		name, number, err := Parse(text)
		got := ""
		if err == nil {
			got = fmt.Sprint(name, " ", number)
		}
		if got != want {
			t.Errorf("%q is %q, %v: want %q", text, got, err, want)
		}
	}
}
