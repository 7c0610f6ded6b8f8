// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/fairlead-go/fairlead/discovery"
)

// source is one watch: a list, and a watch of etcd's from the next revision on. After
// any error, whatever it was, both begin anew.
type source struct {
	b      *Backend
	q      discovery.Query
	prefix string
	open   context.Context //nolint:containedctx // until Close, which ends what is under way
	close  context.CancelFunc

	// What follows belongs to whoever is in Next.
	watch  *watch      // nil if there is none
	unhook func() bool // of its end with Close
	seed   maphash.Seed
	sent   map[string]uint64 // by id, what was last returned
}

func newSource(b *Backend, q discovery.Query) *source {
	open, closing := context.WithCancel(context.Background())
	return &source{b: b, q: q, prefix: b.keys.query(q), open: open, close: closing, seed: maphash.MakeSeed()}
}

// Close implements [discovery.Source].
func (s *source) Close() error {
	s.close()
	return nil
}

// Next implements [discovery.Source].
func (s *source) Next(ctx context.Context) (discovery.Update, error) {
	if err := s.over(ctx); err != nil {
		return discovery.Update{}, err
	}
	if s.watch == nil {
		u, err := s.begin(ctx)
		if over := s.over(ctx); err != nil && over != nil {
			err = over
		}
		return u, err
	}
	for {
		changes, err := s.watch.collect()
		if err != nil {
			s.stop()
			return discovery.Update{}, s.b.fault(s.open, "watch "+s.prefix, err)
		}
		if u, found := s.take(changes); found {
			return u, nil
		}
		select {
		case <-s.watch.wake:
		case <-s.open.Done():
		case <-ctx.Done():
		}
		if err := s.over(ctx); err != nil {
			return discovery.Update{}, err
		}
	}
}

// over returns why nobody waits any more, if so.
func (s *source) over(ctx context.Context) error {
	if s.open.Err() != nil {
		return fmt.Errorf("etcd: watch %s: %w", s.q, discovery.ErrClosed)
	}
	return ctx.Err()
}

// stop ends the watch.
func (s *source) stop() {
	s.unhook()
	s.watch.close()
	s.watch, s.sent = nil, nil
}

// begin lists, and begins to watch where the list ends.
func (s *source) begin(ctx context.Context) (discovery.Update, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.open, cancel)()
	kvs, revision, err := s.b.list(ctx, s.prefix)
	if err != nil {
		return discovery.Update{}, err
	}
	err = s.follow(ctx, revision)
	if refused(err) { // by a stream that is older than the token
		err = s.follow(ctx, revision)
	}
	if err != nil {
		return discovery.Update{}, err
	}
	s.sent = make(map[string]uint64, len(kvs))
	u := discovery.Update{Full: true, Put: make([]discovery.Instance, 0, len(kvs))}
	for _, kv := range kvs {
		in, err := s.b.keys.read(kv)
		if err != nil {
			u.Malformed = append(u.Malformed, discovery.Malformed{Key: printable(kv.Key), Err: err})
			continue
		}
		u.Put = append(u.Put, in)
		s.sent[in.ID] = maphash.Bytes(s.seed, kv.Value)
	}
	return u, nil
}

// follow begins to watch what comes after a revision. ctx is for the beginning alone.
func (s *source) follow(ctx context.Context, revision int64) error {
	what := "watch " + s.prefix
	w, err := s.b.hub.watch(ctx, s.prefix, revision+1)
	if err != nil {
		return s.b.fault(ctx, what, err)
	}
	at, err := w.begin(ctx)
	if err == nil && at < revision {
		err = fmt.Errorf("%w: %d, and the list is of %d", ErrBehind, at, revision)
	}
	if err != nil {
		w.close()
		if refused(err) {
			s.b.hub.retire(w.stream) // the list has another token by now
		}
		return s.b.fault(ctx, what, err)
	}
	s.watch, s.unhook = w, context.AfterFunc(s.open, w.close)
	return nil
}

// take returns what changes there are, and whether that is anything: a value that is what
// it was, with another lease, is none.
func (s *source) take(changes map[string]*mvccpb.KeyValue) (u discovery.Update, found bool) {
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		id, _ := strings.CutPrefix(key, s.prefix)
		before, was := s.sent[id]
		if kv := changes[key]; kv != nil {
			in, err := s.b.keys.read(kv)
			if err == nil {
				if hash := maphash.Bytes(s.seed, kv.Value); !was || hash != before {
					s.sent[in.ID] = hash
					u.Put = append(u.Put, in)
				}
				continue
			}
			u.Malformed = append(u.Malformed, discovery.Malformed{Key: printable(kv.Key), Err: err})
		}
		if was {
			delete(s.sent, id)
			u.Remove = append(u.Remove, id)
		}
	}
	return u, len(u.Put)+len(u.Remove)+len(u.Malformed) > 0
}
