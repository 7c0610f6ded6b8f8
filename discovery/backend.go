// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"time"
)

// Backend is a registry that can be registered in and watched. A back end that can
// only be watched, such as DNS, is a [Catalog] alone.
type Backend interface {
	Registry
	Catalog
}

// Registry is where instances are registered. Implementations are safe for
// concurrent use.
type Registry interface {
	// Registration returns the handle for one instance, without asking the
	// registry anything. It fails on an instance that [Instance.Normalized]
	// refuses, and on what this registry cannot represent.
	Registration(in Instance) (Registration, error)
}

// Registration is one instance in a registry. The core calls its methods one at a
// time, each with a deadline, and repeats them after errors; an implementation has no
// loop, no retry and no goroutine of its own.
//
// Whatever a call that failed may have left in the registry, the next Register or
// Deregister has to get right.
type Registration interface {
	// Register writes the instance under its key, with a time to live and its
	// health, in place of whatever is there: calling it twice, or from another
	// process with the same key, leaves one entry. It returns the time to live that
	// the registry granted, at least ttl unless the registry has a reason, such as
	// being a fallback.
	Register(ctx context.Context, ttl time.Duration, h Health) (time.Duration, error)
	// Heartbeat renews the time to live, says how the instance is, and returns the
	// time to live from now on. The error is [ErrUnknownRegistration] if the entry
	// is not there (any more): Heartbeat never creates it. Callers that watch stop
	// seeing an instance as passing when it says that it fails or leaves, and see which
	// of the two it is.
	Heartbeat(ctx context.Context, h Health) (time.Duration, error)
	// Lookup reads the entry back, the way those who watch get it, failing or not.
	// The error is [ErrUnknownRegistration] if it is not there.
	Lookup(ctx context.Context) (Instance, error)
	// Deregister removes the entry. It is no error if there is none. As far as the
	// registry can tell them apart, an entry with another address stays: it is that of
	// another process that registered under the same id.
	Deregister(ctx context.Context) error
}

// Catalog is where instances are found. Implementations are safe for concurrent use.
type Catalog interface {
	// Watch begins to watch what a query asks for. It fails on an invalid query; it
	// need not ask the registry anything yet. ctx is for this call alone.
	Watch(ctx context.Context, q Query) (Source, error)
}

// Source is one watch. The core calls Next from one goroutine, paces it after errors
// and opens a new Source now and then; an implementation has no retry loop and no
// back-off of its own.
type Source interface {
	// Next waits until there is something other than what it last returned.
	//
	// The first call, and the first one after an error, return as soon as the
	// registry has answered, with all there is ([Update.Full]), even if that is
	// nothing or what was returned before. Between errors, a change is never lost,
	// but several may come as one.
	//
	// A registry that is away, refuses, or is restoring its state is an error, never
	// an empty update. A Source recovers by being asked again: a connection that was
	// cut, a revision that was compacted away, an index that went backwards, a
	// session that expired are this side's to deal with.
	//
	// If ctx ends, Next returns its error soon and loses nothing: the next call goes
	// on where this one was.
	Next(ctx context.Context) (Update, error)
	// Close ends the watch. A Next that is waiting returns. It can be called twice,
	// from any goroutine.
	Close() error
}

// Update is what a [Source] found. The core takes it over: nothing in it may be
// changed afterwards.
type Update struct {
	// Full says that Put is all there is.
	Full bool
	// Put is what is new or different, each as [Instance.Normalized] returns it.
	Put []Instance
	// Remove is the ids of what went away. It has no meaning in a full update, and
	// precedes Put.
	Remove []string
	// Malformed is the entries that were skipped because they make no valid instance.
	// The same one may be reported as often as it is read: observers hear of it once.
	Malformed []Malformed
	// Fallback says that this is not from the registry that was meant, but from the
	// one that stands in for it.
	Fallback bool
}

// Malformed is an entry in a registry that makes no valid instance.
type Malformed struct {
	// Key is where it was found, in the registry's own terms.
	Key string
	Err error
}
