// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"log/slog"
	"slices"
)

// list is a list of attributes in which every key occurs once. Like append, its
// methods return the list they made: through a pointer, the array under it
// could not be on the stack.
type list struct {
	attrs []slog.Attr
	seen  keyBits
}

// keyBits is a Bloom filter over keys: it rules most keys out at once.
type keyBits uint64

func bitOf(key string) keyBits {
	n := len(key)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(n) ^ uint(key[0])<<3 ^ uint(key[n-1])<<1 ^ uint(key[n/2])) % 64)
}

// index returns where key is, or -1.
func (l list) index(key string) int {
	if l.seen&bitOf(key) == 0 {
		return -1
	}
	for i := range l.attrs {
		if l.attrs[i].Key == key {
			return i
		}
	}
	return -1
}

// append adds a, whose key must be new.
func (l list) append(a slog.Attr) list {
	return list{attrs: append(l.attrs, a), seen: l.seen | bitOf(a.Key)}
}

// put adds a as slog's rules want it: zero attributes and empty groups are
// left out, a group without a key is replaced by its members. A key that is
// there already keeps its place and gets the new value; two groups become one.
func (l list) put(a slog.Attr) list {
	if a.Value.Kind() == slog.KindGroup {
		members := a.Value.Group()
		if len(members) == 0 {
			return l
		}
		if a.Key == "" {
			for _, m := range members {
				l = l.put(m)
			}
			return l
		}
	}
	if isZero(a) {
		return l
	}
	i := l.index(a.Key)
	if i < 0 {
		return l.append(a)
	}
	l.attrs[i] = merge(l.attrs[i], a)
	return l
}

// overrides reports whether l and other have a key in common.
func (l list) overrides(other list) bool {
	if l.seen&other.seen == 0 {
		return false
	}
	for i := range l.attrs {
		if other.index(l.attrs[i].Key) >= 0 {
			return true
		}
	}
	return false
}

// clone returns a list that can be changed without changing l.
func (l list) clone() list {
	return list{attrs: slices.Clone(l.attrs), seen: l.seen}
}

// merge returns what becomes of two attributes with the same key.
func merge(old, a slog.Attr) slog.Attr {
	if old.Value.Kind() != slog.KindGroup || a.Value.Kind() != slog.KindGroup {
		return a
	}
	before, after := old.Value.Group(), a.Value.Group()
	both := list{attrs: make([]slog.Attr, 0, len(before)+len(after))}
	for _, m := range before {
		both = both.put(m)
	}
	for _, m := range after {
		both = both.put(m)
	}
	// A copy, or every list that is put to would be taken to end up in a group,
	// and so on the heap.
	return slog.Attr{Key: a.Key, Value: slog.GroupValue(slices.Clone(both.attrs)...)}
}

// isZero reports whether a is the zero Attr, which is to be ignored.
func isZero(a slog.Attr) bool {
	return a.Key == "" && a.Value.Kind() == slog.KindAny && a.Value.Any() == nil
}

// keySet is a set of keys with the same filter in front.
type keySet struct {
	keys []string
	seen keyBits
}

func (s *keySet) add(keys ...string) {
	for _, k := range keys {
		s.keys = append(s.keys, k)
		s.seen |= bitOf(k)
	}
}

func (s *keySet) has(key string) bool {
	return s.seen&bitOf(key) != 0 && slices.Contains(s.keys, key)
}
