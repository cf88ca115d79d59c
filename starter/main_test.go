package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rotate-user/rotate-user/internal/program"
)

// TestCodecServer checks that values go through the same codec server as with the temporal CLI.
func TestCodecServer(t *testing.T) {
	var path, auth string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, auth = r.URL.Path, r.Header.Get("Authorization")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bytes.ReplaceAll(body, []byte("anNvbi9wbGFpbg=="), []byte("YmluYXJ5L3BsYWlu"))) // json/plain, binary/plain
	}))
	defer server.Close()
	t.Setenv("TEMPORAL_CODEC_ENDPOINT", server.URL)
	t.Setenv("TEMPORAL_CODEC_AUTH", "Bearer x")
	options, err := clientOptions()
	if err != nil {
		t.Fatal(err)
	}
	if options.DataConverter == nil {
		t.Fatal("TEMPORAL_CODEC_ENDPOINT is ignored")
	}
	payload, err := options.DataConverter.ToPayload("text")
	if err != nil || string(payload.GetMetadata()["encoding"]) != "binary/plain" || path != "/encode" || auth != "Bearer x" {
		t.Errorf("%v, %v, path %q, authorization %q", payload, err, path, auth)
	}
}

// TestNoServer checks that the error names the address that was tried, even if it is the default.
func TestNoServer(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "")
	t.Setenv("TEMPORAL_CONFIG_FILE", "")
	t.Setenv("HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := dial(ctx); err == nil || !strings.Contains(err.Error(), "localhost:7233 (the default): ") {
		t.Errorf("%v", err)
	}
}

// TestHelp checks what both programs have: a version, exit codes in the help, and completion.
func TestHelp(t *testing.T) {
	for args, says := range map[string]string{
		"--version":                  "starter version " + program.Version() + "\n",
		"--help":                     program.ExitCodes,
		"plan --help":                "3: rights or properties would change",
		"-h":                         "completion  Generate the autocompletion script",
		"completion bash":            "# bash completion",
		"__complete list -o ":        "table\nwide\njson\ncsv\n",
		"__complete status x -o ":    "table\njson\n",
		"__complete list --status ":  "Scheduled\nRotating\nRetrying\nFailed\nPaused\n",
		"__complete status ":         ":4\n",                  // no files
		"__complete fleet apply -f ": "yaml\nyml\njson\n:8\n", // files with these extensions
	} {
		var out, errs bytes.Buffer
		words := strings.Split(args, " ")
		if code := newApp(&out, &errs).run(t.Context(), words); code != program.Done {
			t.Errorf("%s: exit code %d: %s", args, code, &errs)
		}
		if !strings.Contains(out.String(), says) {
			t.Errorf("%s does not say %q:\n%s", args, says, &out)
		}
	}
}
