package check

import (
	"errors"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestGrafanaReadsTheDashboard decodes the dashboard into Grafana's own types, which know every field
// of every panel. A field that is misspelled, missing or of another type is an error.
func TestGrafanaReadsTheDashboard(t *testing.T) {
	t.Parallel()
	plugins.RegisterDefaultPlugins()
	var d dashboard.Dashboard //nolint:staticcheck // the file has the first schema, which every version of Grafana reads
	err := d.UnmarshalJSONStrict([]byte(read(t, "../grafana/rotate-user.json")))
	var none cog.BuildErrors // of which the error is one even if it has no elements
	if !errors.As(err, &none) || len(none) > 0 {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	if n := len(d.Panels); n < 10 {
		t.Errorf("it has %d panels", n)
	}
}
