// SPDX-License-Identifier: Apache-2.0

// Package dns finds instances by asking DNS again and again. It is a fallback, for when
// the registry is away, or for a service that has nothing but a name.
//
//	catalog, err := dns.New("{service}.{namespace}.svc.cluster.local", dns.WithPort(8443)) // A and AAAA
//	catalog, err := dns.New("_grpc._tcp.{service}.{namespace}.example.com", dns.WithSRV())  // with ports and weights
//	watcher, err := discovery.NewWatcher(catalog, namespace)
//
// The pattern has to have the namespace in it, or [WithNamespace] has to say of which
// one all its names are: otherwise every environment would see the same. Names are asked
// for as they are, without the search list of the system, which could end anywhere.
//
// # Why a fallback only
//
//   - DNS cannot be watched: a change is seen up to an interval, and what caches on the
//     way think is right, later.
//   - It knows no health, no zone, no version and no metadata. A dead instance is listed
//     for as long as its record is.
//   - Answers may be cut short, and in any order; which records are left out is not said.
//   - Nobody registers here.
//
// A name that does not exist is an answer: there is no instance, and the core doubts it
// as it doubts any such answer. A server that fails or is silent is an error.
//
// Of SRV records, those of the best priority are taken, as RFC 2782 demands.
package dns
