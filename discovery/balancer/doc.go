// SPDX-License-Identifier: Apache-2.0

// Package balancer chooses which instance of a service a call is sent to, and learns
// from how it ends.
//
//	b, err := balancer.New(balancer.WithZone("eu-1a"))
//	b.Update(snapshot.Instances) // whenever there are others
//
//	pick, ok := b.Pick()
//	if !ok { … } // there is no instance
//	err = send(request, pick.Endpoint().Instance().Address)
//	pick.Done(balancer.OK) // or Failed, Unreachable, Overload, Ignored
//
// # How an endpoint is chosen
//
//	       all instances ──▶ subset ──▶ may be picked? ──▶ zone ──▶ policy, by weight
//	Update, Edit ┘              reachable, not ejected,   near or    P2CEWMA, LeastRequest,
//	                            not set aside             far        RoundRobin, Random
//
// Policy. [P2CEWMA], the default, draws two endpoints and takes the one where a call
// should be over sooner: latency times one more than the calls in flight, these in
// relation to the weight. One that is better by less than a quarter is not better: that
// is noise, and weights decide. Latency is a moving average that rises at once (by a
// slow call at most to twice of what it was) and falls with time ([WithDecay]). Without
// calls it leans to the others', so that an endpoint that was slow is tried again, and a
// new one is taken for an average one and not for a fast one. A call that failed counts as
// ten times as long as the others: failing is quick, and must not attract calls.
//
// Weights are of all policies: endpoints are drawn, or have their turn, by them.
//
// Slow start ([WithSlowStart]). A new endpoint begins with a tenth of its weight and
// has all of it after half a minute; so does one that was lost and is back. Those of
// the first update are not new: it is this process that is.
//
// Zone ([WithZone]). Calls stay in the zone as long as it can take them. Callers are
// taken to be spread evenly over zones; so a zone that has its share of all the weight
// that is in picks has enough, and one that has less of it, because it is small or
// because its endpoints are away, keeps
//
//	1.4 × its weight ÷ all weight × number of zones
//
// of its callers' calls, at most all ([WithZoneOverprovision]). The rest goes to the
// other zones by weight. Endpoints in slow start count as what they have, and if endpoints
// are away everywhere, nobody is better off elsewhere.
//
// Ejection. An endpoint goes out of picks at five failures in a row
// ([WithEjectAfter]); or, looked at every ten seconds, if of at least 50 calls 85 % failed
// ([WithEjectFailureShare]), or so many more than elsewhere that it is 1.9 standard
// deviations from the mean ([WithEjectDeviation]). It is back after half a minute,
// twice that the second time, and so on. At no time are more than a tenth of the
// endpoints ejected, or one if that is less, and never the last ([WithMaxEjected]). If
// half of those that can be reached are ejected or set aside all the same, that is
// ignored ([WithPanicShare]): then it is not them. This is Envoy's outlier detection
// (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier) and
// gRFC A50's, with their defaults, and with faults of the caller left out of it.
//
// Unreachable endpoints are out of picks with the first connection error, for half a second
// and twice as long each further time ([WithBackoff]). If there is no other, they are picked: a
// call that fails is no worse than none.
//
// Overload. Who refuses a call is well, and is not ejected for it, but gets fewer. One that
// refuses three in a row and says when to come back is out of picks until then.
//
// Subset ([WithSubset]). Of many instances a client uses some, the same ones for as
// long as they are there, by rendezvous hashing (gRFC A68).
//
// # Decisions
//
//   - A pick takes no lock and allocates nothing, and its cost does not depend on the
//     number of endpoints: it works on an immutable snapshot that changes are made in
//     aside. What picks write is each endpoint's own, in a cache line of its own.
//   - There is no goroutine and no timer. What is due is done by the pick that comes
//     after it; without picks, nothing is due.
//   - Reading the clock is half of a pick's cost. With more than 100 calls a second and
//     endpoint, one in eight is measured, and the time in between is that of the last
//     one: decisions are then late by a few calls.
//   - Picks are counted by kind and not by endpoint ([Balancer.Stats]): metrics of
//     instances are as many series as there ever were instances.
//   - Everything about endpoints that is not new survives an update, as long as id and
//     address do.
//
// # What it is not
//
// It finds nothing, connects to nothing and sends nothing; grpcbalancer and httpresolver do,
// and watchers of package discovery know what there is. It repeats no call: who does
// passes what was tried to [Balancer.Pick]. It hashes no keys: for affinity there is
// gRPC's ring_hash.
//
// # Concurrency
//
// All of it is safe for concurrent use, and nothing needs to be closed.
package balancer
