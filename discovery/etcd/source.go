// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fairlead-go/fairlead/discovery"
)

// source is one watch: a list, and a watch of etcd's from the next revision on. After
// any error, whatever it was, both begin anew.
type source struct {
	r      *Registry
	q      discovery.Query
	prefix string
	open   context.Context //nolint:containedctx // until Close, which ends what is under way
	close  context.CancelFunc

	// What follows belongs to whoever is in Next.
	events clientv3.WatchChan // nil if there is no watch
	end    context.CancelFunc // of the watch
	seed   maphash.Seed
	sent   map[string]uint64 // by id, what was last returned
}

func newSource(r *Registry, q discovery.Query) *source {
	open, closing := context.WithCancel(context.Background())
	return &source{r: r, q: q, prefix: r.keys.query(q), open: open, close: closing, end: func() {}, seed: maphash.MakeSeed()}
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
	if s.events == nil {
		u, err := s.begin(ctx)
		if over := s.over(ctx); err != nil && over != nil {
			err = over
		}
		return u, err
	}
	for {
		select {
		case <-s.open.Done():
		case <-ctx.Done():
		case resp, ok := <-s.events:
			if err := failure(resp, ok); err != nil {
				s.stop()
				if s.open.Err() == nil {
					return discovery.Update{}, s.r.fault(s.open, "watch "+s.prefix, err)
				}
			}
			if u, found := s.take(resp.Events); found {
				return u, nil
			}
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
	s.end()
	s.events, s.sent = nil, nil
}

var errEnded = errors.New("the watch has ended")

// failure returns the error of a response, and of a channel that was closed.
func failure(resp clientv3.WatchResponse, ok bool) error {
	if !ok {
		return errEnded
	}
	return plain(resp.Err())
}

// begin lists, and begins to watch where the list ends.
func (s *source) begin(ctx context.Context) (discovery.Update, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.open, cancel)()
	kvs, revision, err := s.r.list(ctx, s.prefix)
	if err != nil {
		return discovery.Update{}, err
	}
	err = s.follow(ctx, revision)
	if refused(err) { // by a stream that is older than the token
		err = s.follow(ctx, revision)
	}
	if err != nil {
		s.stop()
		return discovery.Update{}, err
	}
	s.sent = make(map[string]uint64, len(kvs))
	u := discovery.Update{Full: true, Put: make([]discovery.Instance, 0, len(kvs))}
	for _, kv := range kvs {
		in, err := s.r.keys.read(kv)
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
	life, end := context.WithCancel(s.open)
	stopped := context.AfterFunc(ctx, end)
	events, w := s.r.watch(life, s.prefix, revision+1)
	resp, ok := <-events // that it was created, or why not
	err := failure(resp, ok)
	switch {
	case !stopped(): // ctx has ended, and the watch with it
		// What was asked and not answered keeps what is asked later on the same stream
		// waiting behind it.
		s.r.retire(w)
		err = ctx.Err()
	case err == nil && resp.Header.GetRevision() < revision:
		err = fmt.Errorf("%w: %d, and the list is of %d", ErrBehind, resp.Header.GetRevision(), revision)
	}
	if err != nil {
		end()
		if refused(err) {
			s.r.retire(w)
		}
		return s.r.fault(ctx, "watch "+s.prefix, err)
	}
	s.events, s.end = events, end
	return nil
}

// take returns what events change, and whether that is anything. The last one of a key
// counts; a value that is what it was, with another lease, changes nothing.
func (s *source) take(events []*clientv3.Event) (u discovery.Update, found bool) {
	last := make(map[string]*mvccpb.KeyValue, len(events))
	for _, e := range events {
		kv := e.Kv
		if e.Type == clientv3.EventTypeDelete {
			kv = &mvccpb.KeyValue{Key: kv.Key} // without a revision, which no entry is
		}
		last[string(kv.Key)] = kv
	}
	for _, key := range slices.Sorted(maps.Keys(last)) {
		id, _ := strings.CutPrefix(key, s.prefix)
		before, was := s.sent[id]
		kv := last[key]
		in, err := s.r.keys.read(kv)
		hash := maphash.Bytes(s.seed, kv.Value)
		switch {
		case kv.ModRevision != 0 && err == nil:
			if was && hash == before {
				continue
			}
			s.sent[in.ID] = hash
			u.Put = append(u.Put, in)
			continue
		case kv.ModRevision != 0:
			u.Malformed = append(u.Malformed, discovery.Malformed{Key: printable(kv.Key), Err: err})
		}
		if was {
			delete(s.sent, id)
			u.Remove = append(u.Remove, id)
		}
	}
	return u, len(u.Put)+len(u.Remove)+len(u.Malformed) > 0
}
