// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// source is one watch: at most one query at a time. See
// https://developer.hashicorp.com/consul/api-docs/features/blocking.
type source struct {
	backend *Backend
	q       discovery.Query
	closed  context.Context //nolint:containedctx // it is what Close ends
	close   context.CancelFunc

	// What follows belongs to Next.
	listing *listing // nil if the next update has to be a full one
	index   uint64   // of the last answer; 0 to be answered at once, by the leader
	rest    pause
}

// Watch implements [discovery.Catalog].
func (b *Backend) Watch(_ context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s := &source{backend: b, q: q}
	s.closed, s.close = context.WithCancel(context.Background())
	return s, nil
}

// Close implements [discovery.Source].
func (s *source) Close() error {
	s.close()
	return nil
}

// Next implements [discovery.Source].
func (s *source) Next(ctx context.Context) (discovery.Update, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closed, cancel)()
	u, err := s.next(inner)
	switch {
	case err == nil:
		return u, nil
	case s.closed.Err() != nil:
		return discovery.Update{}, fmt.Errorf("consul: watch %s: %w", s.q, discovery.ErrClosed)
	case ctx.Err() != nil:
		return discovery.Update{}, ctx.Err()
	}
	s.listing, s.index = nil, 0
	return discovery.Update{}, s.backend.fault(inner, "watch "+s.q.String(), err)
}

// next asks until there is something new.
func (s *source) next(ctx context.Context) (discovery.Update, error) {
	for {
		if err := s.rest.wait(ctx); err != nil {
			return discovery.Update{}, err
		}
		start := time.Now()
		answer, meta, err := s.ask(ctx)
		if err != nil {
			return discovery.Update{}, err
		}
		answered := time.Now()
		if meta.LastIndex < s.index {
			// A registry that was restored, or a server that is behind: what there is, the
			// leader has to say.
			s.index = 0
			s.rest.news(false, start, answered)
			continue
		}
		s.index = max(meta.LastIndex, 1)
		u, found := s.take(answer)
		s.rest.news(found, start, answered)
		if found {
			return u, nil
		}
	}
}

// take returns what is new about an answer.
func (s *source) take(answer []json.RawMessage) (u discovery.Update, found bool) {
	if s.listing == nil {
		l := newListing(s.backend.naming, s.q)
		l.read(answer)
		s.listing = l
		return l.all(), true
	}
	u = s.listing.read(answer)
	return u, len(u.Put)+len(u.Remove)+len(u.Malformed) > 0
}

// grace is how much longer than it said a query may take.
const grace = 5 * time.Second

// ask makes one query. The first one is answered by the leader. Those that wait can be
// answered by any server that has one, and survive an election.
func (s *source) ask(ctx context.Context) ([]json.RawMessage, *api.QueryMeta, error) {
	b, wait := s.backend, s.backend.cfg.wait
	limit := wait + wait/16 + grace // Consul adds up to a sixteenth, so that not all return together
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v to a query that waits %v: %w", limit, wait, context.DeadlineExceeded))
	defer cancel()
	opts := b.options(ctx, s.q.Namespace)
	opts.Datacenter = b.cfg.datacenter
	if s.index > 0 {
		opts.WaitIndex, opts.WaitTime, opts.AllowStale = s.index, wait, true
	}
	answer, meta, err := list[json.RawMessage](b, b.service(s.q), opts)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	return answer, meta, err
}

// maxLag is how long a server may not have heard from the leader whose answer counts.
const maxLag = 10 * time.Second

// list reads what there is of a service by its name in Consul, failing or not: as E, or
// as the text of each entry.
func list[E any](b *Backend, service string, opts *api.QueryOptions) ([]E, *api.QueryMeta, error) {
	var answer []E
	meta, err := b.client.Raw().Query("/v1/health/service/"+service, &answer, opts)
	if err != nil {
		return nil, nil, err
	}
	if answer == nil {
		return nil, nil, fmt.Errorf("the answer is null, and not a list (%s)", b.elsewhere())
	}
	return answer, meta, b.doubt(meta, len(answer))
}

// doubt returns why an answer is not one that counts, or nil.
func (b *Backend) doubt(meta *api.QueryMeta, entries int) error {
	// Streaming, which is how an agent follows its servers, does not say who leads: it
	// goes on where it was when it finds a server again.
	streaming := meta.QueryBackend == api.QueryBackendStreaming
	anonymous := b.cfg.token == "" && b.cfg.tokenFile == ""
	switch {
	case !streaming && !meta.KnownLeader:
		return fmt.Errorf("%w: the server that answered knows of none", ErrNoLeader)
	case meta.LastContact > maxLag:
		return fmt.Errorf("%w: the server that answered has not heard from it for %v", ErrNoLeader, meta.LastContact)
	case meta.ResultsFilteredByACLs:
		return fmt.Errorf("%w: the answer lacks what the token must not read (token from %s)", ErrDenied, b.tokenSource())
	case anonymous && entries == 0 && meta.DefaultACLPolicy == "deny":
		return fmt.Errorf("%w: the answer is empty, as it is for who must not read, and no token is set", ErrDenied)
	}
	return nil
}

// pause is how long to wait between two queries.
type pause struct {
	until time.Time
	idle  int // answers in a row that came early and said nothing new
}

const (
	idleAllowed = 5
	idleStep    = 20 * time.Millisecond
	maxPause    = time.Second
)

// news notes an answer. Each lists all there is, so that the next one is not asked for
// sooner than it took to read this one: a change of a large service does not keep a
// processor busy, and small ones are not delayed. Answers that come at once and say
// nothing, which is what a mistake on either side looks like, are asked for ever more
// slowly.
func (p *pause) news(found bool, asked, answered time.Time) {
	now := time.Now()
	rest := now.Sub(answered)
	switch {
	case found || answered.Sub(asked) > maxPause:
		p.idle = 0
	default:
		p.idle++
		rest = max(rest, time.Duration(p.idle-idleAllowed)*idleStep)
	}
	p.until = now.Add(min(rest, maxPause))
}

// wait waits until it is over. A wait that ends with ctx goes on in the next one.
func (p *pause) wait(ctx context.Context) error {
	d := time.Until(p.until)
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
