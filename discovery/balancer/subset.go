// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"iter"
	"slices"

	"github.com/fairlead-go/fairlead/discovery"
)

// Subset returns size of the instances, or all if there are no more, chosen for a client
// by rendezvous hashing: the same ones for the same client and instances, and if an
// instance is added or removed, at most one other one. Different clients get different
// ones, so that each instance has about as many clients.
func Subset(instances iter.Seq[*discovery.Instance], size int, client string) iter.Seq[*discovery.Instance] {
	type ranked struct {
		in   *discovery.Instance
		rank uint64
	}
	var all []ranked
	seed := hash(offset64, client)
	for in := range instances {
		all = append(all, ranked{in, mix(hash(hash(seed, in.ID), in.Address))})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.in.ID, b.in.ID))
	})
	return func(yield func(*discovery.Instance) bool) {
		for _, r := range all[:min(size, len(all))] {
			if !yield(r.in) {
				return
			}
		}
	}
}

const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

// hash is FNV-1a, with an end to each string.
func hash(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime64
	}
	return (h ^ 0xff) * prime64
}

// mix spreads a hash over all of its bits (splitmix64's finalizer): FNV's upper ones hardly differ
// for strings that differ in their last characters.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
