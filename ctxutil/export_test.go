// SPDX-License-Identifier: Apache-2.0

package ctxutil

// CountApart counts one piece of work of each name in an accounting of its own
// and returns how many names that keeps apart, and how much is under "_OTHER".
func CountApart(names ...string) (apart, other int) {
	var r goroutineRegistry
	for _, name := range names {
		w := &work{}
		r.counters(name).add(w)
	}
	for _, c := range r.all() {
		if s := c.stats(); s.Name == "_OTHER" {
			other = int(s.Started)
		} else {
			apart++
		}
	}
	return apart, other
}
