package account

import "testing"

// A connection's address has an IPv6 address in brackets, but a certificate names it without them.
func TestIPv6ServerIsVerifiedWithoutBrackets(t *testing.T) {
	c, _ := new(Dialer).config(Endpoint{Host: "2001:db8::1", Port: 3306, TLS: true}, "u", "p")
	if c.Addr != "[2001:db8::1]:3306" || c.TLS.ServerName != "2001:db8::1" {
		t.Errorf("dials %s and verifies %s", c.Addr, c.TLS.ServerName)
	}
}
