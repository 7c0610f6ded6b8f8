// SPDX-License-Identifier: Apache-2.0

package discovery

// Diff is what changed from one set to another, each part in the order of ids.
type Diff struct {
	Added   []*Instance
	Removed []*Instance
	Changed []Changed
}

// Changed is an instance before and after: same id, and something else that differs.
type Changed struct{ From, To *Instance }

// Empty reports whether nothing changed.
func (d Diff) Empty() bool { return len(d.Added) == 0 && len(d.Removed) == 0 && len(d.Changed) == 0 }

// Diff returns what changed since prev, which may be any other set and may be nil.
// If one came from the other, through however many changes, it costs in proportion
// to what changed: what they share is skipped.
func (s *Set) Diff(prev *Set) Diff {
	var d Diff
	a, b := cursorOf(prev), cursorOf(s)
	for {
		for a.skip(&b) {
		}
		from, to := a.instance(), b.instance()
		switch {
		case from == nil && to == nil:
			return d
		case to == nil || from != nil && from.ID < to.ID:
			d.Removed = append(d.Removed, from)
			a.next()
		case from == nil || to.ID < from.ID:
			d.Added = append(d.Added, to)
			b.next()
		default:
			if from != to && !from.Equal(to) {
				d.Changed = append(d.Changed, Changed{from, to})
			}
			a.next()
			b.next()
		}
	}
}

// cursor goes through the chunks of a set.
type cursor struct {
	chunks [][]*Instance
	i      int // in the first chunk
}

func cursorOf(s *Set) cursor {
	if s == nil {
		return cursor{}
	}
	return cursor{chunks: s.chunks}
}

func (c *cursor) instance() *Instance {
	if len(c.chunks) == 0 {
		return nil
	}
	return c.chunks[0][c.i]
}

func (c *cursor) next() {
	if c.i++; c.i == len(c.chunks[0]) {
		c.chunks, c.i = c.chunks[1:], 0
	}
}

// skip goes past a chunk that both have.
func (c *cursor) skip(o *cursor) bool {
	if c.i != 0 || o.i != 0 || len(c.chunks) == 0 || len(o.chunks) == 0 {
		return false
	}
	a, b := c.chunks[0], o.chunks[0]
	if &a[0] != &b[0] || len(a) != len(b) {
		return false
	}
	c.chunks, o.chunks = c.chunks[1:], o.chunks[1:]
	return true
}
