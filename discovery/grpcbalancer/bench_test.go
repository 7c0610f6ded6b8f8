// SPDX-License-Identifier: Apache-2.0

package grpcbalancer_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/balancer/roundrobin"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcbalancer"
)

var contenders = []struct{ name, policy, config string }{
	{"fairlead-p2c", grpcbalancer.Name, `{}`},
	{"fairlead-least-request", grpcbalancer.Name, `{"policy":"least_request"}`},
	{"fairlead-round-robin", grpcbalancer.Name, `{"policy":"round_robin"}`},
	{"grpc-least-request", leastrequest.Name, `{}`},
	{"grpc-round-robin", roundrobin.Name, `{}`},
}

// BenchmarkPick is a pick and the end of its call, as gRPC makes them: by the picker that
// the policy gave to its channel, with all endpoints connected. Equal work is held by
// TestEqualWork.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		all := endpoints(n)
		for _, c := range contenders {
			ch := newChannel(b, c.policy, c.config)
			if n == 10000 && c.policy != grpcbalancer.Name {
				continue // it takes half a minute to get there; see BenchmarkConnect
			}
			ch.resolve(b, all...)
			p, info, ended := ch.picker(), balancer.PickInfo{FullMethodName: "/orders.Orders/Get", Ctx: b.Context()}, balancer.DoneInfo{BytesSent: true, BytesReceived: true}
			call := func() {
				r, err := p.Pick(info)
				if err != nil {
					panic(err)
				}
				if r.Done != nil {
					r.Done(ended)
				}
			}
			b.Run(fmt.Sprintf("%d/%s/serial", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					call()
				}
			})
			b.Run(fmt.Sprintf("%d/%s/parallel", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						call()
					}
				})
			})
		}
	}
}

// BenchmarkConnect is what n endpoints cost from the first update until all are in picks.
func BenchmarkConnect(b *testing.B) {
	for _, n := range []int{100, 1000} {
		all := endpoints(n)
		for _, c := range contenders {
			b.Run(fmt.Sprint(n, "/", c.name), func(b *testing.B) {
				for b.Loop() {
					newChannel(b, c.policy, c.config).resolve(b, all...)
				}
			})
		}
	}
}

// BenchmarkUpdate is an update by which one of n endpoints has another weight: until picks
// know of it.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ch := newChannel(b, grpcbalancer.Name, `{}`)
			all := endpoints(n)
			ch.resolve(b, all...)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				all = slices.Clone(all)
				all[n/2] = with(all[n/2], func(in *discovery.Instance) { in.Weight = 1 + i%2 })
				ch.resolve(b, all...)
			}
		})
	}
}
