// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import (
	"slices"
	"strings"

	"google.golang.org/grpc/resolver"

	"github.com/fairlead-go/fairlead/discovery"
)

// list is the endpoints of those of a set of instances that a target asks for, in the
// order of their ids. The zero list is that of the empty set.
type list struct {
	set       *discovery.Set
	endpoints []resolver.Endpoint // never changed: balancers keep it
}

// delta counts what is different between two lists.
type delta struct{ added, removed, changed int }

// edit is what happens to the endpoint of one id: in is nil if it is removed.
type edit struct {
	id string
	in *discovery.Instance
}

// to returns the list of another set. An endpoint whose instance did not change is the
// same value as before, so that what is made anew is the slice, which gRPC wants whole,
// and as many endpoints as there are changes.
func (l list) to(set *discovery.Set, t target) (list, delta) {
	edits, d := l.edits(set, t)
	if len(edits) == 0 {
		return list{set, l.endpoints}, d
	}
	slices.SortFunc(edits, func(a, b edit) int { return strings.Compare(a.id, b.id) })
	out := make([]resolver.Endpoint, 0, len(l.endpoints)+d.added)
	rest := l.endpoints
	for _, e := range edits {
		i, found := slices.BinarySearchFunc(rest, e.id, byID)
		out = append(out, rest[:i]...)
		if found {
			i++
		}
		rest = rest[i:]
		if e.in != nil {
			out = append(out, newEndpoint(e.in))
		}
	}
	return list{set, append(out, rest...)}, d
}

func byID(e resolver.Endpoint, id string) int { return strings.Compare(InstanceFrom(e).ID, id) }

func newEndpoint(in *discovery.Instance) resolver.Endpoint {
	return SetInstance(resolver.Endpoint{Addresses: []resolver.Address{{Addr: in.Address}}}, in)
}

func (l list) edits(set *discovery.Set, t target) ([]edit, delta) {
	var (
		edits []edit
		d     delta
	)
	consider := func(from, to *discovery.Instance) {
		if from != nil && !t.wants(from) {
			from = nil
		}
		if to != nil && !t.wants(to) {
			to = nil
		}
		switch {
		case from == nil && to == nil:
			return
		case from == nil:
			d.added++
			edits = append(edits, edit{to.ID, to})
		case to == nil:
			d.removed++
			edits = append(edits, edit{from.ID, nil})
		default:
			d.changed++
			edits = append(edits, edit{to.ID, to})
		}
	}
	diff := set.Diff(l.set)
	for _, in := range diff.Removed {
		consider(in, nil)
	}
	for _, in := range diff.Added {
		consider(nil, in)
	}
	for _, c := range diff.Changed {
		consider(c.From, c.To)
	}
	return edits, d
}
