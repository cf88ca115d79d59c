package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestCodecServer checks that values go through the codec server that the temporal CLI would use.
func TestCodecServer(t *testing.T) {
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, r.Body)
	}))
	defer server.Close()
	t.Setenv("TEMPORAL_CODEC_ENDPOINT", server.URL)
	options, err := clientOptions()
	if err != nil {
		t.Fatal(err)
	}
	if options.DataConverter == nil {
		t.Fatal("TEMPORAL_CODEC_ENDPOINT is dropped")
	}
	if _, err := options.DataConverter.ToPayload("text"); err != nil || path != "/encode" {
		t.Errorf("%v, path %q", err, path)
	}
}
