// SPDX-License-Identifier: Apache-2.0

// Package discoverytest says what a back end of package discovery has to get right, as
// a suite of tests: for the registries of this module, and for yours.
//
//	func TestConformance(t *testing.T) {
//		discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
//			server := startServer(t)
//			return &discoverytest.Harness{
//				Registry: newBackend(server.Address), Catalog: newBackend(server.Address),
//				Faults: map[discoverytest.Fault]discoverytest.Play{
//					discoverytest.Restart: func(discoverytest.TB) func() { server.Restart(); return func() {} },
//				},
//			}
//		})
//	}
//
// Each [Rule] is a test of its own, with a harness of its own; [Rules] lists them with
// their reasons. The rules about calls and watches use the back end as it is. Those
// about faults put the core on top of it, three registered instances and two watchers,
// play the fault, and hold them to what callers were promised: nobody misses an
// instance that lives, everything is registered again afterwards, and there is nothing
// twice and no ghost.
//
// # Faults
//
// A harness plays the faults that it can. A rule whose fault is missing is skipped by
// name, and the list of them is in the log of the test: a suite that passed is one that
// says what it did not see. [InBubble] runs everything in virtual time, for back ends
// that open no socket.
//
// # What it is not
//
// It measures nothing: the only times in it are limits. It does not look into a
// registry: what is there is what its watches say.
package discoverytest
