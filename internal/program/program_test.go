package program

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ version, want string }{
		{"v1.2.3", "v1.2.3, go1.26.8"},
		{"v0.0.0-20261128030853-99b4f01cbe6e+dirty", "v0.0.0-20261128030853-99b4f01cbe6e+dirty, go1.26.8"},
		{"(devel)", "development build, go1.26.8"},
		{"", "development build, go1.26.8"},
	} {
		if got := version(&debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: test.version}}); got != test.want {
			t.Errorf("%q: got %q, want %q", test.version, got, test.want)
		}
	}
}
