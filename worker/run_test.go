package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
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
	options, err := clientOptions(discard)
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

// TestWarnsWithoutCredentials checks that a worker says at its start that AWS will refuse every call.
func TestWarnsWithoutCredentials(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	warnWithoutCredentials(t.Context(), credentials.NewStaticCredentialsProvider("test", "test", ""), logger)
	if log.Len() > 0 {
		t.Errorf("warns although there are credentials: %s", &log)
	}
	warnWithoutCredentials(t.Context(), aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("the SSO session has expired")
	}), logger)
	for _, want := range []string{"level=WARN", "no valid AWS credentials", "aws sso login", "the SSO session has expired"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s does not say %q", &log, want)
		}
	}
}
