// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// The defaults.
const (
	DefaultInterval = 30 * time.Second
	DefaultTimeout  = 5 * time.Second
)

// Resolver is the part of [net.Resolver] that is needed.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Catalog finds instances in DNS. Use [New]. It is safe for concurrent use, and needs no
// closing.
type Catalog struct {
	pattern string
	cfg     config
}

var _ discovery.Catalog = (*Catalog)(nil)

// Option changes a [Catalog] under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	port      int
	srv       bool
	namespace discovery.Namespace
	interval  time.Duration
	timeout   time.Duration
	resolver  Resolver
}

// WithPort sets the port of all instances, which A and AAAA records do not say. It is
// required without [WithSRV].
func WithPort(port int) Option { return option(func(c *config) { c.port = port }) }

// WithSRV asks for SRV records, which say the port and the weight, and have names for
// addresses.
func WithSRV() Option { return option(func(c *config) { c.srv = true }) }

// WithNamespace says that all names of the pattern are of one namespace. Queries for
// others are refused.
func WithNamespace(ns discovery.Namespace) Option {
	return option(func(c *config) { c.namespace = ns })
}

// WithInterval sets how long to wait from one question to the next. The default is
// [DefaultInterval].
func WithInterval(d time.Duration) Option { return option(func(c *config) { c.interval = d }) }

// WithTimeout sets how long an answer may take. The default is [DefaultTimeout].
func WithTimeout(d time.Duration) Option { return option(func(c *config) { c.timeout = d }) }

// WithResolver sets whom to ask. The default is a [net.Resolver] with the system's
// servers.
func WithResolver(r Resolver) Option { return option(func(c *config) { c.resolver = r }) }

const (
	serviceHole   = "{service}"
	namespaceHole = "{namespace}"
)

// New returns a catalog of the names that a pattern makes of {service} and {namespace}.
// It fails on a pattern that makes no names, or the same for different queries, and on
// options that make no sense.
func New(pattern string, opts ...Option) (*Catalog, error) {
	c := config{interval: DefaultInterval, timeout: DefaultTimeout, resolver: &net.Resolver{}}
	for _, o := range opts {
		o.apply(&c)
	}
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("dns: %s %#v: must %s", field, value, rule))
		}
	}
	holes := 1
	if c.namespace != "" {
		holes = 0
		errs = append(errs, c.namespace.Validate())
	}
	check(strings.Count(pattern, serviceHole) == 1, "pattern", pattern, "have "+serviceHole+" in it, once")
	check(strings.Count(pattern, namespaceHole) == holes, "pattern", pattern,
		fmt.Sprintf("have %s in it, %d times: once, or not at all with WithNamespace", namespaceHole, holes))
	check(apart(pattern) && isName(fill(pattern, "a", "b")), "pattern", pattern, "make a DNS name of which "+serviceHole+" and "+namespaceHole+" are labels of their own")
	if c.srv {
		check(c.port == 0, "port", c.port, "not be set: SRV records say it")
	} else {
		check(c.port >= 1 && c.port <= 65535, "port", c.port, "be from 1 to 65535: set it with WithPort, or use SRV records")
	}
	check(c.interval > 0, "interval", c.interval.String(), "be positive")
	check(c.timeout > 0, "timeout", c.timeout.String(), "be positive")
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Catalog{pattern, c}, nil
}

func fill(pattern, service, namespace string) string {
	return strings.NewReplacer(serviceHole, service, namespaceHole, namespace).Replace(pattern)
}

// apart reports whether each hole is a label, so that no two queries make one name.
func apart(pattern string) bool {
	for label := range strings.SplitSeq(pattern, ".") {
		if strings.Contains(label, "{") && label != serviceHole && label != namespaceHole {
			return false
		}
	}
	return true
}

func isName(name string) bool {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return len(name) <= 253
}

// Watch implements [discovery.Catalog]. The service has to be a label: lower case, as DNS
// tells no other.
func (c *Catalog) Watch(_ context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if c.cfg.namespace != "" && q.Namespace != c.cfg.namespace {
		return nil, fmt.Errorf("dns: %w: %s, and all names of %s are of %q", discovery.ErrForeignNamespace, q, c.pattern, string(c.cfg.namespace))
	}
	// What is valid for a namespace is valid for a label, and the other way round.
	if discovery.Namespace(q.Service).Validate() != nil {
		return nil, fmt.Errorf("dns: service %q: must be a DNS label of a-z, 0-9 and -", q.Service)
	}
	name := strings.TrimSuffix(fill(c.pattern, q.Service, string(q.Namespace)), ".") + "."
	if !isName(name) {
		return nil, fmt.Errorf("dns: name %q: must have at most 253 characters", name)
	}
	open, closing := context.WithCancel(context.Background())
	return &source{cfg: c.cfg, q: q, name: name, open: open, close: closing}, nil
}

// source asks for one name.
type source struct {
	cfg   config
	q     discovery.Query
	name  string
	known []discovery.Instance
	sent  bool // known was returned, and there was no error since
	due   time.Time
	open  context.Context //nolint:containedctx // until Close, which ends what is under way
	close context.CancelFunc
}

// Next implements [discovery.Source].
func (s *source) Next(ctx context.Context) (discovery.Update, error) {
	for {
		if err := s.wait(ctx); err != nil {
			return discovery.Update{}, err
		}
		found, bad, err := s.lookup(ctx)
		if err != nil {
			s.sent = s.sent && ctx.Err() != nil
			return discovery.Update{}, err
		}
		s.due = time.Now().Add(s.cfg.interval)
		if s.sent && slices.EqualFunc(found, s.known, func(a, b discovery.Instance) bool { return a.Equal(&b) }) {
			continue
		}
		s.known, s.sent = found, true
		return discovery.Update{Full: true, Put: slices.Clone(found), Malformed: bad}, nil
	}
}

// wait waits until it is time to ask: at once if nothing is known.
func (s *source) wait(ctx context.Context) error {
	d := time.Duration(0)
	if s.sent {
		d = max(time.Until(s.due), 0)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.open.Done():
	case <-ctx.Done():
	}
	if s.open.Err() != nil {
		return fmt.Errorf("dns: watch %s: %w", s.q, discovery.ErrClosed)
	}
	return ctx.Err()
}

// lookup asks once. A name that does not exist has no instances.
func (s *source) lookup(ctx context.Context) (found []discovery.Instance, bad []discovery.Malformed, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout)
	defer cancel()
	stop := context.AfterFunc(s.open, cancel)
	defer stop()
	add := func(address string, weight int) {
		in, err := discovery.Instance{Namespace: s.q.Namespace, Service: s.q.Service, Address: address, Weight: weight}.Normalized()
		switch {
		case err != nil:
			bad = append(bad, discovery.Malformed{Key: s.name + " " + address, Err: err})
		case !slices.ContainsFunc(found, func(o discovery.Instance) bool { return o.ID == in.ID }):
			found = append(found, in)
		}
	}
	if s.cfg.srv {
		err = s.lookupSRV(ctx, add)
	} else {
		err = s.lookupIP(ctx, add)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound && !e.IsTemporary {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("dns: %w", err)
	}
	slices.SortFunc(found, func(a, b discovery.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return found, bad, nil
}

func (s *source) lookupIP(ctx context.Context, add func(string, int)) error {
	ips, err := s.cfg.resolver.LookupNetIP(ctx, "ip", s.name)
	for _, ip := range ips {
		add(netip.AddrPortFrom(ip.Unmap(), uint16(s.cfg.port)).String(), 0)
	}
	return err
}

func (s *source) lookupSRV(ctx context.Context, add func(string, int)) error {
	_, records, err := s.cfg.resolver.LookupSRV(ctx, "", "", s.name)
	if len(records) == 0 {
		return err
	}
	// An error beside records is about some of them only.
	best := slices.MinFunc(records, func(a, b *net.SRV) int { return cmp.Compare(a.Priority, b.Priority) }).Priority
	for _, r := range records {
		if r.Priority == best && r.Target != "." { // ".": expressly none
			add(net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))), int(r.Weight))
		}
	}
	return nil
}

// Close implements [discovery.Source].
func (s *source) Close() error {
	s.close()
	return nil
}
