// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import (
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/internal/observe"
)

// Observer is told what connections are told. Every function is optional.
//
// They are called one after the other for one connection, outside of any lock, on a
// goroutine that has nothing else to do; different connections call them at the same
// time. They may still be called once after a connection was closed.
type Observer struct {
	// Updated is called when a connection has new endpoints.
	Updated func(Update)
	// Failed is called when a connection was told that there is nothing to call, or
	// refused what it was given.
	Failed func(Failure)
}

// Update is endpoints that a connection was given.
type Update struct {
	Query discovery.Query
	// Version is that of the snapshot they are from.
	Version uint64
	// Endpoints is how many there are now.
	Endpoints int
	// Added, Removed and Changed count what is different.
	Added, Removed, Changed int
	// Took is how long gRPC and its balancer took to take them.
	Took time.Duration
}

// Failure is what a connection was told instead of endpoints.
type Failure struct {
	Query discovery.Query
	Err   error
	// Kept is how many endpoints it goes on with.
	Kept int
	// Refused says that the error is the connection's, which did not take an update,
	// and not the registry's.
	Refused bool
}

// observers returns one that tells both.
func observers(a, b Observer) Observer {
	return Observer{Updated: observe.Both(a.Updated, b.Updated), Failed: observe.Both(a.Failed, b.Failed)}
}
