// SPDX-License-Identifier: Apache-2.0

package grpcbalancer_test

import (
	"testing"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/discovery/grpcbalancer"
)

// BenchmarkCall is a whole call over loopback, to three servers: what a policy costs of it.
func BenchmarkCall(b *testing.B) {
	servers := []*server{serve(b, "127.0.0.1:0", nil), serve(b, "127.0.0.1:0", nil), serve(b, "127.0.0.1:0", nil)}
	for _, policy := range []string{"round_robin", "least_request_experimental", "fairlead"} {
		conn := dial(b, grpcbalancer.NewMonitor(nil), `{"loadBalancingConfig":[{"`+policy+`":{}}]}`, servers...)
		all(b, conn, servers...)
		client, req := testgrpc.NewTestServiceClient(conn), &testgrpc.SimpleRequest{}
		b.Run(policy+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.UnaryCall(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(policy+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.UnaryCall(b.Context(), req); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
