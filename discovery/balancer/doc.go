// SPDX-License-Identifier: Apache-2.0

// Package balancer chooses which instance of a service a call is sent to.
//
//	b, err := balancer.New(balancer.WithZone("eu-1a"))
//	b.Update(snapshot.Instances) // whenever there are others
//
//	pick, ok := b.Pick()
//	if !ok { … } // there is no instance
//	err = send(request, pick.Endpoint().Instance().Address)
//	pick.Done(balancer.OK) // or Failed, Unreachable, …
package balancer
