// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"slices"

	"github.com/fairlead-go/fairlead/discovery"
)

// Edit changes the endpoints of a balancer, during [Balancer.Edit].
type Edit struct {
	b      *Balancer
	update Update
}

// Add adds an endpoint for an instance, with a value that picks get back. If it is
// suspended, it is out of picks until [Endpoint.Resume]. Of the instance's id and address
// there must be no other.
func (e *Edit) Add(in *discovery.Instance, value any, suspended bool) *Endpoint {
	ep := e.b.add(in, value)
	if suspended {
		ep.out.Store(outSuspended)
	} else {
		ep.begin(e.b.now())
	}
	e.update.Added++
	return ep
}

// Replace gives an endpoint another instance of the same id and address.
func (e *Edit) Replace(ep *Endpoint, in *discovery.Instance) {
	ep.instance.Store(in)
	ep.weight = max(in.Weight, 1)
	e.update.Changed++
}

// Remove removes an endpoint. Calls in flight end as they do.
func (e *Edit) Remove(ep *Endpoint) {
	if ep.out.Or(outRemoved)&outEjected != 0 {
		e.b.ejected--
	}
	e.b.count(ep)
	delete(e.b.endpoints, ep.key)
	e.update.Removed++
}

func (e *Edit) take(in *discovery.Instance) {
	if in.Health.Callable() {
		e.Add(in, nil, false)
	}
}

func (e *Edit) drop(in *discovery.Instance) {
	if ep := e.b.endpoints[keyOf(in)]; ep != nil {
		e.Remove(ep)
	}
}

func (e *Edit) replace(from, to *discovery.Instance) {
	ep := e.b.endpoints[keyOf(to)]
	if ep == nil || !to.Health.Callable() {
		e.drop(from)
		e.take(to)
		return
	}
	e.Replace(ep, to)
}

func (e *Edit) commit() {
	b := e.b
	if e.update != (Update{}) {
		if e.update.Removed > 0 {
			b.ordered = slices.DeleteFunc(slices.Clone(b.ordered), func(ep *Endpoint) bool { return ep.out.Load()&outRemoved != 0 })
		}
		b.changed = true
		b.started = b.started || len(b.ordered) > 0
		e.update.Endpoints = len(b.ordered)
		note(b, b.observer.Updated, e.update)
	}
	b.rebuild(b.now())
}

func (b *Balancer) add(in *discovery.Instance, value any) *Endpoint {
	ep := &Endpoint{b: b, value: value, details: &details{
		key: keyOf(in), weight: max(in.Weight, 1), fresh: b.started,
	}}
	ep.instance.Store(in)
	b.endpoints[ep.key] = ep
	b.ordered = append(b.ordered, ep)
	return ep
}
