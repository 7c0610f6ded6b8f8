// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/fairlead-go/fairlead/discovery"
)

// Builder makes the resolver of a connection, for grpc.WithResolvers. Use [New]. It is
// safe for concurrent use, and made once for all connections.
type Builder struct {
	scheme  string
	watcher *discovery.Watcher
	cfg     config
}

var _ resolver.Builder = (*Builder)(nil)

// ownSchemes are those that gRPC treats in a way of its own, whoever resolves them.
var ownSchemes = []string{"dns", "passthrough", "unix", "unix-abstract", "xds"}

// New returns what resolves targets scheme:///service through a watcher, which stays
// the caller's to close, after the connections. The scheme is any that is not gRPC's
// own: that of the registry, as a rule, such as "consul".
func New(scheme string, watcher *discovery.Watcher, opts ...Option) (*Builder, error) {
	b := &Builder{scheme: scheme, watcher: watcher}
	for _, o := range opts {
		o.apply(&b.cfg)
	}
	var errs []error
	switch {
	case !isScheme(scheme):
		errs = append(errs, fmt.Errorf(`grpcresolver: scheme %q: must begin with a letter and be of a-z, 0-9 and "+-."`, scheme))
	case slices.Contains(ownSchemes, scheme):
		errs = append(errs, fmt.Errorf("grpcresolver: scheme %q: must not be one that gRPC treats in its own way", scheme))
	}
	if watcher == nil {
		errs = append(errs, errors.New("grpcresolver: watcher nil: must be one"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

// isScheme is RFC 3986, section 3.1, in lower case, as gRPC compares it.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if isLetter := 'a' <= c && c <= 'z'; !isLetter && (i == 0 || (c < '0' || c > '9') && !strings.ContainsRune("+-.", rune(c))) {
			return false
		}
	}
	return s != ""
}

// Scheme implements [resolver.Builder].
func (b *Builder) Scheme() string { return b.scheme }

// Build implements [resolver.Builder]. It does not wait for the registry. What it
// refuses (a target that makes no sense or is of another environment, a service config
// that cannot be parsed, a watcher that is closed) is the error of each call on the
// connection, at once, with the code UNAVAILABLE: gRPC does not say so earlier.
func (b *Builder) Build(t resolver.Target, cc resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	target, err := parseTarget(&t.URL, b.watcher.Namespace())
	if err != nil {
		return nil, err
	}
	target.chosen = b.cfg.filter
	c := &connection{cc: cc, target: target, observer: b.cfg.observer}
	if !opts.DisableServiceConfig {
		if c.serviceConfig, err = b.serviceConfig(cc, target.query.Service); err != nil {
			return nil, err
		}
	}
	if c.sub, err = b.watcher.Subscribe(target.query, c.notify); err != nil {
		return nil, fmt.Errorf("grpcresolver: %w", err)
	}
	return c, nil
}

// serviceConfig returns that of a service, or nil.
func (b *Builder) serviceConfig(cc resolver.ClientConn, service string) (*serviceconfig.ParseResult, error) {
	if b.cfg.serviceConfig == nil {
		return nil, nil
	}
	text := b.cfg.serviceConfig(service)
	if text == "" {
		return nil, nil
	}
	parsed := cc.ParseServiceConfig(text)
	if parsed.Err != nil {
		return nil, fmt.Errorf("grpcresolver: service config of %s: %w", service, parsed.Err)
	}
	return parsed, nil
}
