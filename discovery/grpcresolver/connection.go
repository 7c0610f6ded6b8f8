// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/internal/observe"
)

// connection resolves for one grpc.ClientConn.
//
// The watch that it shares with others must not wait for it, and gRPC's UpdateState
// returns when the balancer has taken the update. So updates are given to gRPC on a
// goroutine that exists while there are any; those that come meanwhile replace each
// other.
type connection struct {
	cc            resolver.ClientConn
	target        target
	serviceConfig *serviceconfig.ParseResult
	observer      Observer
	sub           *discovery.Subscription

	mu      sync.Mutex
	latest  *discovery.Snapshot // that was not looked at yet; nil if there is none
	running bool
	closed  bool

	// What follows belongs to the goroutine.
	version uint64 // of the snapshot that list is of
	list    list
	kept    int  // endpoints that gRPC has
	again   bool // gRPC was told of an error, or refused: it is to hear of list again
}

var _ resolver.Resolver = (*connection)(nil)

// ResolveNow implements [resolver.Resolver]: it makes a watch that failed try again.
func (c *connection) ResolveNow(resolver.ResolveNowOptions) { c.sub.Refresh() }

// Close implements [resolver.Resolver]. It does not wait.
func (c *connection) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.sub.Close()
}

// notify takes a snapshot over from the watch.
func (c *connection) notify(s *discovery.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = s
	if !c.running && !c.closed {
		c.running = true
		go c.run()
	}
}

// run looks at snapshots until there is none.
func (c *connection) run() {
	for s := c.next(); s != nil; s = c.next() {
		c.apply(s)
	}
}

// next returns nil if run is to end.
func (c *connection) next() *discovery.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.latest
	c.latest = nil
	if s == nil || c.closed {
		c.running = false
		return nil
	}
	return s
}

// apply tells gRPC what a snapshot says, if it says something new. It is never told
// that there are no endpoints, which would end all connections at once: it is told of
// an error, and keeps what it has.
func (c *connection) apply(s *discovery.Snapshot) {
	if err := s.Problem(); err != nil {
		c.report(err)
		return
	}
	next, d := c.list.to(s.Instances, c.target)
	c.list, c.version = next, s.Version
	switch {
	case len(next.endpoints) == 0:
		c.report(fmt.Errorf("%w of %s with %s: there are %d without", discovery.ErrNoInstances, c.target.query, c.target.filter(), s.Instances.Len()))
	case c.again || d != delta{}:
		c.update(d)
	}
}

func (c *connection) report(err error) {
	c.again = true
	c.cc.ReportError(err)
	observe.Tell(c.observer.Failed, Failure{Query: c.target.query, Err: err, Kept: c.kept})
}

func (c *connection) update(d delta) {
	n := len(c.list.endpoints)
	start := time.Now()
	err := c.cc.UpdateState(resolver.State{Endpoints: c.list.endpoints, ServiceConfig: c.serviceConfig})
	took := time.Since(start)
	c.again = err != nil
	if err != nil {
		// Asking again would find the same: the balancer hears of the next change.
		observe.Tell(c.observer.Failed, Failure{Query: c.target.query, Err: fmt.Errorf("grpcresolver: %d endpoints of %s: %w", n, c.target.query, err), Kept: c.kept, Refused: true})
		return
	}
	c.kept = n
	observe.Tell(c.observer.Updated, Update{
		Query: c.target.query, Version: c.version, Endpoints: n,
		Added: d.added, Removed: d.removed, Changed: d.changed, Took: took,
	})
}
