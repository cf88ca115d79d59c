package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSummary(t *testing.T) {
	c := counter{ran: map[string]int{}}
	c.read(strings.NewReader(`
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestOne/mysql-9.7.4/case"}
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestOne/mysql-9.7.4"}
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestOne/mariadb-10.11.19"}
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestOne"}
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestEndToEnd/mariadb"}
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestGroupReplication/leaves"}
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestGalera/joins"}
{"Action":"skip","Package":"github.com/rotate-user/rotate-user/a","Test":"TestSkipped/mysql"}
{"Action":"run","Package":"github.com/rotate-user/rotate-user/a","Test":"TestOne"}
{"Action":"pass","Package":"github.com/rotate-user/rotate-user/a","Test":"TestOne"}
{"Action":"run","Package":"github.com/rotate-user/rotate-user/a","Test":"TestEndless"}
{"Action":"run","Package":"github.com/rotate-user/rotate-user/b","Test":"TestEndless"}
{"Action":"output","Package":"github.com/rotate-user/rotate-user/a","Test":"TestPure","Output":"words\n"}
{"Action":"fail","Package":"github.com/rotate-user/rotate-user/a","Test":"TestPure"}
{"Action":"fail","Package":"github.com/rotate-user/rotate-user/a","Elapsed":3}
`), "")
	want := `
Tests that ran in 2s: 3 on MariaDB, 2 on MySQL, 1 without naming one; skipped: 1.
Failed:
  a TestPure
  a TestEndless had not ended
  a
`
	if got := c.summary(2 * time.Second); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestInMemory(t *testing.T) {
	dir, err := inMemory(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	if dir == "" {
		t.Skip("no directory in memory with enough room")
	}
	left, err := os.ReadDir(dir)
	if err := errors.Join(err, os.Remove(dir)); err != nil || len(left) > 0 {
		t.Errorf("%s is not an empty directory: %v, %v", dir, left, err)
	}
}
