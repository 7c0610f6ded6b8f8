// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/fairlead-go/fairlead/discovery"
)

// registration is one instance, under one key, with one lease. The lease is kept from
// one attempt to the next: whatever has become of a call that failed, the next one
// writes the same with the same lease.
type registration struct {
	b   *Backend
	in  discovery.Instance
	key string

	// What follows belongs to the caller, who makes one call at a time.
	lease int64   // 0 if none was granted, or it is over
	asked int64   // for how many seconds
	old   []int64 // leases for another time, which may still have the key
}

// Register implements [discovery.Registration].
func (g *registration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	if ttl <= 0 {
		return 0, fmt.Errorf("etcd: TTL %v: must be positive", ttl)
	}
	value, err := g.encode(g.in, h)
	if err != nil {
		return 0, err
	}
	granted, err := g.hold(ctx, int64((ttl+time.Second-1)/time.Second))
	if err != nil {
		return 0, err
	}
	// A value never comes without its lease, and so never outlives it.
	if err := g.known(g.b.put(ctx, g.key, value, g.lease)); err != nil {
		return 0, err
	}
	// The key has the new lease: to end the old ones takes nothing away. If that fails,
	// they end by themselves.
	g.old = slices.DeleteFunc(g.old, func(l int64) bool { return g.b.revoke(ctx, l) == nil })
	return granted, nil
}

func (g *registration) encode(in discovery.Instance, h discovery.Health) ([]byte, error) {
	in.Health = h
	return discovery.EncodeInstance(in)
}

// hold renews the lease, or gets one.
func (g *registration) hold(ctx context.Context, seconds int64) (time.Duration, error) {
	if g.lease != 0 && g.asked != seconds {
		g.old, g.lease = append(g.old, g.lease), 0
	}
	if g.lease != 0 {
		granted, err := g.b.renew(ctx, g.lease)
		if !errors.Is(g.known(err), rpctypes.ErrLeaseNotFound) {
			return time.Duration(granted) * time.Second, err
		}
	}
	lease, granted, err := g.b.grant(ctx, seconds)
	if err != nil {
		return 0, err
	}
	g.lease, g.asked = lease, seconds
	return time.Duration(granted) * time.Second, nil
}

// known forgets a lease that etcd does not know.
func (g *registration) known(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		g.lease = 0
	}
	return err
}

// Heartbeat implements [discovery.Registration]. An entry that another process put in
// place of this one's, for the same address, is that one's to keep up: this one keeps
// its lease, and nothing else. One for another address is [discovery.ErrDuplicateID].
func (g *registration) Heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	kv, err := g.b.get(ctx, g.key)
	if err != nil {
		return 0, err
	}
	if kv == nil {
		return 0, g.unknown("no entry")
	}
	in, err := g.b.keys.read(kv)
	switch {
	case err != nil:
		return 0, g.unknown(err.Error())
	case in.Address != g.in.Address:
		return 0, fmt.Errorf("etcd: %w: %s is registered for %s, and this is %s", discovery.ErrDuplicateID, g.key, in.Address, g.in.Address)
	case kv.Lease == 0:
		return 0, g.unknown("the entry has no lease, and would never end")
	case slices.Contains(g.old, kv.Lease):
		return 0, g.unknown("the entry has a lease that is not renewed any more")
	}
	lease := g.lease
	if lease == 0 {
		lease = kv.Lease
	}
	seconds, err := g.b.renew(ctx, lease)
	if errors.Is(g.known(err), rpctypes.ErrLeaseNotFound) {
		return 0, g.unknown("its lease is over")
	}
	if err != nil {
		return 0, err
	}
	if in.Health != h && kv.Lease == lease {
		value, err := g.encode(in, h)
		if err != nil {
			return 0, err
		}
		same, err := g.b.unchanged(ctx, g.key, kv.ModRevision, putOp(g.key, value, lease))
		if err := g.known(err); err != nil {
			return 0, err
		}
		if !same {
			return 0, fmt.Errorf("etcd: %s: %w", g.key, discovery.ErrChanged)
		}
	}
	return time.Duration(seconds) * time.Second, nil
}

func (g *registration) unknown(why string) error {
	return fmt.Errorf("etcd: %s: %w: %s", g.key, discovery.ErrUnknownRegistration, why)
}

// Lookup implements [discovery.Registration].
func (g *registration) Lookup(ctx context.Context) (discovery.Instance, error) {
	kv, err := g.b.get(ctx, g.key)
	if err != nil {
		return discovery.Instance{}, err
	}
	if kv == nil {
		return discovery.Instance{}, g.unknown("no entry")
	}
	in, err := g.b.keys.read(kv)
	if err != nil {
		return discovery.Instance{}, g.unknown(err.Error())
	}
	return in, nil
}

// Deregister implements [discovery.Registration]. An entry that another process put in
// place of this one's stays, even if it is for the same address: a process that is
// replaced leaves after its successor has come.
func (g *registration) Deregister(ctx context.Context) error {
	leases := g.old
	if g.lease != 0 {
		leases = append(leases, g.lease)
	}
	kv, err := g.b.get(ctx, g.key)
	if err != nil {
		return err
	}
	if kv != nil && (kv.Lease == 0 || len(leases) == 0) {
		if in, err := g.b.keys.read(kv); err == nil && in.Address == g.in.Address {
			same, err := g.b.unchanged(ctx, g.key, kv.ModRevision, deleteOp(g.key))
			if err != nil {
				return err
			}
			if !same {
				return fmt.Errorf("etcd: %s: %w", g.key, discovery.ErrChanged)
			}
		}
	}
	// Its own entry goes with its lease, and one that an earlier call is still writing
	// cannot come any more.
	for _, lease := range leases {
		if err := g.b.revoke(ctx, lease); err != nil {
			return err
		}
	}
	g.lease, g.old = 0, nil
	return nil
}
