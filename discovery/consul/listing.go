// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"

	"github.com/fairlead-go/fairlead/discovery"
)

// item is one entry of an answer, decoded.
type item struct {
	instance discovery.Instance
	ours     bool
	index    uint64 // of its last change
	node     string
	err      error // why there is no instance
	key      string
}

// listing is what there is of a query. It remembers entries by their text: those that
// are the same as in the answer before are not decoded again.
type listing struct {
	naming
	q     discovery.Query
	items map[[sha256.Size]byte]*item
	shown map[string]*item // by the instance's id
	last  discovery.Instance
}

func newListing(n naming, q discovery.Query) *listing {
	return &listing{naming: n, q: q}
}

// read takes the next answer, and returns what is different.
func (l *listing) read(answer []json.RawMessage) discovery.Update {
	var u discovery.Update
	items := make(map[[sha256.Size]byte]*item, len(answer))
	shown := make(map[string]*item, len(answer))
	for _, text := range answer {
		sum := sha256.Sum256(text)
		it, known := l.items[sum]
		if !known {
			it = l.decode(text)
			l.share(&it.instance)
		}
		items[sum] = it
		if it.err != nil {
			if !known {
				u.Malformed = append(u.Malformed, discovery.Malformed{Key: it.key, Err: it.err})
			}
			continue
		}
		if other := shown[it.instance.ID]; other == nil || it.before(other) {
			shown[it.instance.ID] = it
		}
	}
	for id, it := range shown {
		if old := l.shown[id]; old == nil || old != it && !old.instance.Equal(&it.instance) {
			u.Put = append(u.Put, it.instance)
		}
	}
	for id := range l.shown {
		if shown[id] == nil {
			u.Remove = append(u.Remove, id)
		}
	}
	slices.SortFunc(u.Put, func(a, b discovery.Instance) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(u.Remove)
	l.items, l.shown = items, shown
	return u
}

// share lets an instance have what it has in common with the one that was decoded before
// it, which is most: that is a third of its memory.
func (l *listing) share(in *discovery.Instance) {
	if in.Zone == l.last.Zone {
		in.Zone = l.last.Zone
	}
	if in.Version == l.last.Version {
		in.Version = l.last.Version
	}
	if slices.Equal(in.Tags, l.last.Tags) {
		in.Tags = l.last.Tags
	}
	if maps.Equal(in.Metadata, l.last.Metadata) {
		in.Metadata = l.last.Metadata
	}
	l.last = *in
}

// all returns the whole listing as an update.
func (l *listing) all() discovery.Update {
	u := discovery.Update{Full: true, Put: make([]discovery.Instance, 0, len(l.shown))}
	for _, id := range slices.Sorted(maps.Keys(l.shown)) {
		u.Put = append(u.Put, l.shown[id].instance)
	}
	for _, it := range l.items {
		if it.err != nil {
			u.Malformed = append(u.Malformed, discovery.Malformed{Key: it.key, Err: it.err})
		}
	}
	slices.SortFunc(u.Malformed, func(a, b discovery.Malformed) int { return cmp.Compare(a.Key, b.Key) })
	return u
}

// faults returns why entries were left out.
func (l *listing) faults() []error {
	var errs []error
	for _, it := range l.items {
		if it.err != nil {
			errs = append(errs, it.err)
		}
	}
	return errs
}

// before says which of two entries with one id is the instance. It has two while it is
// known to two agents, such as after it moved from one to the other.
func (it *item) before(o *item) bool {
	failing := func(i *item) int {
		if !i.instance.Health.Callable() {
			return 1
		}
		return 0
	}
	foreign := func(i *item) int {
		if i.ours {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(failing(it), failing(o)), cmp.Compare(foreign(it), foreign(o)),
		cmp.Compare(o.index, it.index), cmp.Compare(it.node, o.node)) < 0
}
