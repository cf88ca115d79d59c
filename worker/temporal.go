package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// identity is what the worker presents to Temporal, and how it verifies Temporal.
type identity struct {
	tls    *tls.Config
	apiKey string
}

// clientOptions returns the options of the temporal CLI, with its codec server if one is set. Workflows wait for that server whenever
// they read or write a value, which the SDK must not take for a deadlock.
//
// Certificates, and the API key of a configuration file, are read again when their files change: the next connection has the
// new certificates, and the next call the new key.
func clientOptions(logger *slog.Logger) (client.Options, error) {
	profile, options, err := loadProfile()
	if err != nil {
		return client.Options{}, err
	}
	// gRPC asks for a TXT record with settings before it connects, although Temporal publishes none. Where name servers leave such
	// questions without an answer, as in some networks without internet access, the SDK would give up first.
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithDisableServiceConfig())
	if options.DataConverter != nil {
		options.DataConverter = workflow.DataConverterWithoutDeadlockDetection(options.DataConverter)
	}
	changing := &files[identity]{load: loadIdentity, logger: logger}
	if err := changing.read(); err != nil {
		return client.Options{}, err
	}
	if profile.APIKey != "" {
		options.Credentials = client.NewAPIKeyDynamicCredentials(func(context.Context) (string, error) { return changing.now().apiKey, nil })
	}
	if options.ConnectionOptions.TLS != nil {
		options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithTransportCredentials(&reloadingTLS{
			TransportCredentials: credentials.NewTLS(options.ConnectionOptions.TLS),
			now:                  func() *tls.Config { return changing.now().tls },
		}))
	}
	return options, nil
}

func loadProfile() (envconfig.ClientConfigProfile, client.Options, error) {
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{ConfigFileStrict: true})
	if err != nil {
		return profile, client.Options{}, fmt.Errorf("temporal configuration: %w", err)
	}
	options, err := profile.ToClientOptions(envconfig.ToClientOptionsRequest{IncludeRemoteCodec: true})
	if err != nil {
		return profile, client.Options{}, fmt.Errorf("temporal configuration: %w", err)
	}
	return profile, options, nil
}

func loadIdentity() (identity, []string, error) {
	profile, options, err := loadProfile()
	if err != nil {
		return identity{}, nil, err
	}
	file := os.Getenv("TEMPORAL_CONFIG_FILE")
	if file == "" {
		file = envconfig.DefaultConfigFilePath()
	}
	paths := []string{file}
	if t := profile.TLS; t != nil {
		paths = append(paths, t.ClientCertPath, t.ClientKeyPath, t.ServerCACertPath)
	}
	return identity{options.ConnectionOptions.TLS, profile.APIKey}, paths, nil
}

// reloadingTLS makes each connection with the current configuration. A tls.Config has no callback for the authorities that a client
// trusts.
type reloadingTLS struct {
	credentials.TransportCredentials
	now func() *tls.Config
}

func (r *reloadingTLS) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if config := r.now(); config != nil {
		return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
	}
	return r.TransportCredentials.ClientHandshake(ctx, authority, conn)
}

func (r *reloadingTLS) Clone() credentials.TransportCredentials {
	return &reloadingTLS{r.TransportCredentials.Clone(), r.now}
}
