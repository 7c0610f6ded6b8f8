// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/fairlead-go/fairlead/discovery"
)

// Entries implements [discovery.Sweeper], in the order of keys. The key of an instance is
// that of [discovery.Key.String]; what was put under another key ([Faults.Put]) has
// "namespace/service/" before it.
func (r *Registry) Entries(ctx context.Context, ns discovery.Namespace) ([]discovery.Entry, error) {
	if err := ns.Validate(); err != nil {
		return nil, err
	}
	if err := r.gate(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []discovery.Entry
	for q, s := range r.services {
		if q.Namespace != ns {
			continue
		}
		for _, e := range s.entries {
			out = append(out, e.listed())
		}
		for key, m := range s.malformed {
			out = append(out, discovery.Entry{
				Namespace: ns, Key: q.String() + "/" + key, Service: q.Service, Err: m.Err, Ours: m.ours, Revision: m.revision,
			})
		}
	}
	slices.SortFunc(out, func(a, b discovery.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return out, nil
}

func (e *entry) listed() discovery.Entry {
	in := *e.instance
	return discovery.Entry{
		Namespace: in.Namespace, Key: in.Key().String(), Service: in.Service, Instance: &in, Ours: true,
		Expires: e.ttl != forever, Expired: e.expired, Revision: e.revision,
	}
}

// Remove implements [discovery.Sweeper].
func (r *Registry) Remove(ctx context.Context, e discovery.Entry) error {
	if !e.Ours {
		return fmt.Errorf("memory: %s is not ours: it stays", e.Key)
	}
	if err := r.gate(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	q := discovery.Query{Namespace: e.Namespace, Service: e.Service}
	s := r.services[q]
	if s == nil {
		return nil
	}
	for _, found := range s.entries {
		if l := found.listed(); l.Key == e.Key {
			// The revision is that of the last write; a heartbeat ends what is expired.
			if l.Revision != e.Revision || l.Expired != e.Expired || l.Expires != e.Expires {
				return fmt.Errorf("memory: %s: %w", e.Key, discovery.ErrChanged)
			}
			r.remove(l.Instance.Key())
			return nil
		}
	}
	for key, m := range s.malformed {
		if q.String()+"/"+key != e.Key {
			continue
		}
		if m.revision != e.Revision {
			return fmt.Errorf("memory: %s: %w", e.Key, discovery.ErrChanged)
		}
		delete(s.malformed, key)
		r.drop(q)
	}
	return nil
}

// Linger makes the registry go on listing what has expired, or ends that; what has
// expired already stays until it is removed.
func (f Faults) Linger(linger bool) { f.set(func(s *faults) { s.lingers = linger }) }

// Forever registers an instance that nobody keeps up and that does not expire, as
// whatever went wrong may leave it in a registry.
func (f Faults) Forever(in discovery.Instance) error {
	n, err := in.Normalized()
	if err != nil {
		return err
	}
	r := f.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(&n, forever)
	return nil
}
