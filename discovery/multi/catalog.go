// SPDX-License-Identifier: Apache-2.0

package multi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Catalog is a primary catalog with a fallback. Use [NewCatalog]. It is safe for
// concurrent use, starts no goroutine and needs no closing.
type Catalog struct {
	cfg               config
	primary, fallback discovery.Catalog
}

var _ discovery.Catalog = (*Catalog)(nil)

// NewCatalog returns the catalog that is made of two. It fails on options that make no
// sense.
func NewCatalog(primary, fallback discovery.Catalog, opts ...Option) (*Catalog, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	return &Catalog{cfg, primary, fallback}, nil
}

// Watch implements [discovery.Catalog].
func (c *Catalog) Watch(_ context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s := &source{cfg: c.cfg, q: q, primary: watch{catalog: c.primary}, fallback: watch{catalog: c.fallback}}
	s.open, s.close = context.WithCancel(context.Background())
	return s, nil
}

// source is a watch of one of two catalogs.
type source struct {
	cfg               config
	q                 discovery.Query
	open              context.Context //nolint:containedctx // until Close, which ends what is under way
	close             context.CancelFunc
	primary, fallback watch

	mu         sync.Mutex // held by Next, and by Close to close what Next left open
	onFallback bool
	probeAt    time.Time // when to try the primary, while on the fallback
	backSince  time.Time // since when it answers
}

// watch is a source of one of the two, once it is open.
type watch struct {
	catalog  discovery.Catalog
	source   discovery.Source
	answered bool // since it was opened
}

// next opens the source if there is none. The first answer has a time limit.
func (w *watch) next(ctx context.Context, q discovery.Query, limit time.Duration) (u discovery.Update, err error) {
	callCtx := ctx
	if !w.answered {
		var cancel context.CancelFunc
		callCtx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if w.source == nil {
		if w.source, err = w.catalog.Watch(callCtx, q); err != nil {
			w.source = nil
			return u, err
		}
	}
	u, err = w.source.Next(callCtx)
	switch {
	case err == nil:
		w.answered = true
	case ctx.Err() == nil: // otherwise nothing is wrong, and nothing is lost
		w.end()
	}
	return u, err
}

func (w *watch) end() {
	if w.source != nil {
		_ = w.source.Close() // there is nothing to be done about it
	}
	w.source, w.answered = nil, false
}

// Next implements [discovery.Source].
func (s *source) Next(ctx context.Context) (discovery.Update, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.open, cancel)
	defer stop()
	u, err := s.next(ctx)
	if s.open.Err() != nil {
		return discovery.Update{}, fmt.Errorf("multi: watch %s: %w", s.q, discovery.ErrClosed)
	}
	return u, err
}

func (s *source) next(ctx context.Context) (discovery.Update, error) {
	if s.onFallback {
		return s.whileAway(ctx)
	}
	start, waited := time.Now(), s.primary.answered
	u, err := s.primary.next(ctx, s.q, s.cfg.callTimeout)
	if err == nil || ctx.Err() != nil {
		return u, err
	}
	if waited { // it did not fail for as long as it waited
		start = time.Now()
	}
	sleep(ctx, s.cfg.retryDelay)
	u, err = s.primary.next(ctx, s.q, s.cfg.callTimeout)
	if err == nil || ctx.Err() != nil {
		return u, err
	}
	s.primary.end()
	s.onFallback, s.backSince, s.probeAt = true, time.Time{}, time.Now().Add(s.cfg.probeInterval)
	s.switched(err, time.Since(start))
	return s.whileAway(ctx)
}

// whileAway waits for news of the fallback, and looks for the primary now and then.
func (s *source) whileAway(ctx context.Context) (discovery.Update, error) {
	for {
		wait, cancel := context.WithDeadline(ctx, s.probeAt)
		u, err := s.fallback.next(wait, s.q, s.cfg.callTimeout)
		due := wait.Err() != nil
		cancel()
		if err == nil {
			u.Fallback = true
			return u, nil
		}
		if ctx.Err() != nil {
			return discovery.Update{}, ctx.Err()
		}
		// A fallback that fails is a reason to take the primary as soon as it answers.
		back, backErr := s.probe(ctx, !due)
		if back != nil {
			return *back, nil
		}
		if !due {
			return discovery.Update{}, errors.Join(backErr, err)
		}
	}
}

// probe asks the primary for all there is, and returns it if it is time to move back: if
// registrations had time to, or at once.
func (s *source) probe(ctx context.Context, now bool) (*discovery.Update, error) {
	s.probeAt = time.Now().Add(s.cfg.probeInterval)
	u, err := s.primary.next(ctx, s.q, s.cfg.callTimeout)
	if err != nil {
		s.primary.end()
		s.backSince = time.Time{}
		return nil, err
	}
	if s.backSince.IsZero() {
		s.backSince = time.Now()
	}
	if !now && time.Since(s.backSince) < s.cfg.settleTime() {
		s.primary.end()
		return nil, nil
	}
	s.onFallback = false
	s.fallback.end()
	s.switched(nil, 0)
	return &u, nil
}

func (s *source) switched(err error, took time.Duration) {
	if f := s.cfg.observer.Switched; f != nil {
		f(Switch{s.q, "", s.onFallback, err, took})
	}
}

// Close implements [discovery.Source].
func (s *source) Close() error {
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.primary.end()
	s.fallback.end()
	return nil
}
