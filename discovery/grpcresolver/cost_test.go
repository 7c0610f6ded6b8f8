// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"fmt"
	"net/url"
	"testing"

	"google.golang.org/grpc/resolver"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

// sets returns a set of n instances, and the one after it with one of them changed, as a
// watcher delivers them: they share what is the same.
func sets(t testing.TB, n int) (a, b *discovery.Set) {
	w := newWorld(t)
	sub := must[*discovery.Subscription](t)(w.watcher.Subscribe(discovery.Query{Namespace: prod, Service: "order"}, nil))
	defer sub.Close()
	next := func(want int) *discovery.Set {
		for {
			if s := must[*discovery.Snapshot](t)(sub.Next(t.Context())).Instances; s.Len() == want {
				return s
			}
		}
	}
	for i := range n {
		w.put(order(i))
	}
	a = next(n)
	changed := order(n / 2)
	changed.Weight = 2
	w.put(changed)
	return a, next(n)
}

// TestCostOfOneChange: of an update of one instance in 10,000, what is made anew is the
// slice, one endpoint, and what it takes to find the difference.
func TestCostOfOneChange(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := sets(t, 10_000)
	var l grpcresolver.Lists
	if n, added, _, _ := l.Next(a); n != 10_000 || added != 10_000 {
		t.Fatalf("%d endpoints, %d added", n, added)
	}
	next, other := b, a
	got := testing.AllocsPerRun(100, func() {
		if n, added, removed, changed := l.Next(next); n != 10_000 || added+removed != 0 || changed != 1 {
			t.Fatalf("%d endpoints, %d added, %d removed, %d changed", n, added, removed, changed)
		}
		next, other = other, next
	})
	if got > 15 {
		t.Errorf("%v allocations, want 15 at most", got)
	}
}

// BenchmarkList is what this package adds to an update: one instance in 10 and in 10,000
// has changed, or all are new.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		one, other := sets(b, n)
		b.Run(fmt.Sprint("one of ", n), func(b *testing.B) {
			var l grpcresolver.Lists
			l.Next(one)
			b.ReportAllocs()
			for b.Loop() {
				l.Next(other)
				one, other = other, one
			}
		})
		b.Run(fmt.Sprint("all of ", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var l grpcresolver.Lists
				l.Next(one)
			}
		})
	}
}

// BenchmarkTarget is what a connection costs before it watches.
func BenchmarkTarget(b *testing.B) {
	t := resolver.Target{URL: *must[*url.URL](b)(url.Parse("consul:///order?tag=a&zone=eu-1"))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := grpcresolver.ParseTarget(&t.URL, prod); err != nil {
			b.Fatal(err)
		}
	}
}
