// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"fmt"
	"testing"

	"github.com/fairlead-go/fairlead/discovery/balancer"
)

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		for _, p := range []balancer.Policy{balancer.P2CEWMA, balancer.LeastRequest, balancer.RoundRobin, balancer.Random} {
			lb, err := balancer.New(balancer.WithPolicy(p))
			if err != nil {
				b.Fatal(err)
			}
			lb.Update(instances(n, nil))
			b.Run(fmt.Sprintf("%v/%d/serial", p, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					pick, _ := lb.Pick()
					pick.Done(balancer.OK)
				}
			})
			b.Run(fmt.Sprintf("%v/%d/parallel", p, n), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						pick, _ := lb.Pick()
						pick.Done(balancer.OK)
					}
				})
			})
		}
	}
}

// BenchmarkResume is one of n endpoints that loses its connection and is back, and a pick
// after each.
func BenchmarkResume(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			lb := newBalancer(b, instances(n, nil))
			e := endpoint(b, lb, id(n/2))
			for b.Loop() {
				e.Suspend()
				pick(b, lb)
				e.Resume()
				pick(b, lb)
			}
		})
	}
}
