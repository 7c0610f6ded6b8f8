// SPDX-License-Identifier: Apache-2.0

package httpresolver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// Why a request to a service is refused before an instance is chosen.
var (
	// ErrServerName: the URL is https, and nobody asked for [Resolver.TLSConfig].
	// Servers would be verified by the addresses that the registry says they are at, and
	// not by the name of the service.
	ErrServerName = errors.New("httpresolver: https without the service's name: use Resolver.TLSConfig")
	// ErrPort: the URL has a port. Each instance has its own.
	ErrPort = errors.New("httpresolver: a service has no port")
)

// Resolver sends requests whose host is the name of a service to the instances of it.
// Use [New]. It is safe for concurrent use.
type Resolver struct {
	config
	query    discovery.Query
	balancer *balancer.Balancer
	sub      *discovery.Subscription
	tls      atomic.Bool // TLSConfig was asked for
	waitTill time.Time   // for the first answer

	answered chan struct{} // closed when the registry, or a store, has said something
	closed   chan struct{}
	once     sync.Once

	latest  atomic.Pointer[state]
	version uint64 // of the instances that the balancer has; belongs to notify
	known   bool   // answered is closed; belongs to notify
}

// state is what the balancer was told last.
type state struct {
	snapshot *discovery.Snapshot
	chosen   int // instances that passed the filter
}

// New returns a resolver for one service, and begins to watch it: with the process's one
// watcher, which stays the caller's to close. The watch ends with [Resolver.Close].
func New(service string, watcher *discovery.Watcher, opts ...Option) (*Resolver, error) {
	c, err := newConfig(service, opts)
	if watcher == nil {
		err = errors.Join(err, errors.New("httpresolver: watcher nil: must be one"))
	}
	b, berr := balancer.New(c.balancer...)
	if err := errors.Join(err, berr); err != nil {
		return nil, err
	}
	r := &Resolver{
		config: c, query: discovery.Query{Namespace: watcher.Namespace(), Service: service},
		balancer: b, answered: make(chan struct{}), closed: make(chan struct{}), waitTill: time.Now().Add(c.wait),
	}
	if r.sub, err = watcher.Subscribe(r.query, r.notify); err != nil {
		return nil, fmt.Errorf("httpresolver: %w", err)
	}
	return r, nil
}

// Balancer returns what chooses the instances, for its statistics.
func (r *Resolver) Balancer() *balancer.Balancer { return r.balancer }

// TLSConfig returns a copy of a configuration, which may be nil, by which servers have to
// prove the name of the service, wherever they are, and allows https:// URLs. It belongs
// to a client for this service alone, because it would hold all servers to that name.
func (r *Resolver) TLSConfig(base *tls.Config) *tls.Config {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		out = base.Clone()
	}
	out.ServerName = r.serverName
	r.tls.Store(true)
	return out
}

// Close ends the watch. Requests under way go on, and new ones fail with
// [discovery.ErrClosed]. It can be called twice.
func (r *Resolver) Close() {
	r.once.Do(func() { close(r.closed) })
	r.sub.Close()
}

// notify runs on the goroutine of the watch.
func (r *Resolver) notify(s *discovery.Snapshot) {
	st := &state{snapshot: s}
	if before := r.latest.Load(); before != nil {
		st.chosen = before.chosen
	}
	if s.Version != r.version {
		r.version = s.Version
		set := r.chosen(s.Instances)
		r.balancer.Update(set)
		st.chosen = set.Len()
	}
	r.latest.Store(st)
	if s.Origin != discovery.OriginNone && !r.known {
		r.known = true
		close(r.answered)
	}
}

func (r *Resolver) chosen(all *discovery.Set) *discovery.Set {
	if r.filter == nil {
		return all
	}
	return discovery.SetOf(iter.Seq[*discovery.Instance](func(yield func(*discovery.Instance) bool) {
		for in := range all.All() {
			if r.filter(in) && !yield(in) {
				return
			}
		}
	}))
}

// serves reports whether a URL is one of the service's.
func (r *Resolver) serves(u *url.URL) bool {
	return u != nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Hostname(), r.query.Service)
}

// check returns what is wrong with a request to the service.
func (r *Resolver) check(u *url.URL) error {
	switch {
	case u.Port() != "":
		return fmt.Errorf("%w, and each of its instances has one: %q", ErrPort, u.Host)
	case u.Scheme == "https" && !r.tls.Load():
		return ErrServerName
	}
	select {
	case <-r.closed:
		return fmt.Errorf("httpresolver: %s: %w", r.query, discovery.ErrClosed)
	default:
		return nil
	}
}

// ready waits until something is known of the service, or it has been long enough.
func (r *Resolver) ready(ctx context.Context) error {
	select {
	case <-r.answered:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(r.waitTill))
	defer timer.Stop()
	select {
	case <-r.answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w (%w)", cmp.Or(r.problem(), discovery.ErrNotAnswered), context.Cause(ctx))
	case <-timer.C:
		return r.problem()
	case <-r.closed:
		return fmt.Errorf("httpresolver: %s: %w", r.query, discovery.ErrClosed)
	}
}

// pick returns an instance, or why there is none.
func (r *Resolver) pick(avoid []*balancer.Endpoint) (balancer.Pick, error) {
	for {
		if pick, ok := r.balancer.Pick(avoid...); ok {
			return pick, nil
		}
		if err := r.problem(); err != nil {
			return balancer.Pick{}, err
		} // else they came in between
	}
}

// problem says why there is no instance.
func (r *Resolver) problem() error {
	st := r.latest.Load()
	if st == nil {
		s := r.sub.Snapshot()
		st = &state{s, s.Instances.Len()}
	}
	switch err := st.snapshot.Problem(); {
	case err != nil:
		return fmt.Errorf("httpresolver: %w", err)
	case st.chosen == 0:
		return fmt.Errorf("httpresolver: %w of %s pass the filter: there are %d that do not", discovery.ErrNoInstances, r.query, st.snapshot.Instances.Len())
	default:
		return nil
	}
}

// unpicked tells that a request fails for want of an instance, and closes its body, which
// nobody else does.
func (r *Resolver) unpicked(req *http.Request, err error) error {
	closeBody(req)
	if f := r.observer.Unpicked; f != nil {
		f(req.Context(), Unpicked{r.query, err})
	}
	return err
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // the contract of http.RoundTripper, on errors too
	}
}
