// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// DefaultMaxHeaderBytes is how many bytes of headers a server of [NewServer]
// takes with a request, and a client of [NewClient] with an answer.
const DefaultMaxHeaderBytes = 64 << 10

// EndpointOption is an option of both [NewServer] and [NewClient].
type EndpointOption interface {
	ServerOption
	ClientOption
}

// endpoint holds what servers and clients have in common.
type endpoint struct {
	tls            *tls.Config
	tlsGiven       bool
	plaintext      bool
	h2c            bool
	idleTimeout    time.Duration
	maxHeaderBytes int
}

type endpointOption func(*endpoint)

func (o endpointOption) applyServer(c *serverConfig) { o(&c.endpoint) }
func (o endpointOption) applyClient(c *clientConfig) { o(&c.endpoint) }

// WithTLS sets the TLS configuration, which is copied. A MinVersion of zero
// becomes TLS 1.2, and one below is an error. A server needs a certificate in it
// (or GetCertificate, or GetConfigForClient). A client without this option
// trusts the roots of the system.
func WithTLS(cfg *tls.Config) EndpointOption {
	return endpointOption(func(e *endpoint) { e.tls, e.tlsGiven = cfg, true })
}

// WithPlaintext asks for HTTP without TLS by name: a server serves it instead of
// HTTPS, a client is allowed http:// URLs beside https:// ones. Use it behind a
// proxy that ends TLS, or inside a mesh that encrypts below.
func WithPlaintext() EndpointOption {
	return endpointOption(func(e *endpoint) { e.plaintext = true })
}

// WithH2C turns on HTTP/2 without TLS, and needs [WithPlaintext]. A server then
// speaks HTTP/1 and HTTP/2 on the same port; a client speaks HTTP/2 only, since
// nothing tells it beforehand what the server can do.
func WithH2C() EndpointOption {
	return endpointOption(func(e *endpoint) { e.h2c = true })
}

// WithIdleTimeout sets how long a connection may be idle between two requests:
// [DefaultServerIdleTimeout] for a server, [DefaultClientIdleTimeout] for a
// client. Keep that of the client below that of its servers, or it will send
// requests on connections that are just being closed.
func WithIdleTimeout(d time.Duration) EndpointOption {
	return endpointOption(func(e *endpoint) { e.idleTimeout = d })
}

// WithMaxHeaderBytes bounds the headers the other side may send; at least 1024,
// [DefaultMaxHeaderBytes] if it is left out.
func WithMaxHeaderBytes(n int) EndpointOption {
	return endpointOption(func(e *endpoint) { e.maxHeaderBytes = n })
}

// check returns what is wrong with the common part, one error a field.
func (e *endpoint) check() error {
	errs := []error{positive("IdleTimeout", e.idleTimeout)}
	if e.maxHeaderBytes < 1024 {
		errs = append(errs, fmt.Errorf("MaxHeaderBytes %d: must be at least 1024", e.maxHeaderBytes))
	}
	if e.h2c && !e.plaintext {
		errs = append(errs, errors.New("H2C: HTTP/2 without TLS needs WithPlaintext"))
	}
	switch {
	case !e.tlsGiven:
	case e.tls == nil:
		errs = append(errs, errors.New("TLS: nil config"))
	case e.tls.MinVersion != 0 && e.tls.MinVersion < tls.VersionTLS12:
		errs = append(errs, fmt.Errorf("TLS: MinVersion %s: must be at least TLS 1.2", tls.VersionName(e.tls.MinVersion)))
	case e.tls.MaxVersion != 0 && e.tls.MaxVersion < tls.VersionTLS12:
		errs = append(errs, fmt.Errorf("TLS: MaxVersion %s: must be at least TLS 1.2", tls.VersionName(e.tls.MaxVersion)))
	}
	return errors.Join(errs...)
}

// tlsConfig returns a copy of the configuration with its lower bound set.
func (e *endpoint) tlsConfig() *tls.Config {
	if e.tls == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg := e.tls.Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	return cfg
}

// positive says that a duration is not.
func positive(field string, d time.Duration) error {
	if d > 0 {
		return nil
	}
	return fmt.Errorf("%s %v: must be positive", field, d)
}
