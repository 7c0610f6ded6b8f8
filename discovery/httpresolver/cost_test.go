// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// canned answers at the cost of one allocation.
type canned struct{}

func (canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func warm(t testing.TB, instances int) (rt http.RoundTripper, req *http.Request) {
	w := newWorld(t)
	for n := range instances {
		in := order(n)
		in.Address = fmt.Sprintf("10.0.%d.%d:80", n/250, n%250+1)
		w.put(in)
	}
	r := w.resolver()
	for deadline := time.Now().Add(10 * time.Second); r.Balancer().Stats().Endpoints < instances; {
		if time.Now().After(deadline) {
			t.Fatal("the watcher does not deliver")
		}
	}
	return r.Transport(canned{}), get(t.Context(), "http://order/v1/orders/7")
}

// TestCostOfARequest is a budget.
func TestCostOfARequest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, n := range []int{1, 1000} {
		rt, req := warm(t, n)
		got := testing.AllocsPerRun(1000, func() {
			if _, err := rt.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
		})
		if got--; got > 6 { // that of the answer
			t.Errorf("%v allocations with %d instances, want 6 at most", got, n)
		}
	}
	w := newWorld(t)
	other, req := w.resolver().Transport(canned{}), get(t.Context(), "http://payment/")
	if got := testing.AllocsPerRun(1000, func() { _, _ = other.RoundTrip(req) }); got > 1 {
		t.Errorf("%v allocations for a request that passes through, want that of the answer", got)
	}
}

// BenchmarkRequest is what a request pays for being resolved.
func BenchmarkRequest(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rt, req := warm(b, n)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = rt.RoundTrip(req)
			}
		})
		b.Run(fmt.Sprint(n, " parallel"), func(b *testing.B) {
			rt, req := warm(b, n)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = rt.RoundTrip(req)
				}
			})
		})
	}
}
