// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Defaults of [NewClient] and [NewServer].
const (
	// DefaultMaxReceiveBytes bounds one message received: gRPC's own 4 MiB.
	DefaultMaxReceiveBytes = 4 << 20
	// DefaultKeepaliveTime is how long a connection with calls may be silent
	// before a ping asks whether it is still there.
	DefaultKeepaliveTime = 30 * time.Second
	// DefaultKeepaliveTimeout is how long the answer to the ping may take.
	DefaultKeepaliveTimeout = 10 * time.Second
	// DefaultConnectTimeout bounds setting up one connection.
	DefaultConnectTimeout = 10 * time.Second
	// DefaultMaxConcurrentStreams bounds the calls of one connection to a server.
	DefaultMaxConcurrentStreams = 1000
)

// EndpointOption configures either side of a connection.
type EndpointOption interface {
	ClientOption
	ServerOption
}

// endpoint is what both sides of a connection have.
type endpoint struct {
	tls             *tls.Config
	plaintext       bool
	maxReceiveBytes int
	connectTimeout  time.Duration
	keepalive       keepalive.ClientParameters
	errs            []error
}

type endpointOption func(*endpoint)

func (f endpointOption) applyClient(c *clientConfig) { f(&c.endpoint) }
func (f endpointOption) applyServer(c *serverConfig) { f(&c.endpoint) }

// WithTLS sets the TLS configuration; at least TLS 1.2 is spoken whatever it
// says. Clients use the system's roots without it; servers need it or
// [WithPlaintext].
func WithTLS(cfg *tls.Config) EndpointOption {
	return endpointOption(func(e *endpoint) {
		if cfg == nil {
			e.errs = append(e.errs, errors.New("WithTLS: nil config"))
			return
		}
		e.tls = cfg.Clone()
		e.tls.MinVersion = max(e.tls.MinVersion, tls.VersionTLS12)
	})
}

// WithPlaintext does without TLS, for meshes that encrypt below and for tests.
func WithPlaintext() EndpointOption {
	return endpointOption(func(e *endpoint) { e.plaintext = true })
}

// WithMaxReceiveBytes bounds one message received, in bytes; the default is
// [DefaultMaxReceiveBytes].
func WithMaxReceiveBytes(n int) EndpointOption {
	return endpointOption(func(e *endpoint) {
		e.maxReceiveBytes = n
		if n <= 0 {
			e.errs = append(e.errs, fmt.Errorf("WithMaxReceiveBytes: %d is not positive", n))
		}
	})
}

// WithConnectTimeout bounds setting up one connection, TLS included; the
// default is [DefaultConnectTimeout].
func WithConnectTimeout(d time.Duration) EndpointOption {
	return endpointOption(func(e *endpoint) {
		e.connectTimeout = d
		e.positive("WithConnectTimeout", d)
	})
}

// WithKeepalive sets after how long a silent connection with calls under way is
// asked whether it is there, at least 10 s, and how long the answer may take.
// The defaults are [DefaultKeepaliveTime] and [DefaultKeepaliveTimeout].
func WithKeepalive(after, timeout time.Duration) EndpointOption {
	return endpointOption(func(e *endpoint) {
		e.keepalive = keepalive.ClientParameters{Time: after, Timeout: timeout}
		if after < minKeepalive {
			e.errs = append(e.errs, fmt.Errorf("WithKeepalive: %v is less than the %v that servers allow", after, minKeepalive))
		}
		e.positive("WithKeepalive", timeout)
	})
}

// minKeepalive is how often a client may ping one of our servers, and the
// least grpc-go's clients do.
const minKeepalive = 10 * time.Second

func (e *endpoint) positive(option string, d time.Duration) {
	if d <= 0 {
		e.errs = append(e.errs, fmt.Errorf("%s: %v is not positive", option, d))
	}
}

func defaultEndpoint() endpoint {
	return endpoint{
		maxReceiveBytes: DefaultMaxReceiveBytes,
		connectTimeout:  DefaultConnectTimeout,
		keepalive:       keepalive.ClientParameters{Time: DefaultKeepaliveTime, Timeout: DefaultKeepaliveTimeout},
	}
}

// check returns what is wrong with the options.
func (e *endpoint) check() error {
	errs := e.errs
	if e.plaintext && e.tls != nil {
		errs = append(errs, errors.New("WithTLS and WithPlaintext exclude each other"))
	}
	return errors.Join(errs...)
}

func (e *endpoint) credentials() credentials.TransportCredentials {
	if e.plaintext {
		return insecure.NewCredentials()
	}
	if e.tls == nil {
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	return credentials.NewTLS(e.tls)
}
