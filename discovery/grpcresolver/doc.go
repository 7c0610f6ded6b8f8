// SPDX-License-Identifier: Apache-2.0

// Package grpcresolver lets gRPC connections find their services through a
// [discovery.Watcher], whatever the registry behind it.
//
//	resolvers, err := grpcresolver.New("consul", watcher)
//	conn, err := grpc.NewClient("consul:///order?tag=canary",
//		grpc.WithResolvers(resolvers), // given to the connection: nothing is registered globally
//		grpc.WithNoProxy(),
//		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
//		grpc.WithTransportCredentials(credentials.NewTLS(config)))
//
// # Targets
//
//		scheme:///service[?ns=prod][&tag=a&tag=b][&zone=eu-west-1a]
//
//	  - ns is the environment, for those who like to see it. It has to be the watcher's:
//	    another one is refused with [discovery.ErrForeignNamespace].
//	  - tag leaves only instances with that tag; with several, those with all of them.
//	  - zone leaves only instances of that zone, and none if it has none. To prefer a zone
//	    and go to others if need be is up to the balancer, which sees the zone of each
//	    endpoint ([InstanceFrom]).
//
// Anything else (an authority, another parameter, one that is empty or there twice) is an
// error and not a guess.
//
// # What gRPC is told
//
// One endpoint for each instance, in the order of ids, when there is a new version of the
// service; and an error when there is nothing to call. It is never told that there are
// no endpoints: it would close its connections, and doubt is in favor of keeping them. So
// an error fails calls only on a connection that has nothing it could call. A filter that
// leaves nothing of a service that is there is such an error, too.
//
// # Decisions
//
//   - What is known of an instance is an attribute of its endpoint and not of its address:
//     only another address makes another connection, not another weight, tag or health.
//   - Endpoints of instances that did not change are the same values as before. Of an
//     update of 1 in 10,000, what grows with the 10,000 is the copy of a slice, and what
//     gRPC and the balancer do with it.
//   - The name of the service is the authority, by which TLS verifies servers: they have
//     to have certificates for it, and not for their addresses. grpc.WithAuthority is for
//     those whose certificates are for another name.
//   - Dial with grpc.WithNoProxy, unless the instances are beyond a proxy: if HTTPS_PROXY
//     is set, gRPC goes to them through it, and drops the attributes.
//   - Balancers have to know endpoints, as all of gRPC's do. One that is made with
//     google.golang.org/grpc/balancer/base looks at bare addresses, gets none, and refuses
//     the update.
//
// # What it is not
//
// It balances nothing: without a service config, gRPC's pick_first sends all calls of a
// connection to one instance. It asks no registry and caches nothing: outages, empty
// answers and restarts are the watcher's matter.
//
// # Concurrency
//
// A [Builder] is safe for concurrent use. A connection has one subscription of the
// service's shared watch, and a goroutine only while it takes an update, so that a slow
// balancer holds up no other connection. All of that ends with grpc.ClientConn.Close, and
// while the connection is idle.
package grpcresolver
