// SPDX-License-Identifier: Apache-2.0

// Package grpcbalancer is gRPC's load balancing policy "fairlead": package balancer's choice
// among the endpoints that gRPC keeps connected.
//
//	import _ "github.com/fairlead-go/fairlead/discovery/grpcbalancer"
//
//	resolver, err := grpcresolver.New("consul", watcher)
//	conn, err := grpc.NewClient("consul:///orders", grpc.WithResolvers(resolver),
//		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"fairlead": {"zone": "eu-1a"}}]}`))
//
// It works with any resolver; zones, weights and ids are known to it from that of package
// grpcresolver.
//
// # Configuration
//
// All fields are optional, and have package balancer's defaults, which says what they mean:
//
//	{"fairlead": {
//		"policy": "p2c_ewma",         // or least_request, round_robin, random
//		"decay": "5s",                // of latencies
//		"slowStart": "30s",           // "0s" is none
//		"slowStartShare": 0.1,
//		"zone": "",                   // this process's; none is preferred without it
//		"zoneOverprovision": 1.4,
//		"panicShare": 0.5,
//		"subset": {"size": 20, "client": "shop-1"}, // the client's name, its own; all without it
//		"outlierEjection": {
//			"off": false,
//			"interval": "10s", "minCalls": 50, "minEndpoints": 5,
//			"consecutiveFailures": 5, "failureShare": 0.85, "deviation": 1.9, // 0: not for that
//			"time": "30s", "maxTime": "5m", "maxShare": 0.1
//		}
//	}}
//
// A field that is not one of these, or a value that cannot be, is an error of the service
// config, which says which it is. Another configuration later on is used at once; it
// begins to learn about endpoints from nothing, on the connections that there are.
//
// # What a call's end says
//
// Unavailable, DeadlineExceeded, Internal, Unknown and DataLoss are failures of the
// endpoint, and count for its ejection. ResourceExhausted, and Unavailable with a
// push-back (grpc-retry-pushback-ms, gRFC A6), are overload: the endpoint gets
// fewer calls, and none for as long as it says if it says so three times in a row. All other
// codes are answers. A call that the caller gave up says nothing, nor does one that was never
// sent.
//
// The latency of a stream is how long it was open. For services of which most calls are
// streams, use "least_request"; what was open for more than a minute is not looked at.
//
// # Decisions
//
//   - Each endpoint has a pick_first of gRPC's, as in gRPC's own policies since gRFC A61:
//     it tries several addresses (happy eyeballs), listens to client-side health checks
//     and connects again. An endpoint is in picks while it is READY, and out of them the
//     moment that it is not.
//   - It is not built on gRPC's endpointsharding, which makes a list of all endpoints for
//     each that changes its state, so that n that connect cost n lists of n. Here
//     one that changes costs a flag, and the next pick makes the list; an update compares
//     endpoints with what they were, and tells those that changed (BenchmarkConnect,
//     BenchmarkUpdate).
//   - An endpoint is the same for as long as id and addresses are. Its connection and what is
//     known of it stay, whatever else of the instance changes.
//   - One that gets a new connection, because a server ends connections by age, goes on as before. One
//     that could not be reached in between starts slowly.
//   - The end of a call is a function that is there already: one for each endpoint, and one from
//     a pool for calls that are measured. So a pick allocates nothing.
//   - gRPC's picker is not told which endpoints a call was tried on. One whose connection broke is out
//     anyway; one that failed looks slow, which leads the next attempt elsewhere, as a rule.
//
// # Metrics
//
// gRPC makes balancers itself. A [Monitor] around the resolver knows them: for counts of
// what they do (balancer.Balancer.Stats), and to be told of ejections.
//
// # What it is not
//
// It does not replace gRPC's own policies. round_robin, weighted_round_robin (which
// takes weights from load reports and not from instances), least_request_experimental,
// ring_hash_experimental and random_subsetting_experimental work with package
// grpcresolver as they are; a program imports those that it names. ring_hash takes a
// call's key from a header only with gRPC's
// GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY=true.
//
// # Concurrency
//
// gRPC calls it. A [Monitor] is safe for concurrent use.
package grpcbalancer
