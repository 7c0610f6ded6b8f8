// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"
)

// Set is an immutable set of instances in the order of their ids. A set that comes
// from another by a change shares with it all that did not change: making it, and
// comparing the two, costs in proportion to the change and not to the set. The nil
// and the zero Set are empty. It is safe for concurrent use.
type Set struct {
	// chunks are sorted, not empty, and shared between sets.
	chunks [][]*Instance
	n      int
}

// chunkSize is how many instances a chunk is made of when it is made, and half of
// the most that it may grow to. A change copies a chunk and the list of chunks: for
// 10,000 instances, 1 and 2 kB.
const chunkSize = 128

// NewSet returns the set of these instances. It takes them over: they are not to be
// changed afterwards. Of several with the same id, the last one stays.
func NewSet(instances ...Instance) *Set {
	s, _ := new(Set).replace(instances)
	return s
}

// SetOf returns the set of these instances, which it shares. Of several with the same
// id, the last one stays.
func SetOf(instances iter.Seq[*Instance]) *Set {
	byID := map[string]*Instance{}
	for in := range instances {
		byID[in.ID] = in
	}
	changes := make([]change, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		changes = append(changes, change{to: byID[id]})
	}
	return new(Set).apply(changes)
}

// Len returns the number of instances.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return s.n
}

// All returns the instances in the order of their ids.
func (s *Set) All() iter.Seq[*Instance] {
	return func(yield func(*Instance) bool) {
		if s == nil {
			return
		}
		for _, c := range s.chunks {
			for _, in := range c {
				if !yield(in) {
					return
				}
			}
		}
	}
}

// Get returns the instance with that id, or nil.
func (s *Set) Get(id string) *Instance {
	if s == nil {
		return nil
	}
	i := sort.Search(len(s.chunks), func(i int) bool { return s.chunks[i][0].ID > id })
	if i == 0 {
		return nil
	}
	c := s.chunks[i-1]
	j, ok := slices.BinarySearchFunc(c, id, byID)
	if !ok {
		return nil
	}
	return c[j]
}

func byID(in *Instance, id string) int { return strings.Compare(in.ID, id) }

// change is what happens to one id: from or to is nil if it is added or removed.
type change struct{ from, to *Instance }

func (c change) id() string {
	if c.to != nil {
		return c.to.ID
	}
	return c.from.ID
}

// apply returns the set after changes, which are sorted by id, one each, and true of
// the set.
func (s *Set) apply(changes []change) *Set {
	if len(changes) == 0 {
		return s
	}
	out := &Set{chunks: make([][]*Instance, 0, len(s.chunks)+1), n: s.n}
	rest := changes
	for i, c := range s.chunks {
		// What sorts before the next chunk belongs to this one.
		k := len(rest)
		if i+1 < len(s.chunks) {
			next := s.chunks[i+1][0].ID
			k = sort.Search(len(rest), func(k int) bool { return rest[k].id() >= next })
		}
		if k == 0 {
			out.chunks = append(out.chunks, c)
			continue
		}
		out.add(merge(c, rest[:k]))
		rest = rest[k:]
	}
	out.add(merge(nil, rest)) // there is a rest only if there was no chunk
	for _, c := range changes {
		switch {
		case c.from == nil:
			out.n++
		case c.to == nil:
			out.n--
		}
	}
	return out
}

// add appends instances as chunks of their own, or to the last chunk if they fit.
func (s *Set) add(instances []*Instance) {
	if len(instances) == 0 {
		return
	}
	if last := len(s.chunks) - 1; last >= 0 && len(s.chunks[last])+len(instances) <= chunkSize {
		s.chunks[last] = slices.Concat(s.chunks[last], instances)
		return
	}
	if len(instances) <= 2*chunkSize {
		s.chunks = append(s.chunks, instances)
		return
	}
	for c := range slices.Chunk(instances, chunkSize) {
		s.chunks = append(s.chunks, c)
	}
}

func merge(chunk []*Instance, changes []change) []*Instance {
	out := make([]*Instance, 0, len(chunk)+len(changes))
	for _, c := range changes {
		i, found := slices.BinarySearchFunc(chunk, c.id(), byID)
		out = append(out, chunk[:i]...)
		if found {
			i++
		}
		chunk = chunk[i:]
		if c.to != nil {
			out = append(out, c.to)
		}
	}
	return append(out, chunk...)
}

// replace returns the set that consists of these instances, and what changed. Those
// that are equal stay the same pointers.
func (s *Set) replace(instances []Instance) (*Set, []change) {
	sorted := make([]*Instance, len(instances))
	for i := range instances {
		sorted[i] = &instances[i]
	}
	slices.SortStableFunc(sorted, func(a, b *Instance) int { return strings.Compare(a.ID, b.ID) })
	var changes []change
	old := cursorOf(s)
	for i, in := range sorted {
		if i+1 < len(sorted) && sorted[i+1].ID == in.ID {
			continue // the last one of an id counts
		}
		for o := old.instance(); o != nil && o.ID < in.ID; o = old.instance() {
			changes = append(changes, change{from: o})
			old.next()
		}
		o := old.instance()
		if o == nil || o.ID != in.ID {
			changes = append(changes, change{to: own(in)})
			continue
		}
		if !o.Equal(in) {
			changes = append(changes, change{o, own(in)})
		}
		old.next()
	}
	for o := old.instance(); o != nil; o = old.instance() {
		changes = append(changes, change{from: o})
		old.next()
	}
	return s.apply(changes), changes
}

// update returns the set with put added and remove taken away, and what changed.
func (s *Set) update(put []Instance, remove []string) (*Set, []change) {
	wanted := make(map[string]*Instance, len(put)+len(remove))
	for _, id := range remove {
		wanted[id] = nil
	}
	for i := range put {
		wanted[put[i].ID] = &put[i]
	}
	changes := make([]change, 0, len(wanted))
	for id, in := range wanted {
		old := s.Get(id)
		switch {
		case in == nil && old != nil:
			changes = append(changes, change{from: old})
		case in != nil && (old == nil || !old.Equal(in)):
			changes = append(changes, change{old, own(in)})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return strings.Compare(a.id(), b.id()) })
	return s.apply(changes), changes
}

// own copies an instance out of the slice it came in, which would otherwise live for
// as long as any one of its elements.
func own(in *Instance) *Instance {
	out := *in
	return &out
}
