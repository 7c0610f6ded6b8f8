// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"cmp"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// TB is the part of [testing.TB] that is needed here.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Harness is one back end under test, and what its test can do to it. Each rule gets a
// new one. The registry may be shared with other tests: services get names of their
// own.
type Harness struct {
	// Registry is the back end to register with; nil if it can only be watched. Then
	// Seed is required.
	Registry discovery.Registry
	// Catalog is the back end to watch. Required.
	Catalog discovery.Catalog
	// Seed makes instances all that there is of a query, for back ends that can only
	// be watched.
	Seed func(q discovery.Query, instances []discovery.Instance) error
	// PutRaw writes text as an entry of a query, which makes no valid instance; nil if
	// entries have no text.
	PutRaw func(q discovery.Query, text []byte) error
	// Faults are what the test can do to the registry.
	Faults map[Fault]Play
	// Lossy says that entries carry an address and nothing else, as in DNS: instances
	// are compared by their addresses.
	Lossy bool

	// Namespace is where to register, and Other another one; the defaults are
	// "conformance" and "conformance2".
	Namespace, Other discovery.Namespace
	// TTL is the shortest time to live that the registry takes seriously. The default
	// is 3 s.
	TTL time.Duration
	// Expiry is how long after the end of its time to live an entry may still be seen.
	// The default is 2 times TTL.
	Expiry time.Duration
	// Settle is how long the registry may take to show a change. The default is 5 s.
	Settle time.Duration
	// Many is the number of instances of the rule [ManyInstances]. The default is 1000.
	Many int
}

func (h *Harness) setDefaults() {
	h.Namespace = cmp.Or(h.Namespace, "conformance")
	h.Other = cmp.Or(h.Other, "conformance2")
	h.TTL = cmp.Or(h.TTL, 3*time.Second)
	h.Expiry = cmp.Or(h.Expiry, 2*h.TTL)
	h.Settle = cmp.Or(h.Settle, 5*time.Second)
	h.Many = cmp.Or(h.Many, 1000)
}

// Play begins a fault and returns what ends it. A fault that is over at once, such as a
// restart, returns a function that does nothing. It fails the test if it cannot.
type Play func(t TB) (end func())

// Fault is something that happens to registries.
type Fault string

// The faults.
const (
	// Outage: every call fails.
	Outage Fault = "outage"
	// Hang: no call is answered.
	Hang Fault = "hang"
	// Slow: calls take long, though less than a third of the time to live.
	Slow Fault = "slow"
	// Disconnect: every connection is cut, once.
	Disconnect Fault = "disconnect"
	// Restart: the registry is restarted, with what it keeps on its disk, if anything.
	Restart Fault = "restart"
	// Forget: the registry loses all registrations and goes on as if nothing had been.
	Forget Fault = "forget"
	// LeaseLoss: leases or sessions of registrations end before their time.
	LeaseLoss Fault = "lease-loss"
	// UnknownCheck: heartbeats are answered with: unknown.
	UnknownCheck Fault = "unknown-check"
	// LeaderLoss: the cluster loses its leader and elects another.
	LeaderLoss Fault = "leader-loss"
	// AuthExpiry: tokens are not valid any more, until they are renewed or the fault
	// ends.
	AuthExpiry Fault = "auth-expiry"
	// Compaction: the history that a watch stands on is gone.
	Compaction Fault = "compaction"
	// IndexReset: the index of changes goes backwards.
	IndexReset Fault = "index-reset"
	// Empty: the registry lists nothing, though it has everything.
	Empty Fault = "empty"
	// Flap: what the registry lists comes and goes.
	Flap Fault = "flap"
)

// faultRow describes a fault.
type faultRow struct {
	fault Fault
	// answers says that the registry may list less than there is while it lasts.
	// Otherwise a watch must not report a loss: it was not told of one.
	answers bool
	doc     string
}

var faultTable = []faultRow{
	{Outage, false, "an answer that was not given is an error, not an empty set; a watch goes on when there are answers again"},
	{Hang, false, "a call that is not answered ends with its context, and does not take the next one with it"},
	{Slow, false, "a slow registry is a working one"},
	{Disconnect, false, "a watch whose connection was cut begins anew when it is asked again, with all there is"},
	{Restart, true, "registrations that a restart lost are made again, and watches survive it"},
	{Forget, true, "a heartbeat for something that is not there says so: it is the only way to learn that a registry lost its memory"},
	{LeaseLoss, true, "a lease that is gone is unknown, and registering again gets another"},
	{UnknownCheck, true, "an unknown check is an unknown registration"},
	{LeaderLoss, true, "an election is an outage that ends by itself; a minority must not answer as if it knew"},
	{AuthExpiry, false, "a refusal is an error, not an empty set; a token that can be renewed is"},
	{Compaction, false, "a revision that is gone is a reason to list again"},
	{IndexReset, true, "an index that goes backwards is a reason to begin anew, and none to wait for it to come back"},
	{Empty, true, "what the registry says is passed on: to doubt it is for the core"},
	{Flap, true, "however often it changes, in the end what is seen is what is there"},
}
