// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd/internal/etcdtest"
)

// expect compares what there is on the server.
func (w *world) expect(what string, keys, leases int) {
	w.Helper()
	if c := w.server.Counts(); c.Keys != keys || c.Leases != leases {
		w.Errorf("%s: %d keys and %d leases, want %d and %d", what, c.Keys, c.Leases, keys, leases)
	}
}

func (w *world) leaseOf(in discovery.Instance) int64 {
	w.Helper()
	lease, found := w.server.Lease(keyOf(in))
	if !found || lease == 0 {
		w.Fatalf("%s has no lease, or is not there", keyOf(in))
	}
	return lease
}

// bubble plays f with a fake server, in virtual time.
func bubble(t *testing.T, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

// TestOneLease: whatever is called how often, an instance has one entry and one lease.
func TestOneLease(t *testing.T) {
	bubble(t, func(w *world) {
		in := instance(1)
		g := registration(w.T, w.backend, in)
		if got := register(w.T, g, 1500*time.Millisecond); got != 2*time.Second {
			w.Errorf("granted %v, want 2s: etcd counts whole seconds", got)
		}
		first := w.leaseOf(in)
		register(w.T, g, 1500*time.Millisecond)
		if w.leaseOf(in) != first {
			w.Error("the same registration again has another lease")
		}
		w.expect("registered twice", 1, 1)
		register(w.T, g, 30*time.Second)
		if w.leaseOf(in) == first {
			w.Error("another time to live has the old lease")
		}
		w.expect("with another time to live", 1, 1)
		// The next process, after a crash of this one.
		next := registration(w.T, w.backend, in)
		register(w.T, next, 10*time.Second)
		w.expect("after a crash", 1, 2)
		time.Sleep(10*time.Second - time.Nanosecond)
		w.expect("before the end of its time to live", 1, 2)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		w.expect("after the end of its time to live", 0, 1)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		w.expect("after the end of the other's", 0, 0)
	})
}

// TestHalfRegistered: a call that fails half-way leaves nothing that does not end, and the
// next one puts it right.
func TestHalfRegistered(t *testing.T) {
	broken := status.Error(codes.Unavailable, "broken")
	for _, tc := range []struct {
		method       string
		keys, leases int // that are left
	}{
		{"LeaseGrant", 0, 0},
		{"Put", 0, 1},
	} {
		t.Run(tc.method, func(t *testing.T) {
			bubble(t, func(w *world) {
				g := registration(w.T, w.backend, instance(1))
				fail := true
				w.server.Fail(func(method string) error {
					if fail && method == tc.method {
						return broken
					}
					return nil
				})
				for range 5 {
					if _, err := g.Register(call(w.T), 10*time.Second, discovery.HealthPassing); err == nil {
						w.Fatalf("Register succeeded without %s", tc.method)
					}
				}
				w.expect("after five that failed", tc.keys, tc.leases)
				fail = false
				register(w.T, g, 10*time.Second)
				w.expect("after one that did not", 1, 1)
				fail = true
				_, _ = g.Register(call(w.T), 20*time.Second, discovery.HealthPassing)
				fail = false
				if err := g.Deregister(call(w.T)); err != nil {
					w.Error(err)
				}
				w.expect("after Deregister", 0, 0)
			})
		})
	}
}

// TestLateWrite: an answer that was lost may have been of a write that was not.
func TestLateWrite(t *testing.T) {
	bubble(t, func(w *world) {
		in := instance(1)
		g := registration(w.T, w.backend, in)
		w.server.Lose("Put", true)
		if _, err := g.Register(call(w.T), 10*time.Second, discovery.HealthPassing); err == nil {
			w.Fatal("an answer that was lost is a success")
		}
		w.server.Lose("Put", false)
		lease := w.leaseOf(in)
		register(w.T, g, 10*time.Second)
		if w.leaseOf(in) != lease {
			w.Error("the next attempt has another lease, and the first write would end the entry with its own")
		}
		w.expect("after the next attempt", 1, 1)
		// With another time to live, it has to have another lease.
		w.server.Lose("Put", true)
		_, _ = g.Register(call(w.T), 20*time.Second, discovery.HealthPassing)
		w.server.Lose("Put", false)
		if err := g.Deregister(call(w.T)); err != nil {
			w.Error(err)
		}
		w.expect("after Deregister", 0, 0)
	})
}

// TestLostLease: an entry whose lease is over, or that has none, is unknown, and is made
// anew with a lease.
func TestLostLease(t *testing.T) {
	for name, lose := range map[string]func(*world, discovery.Instance){
		"revoked":       func(w *world, _ discovery.Instance) { w.server.RevokeAll() },
		"deleted":       func(w *world, in discovery.Instance) { w.server.Delete(keyOf(in)) },
		"unknown":       func(w *world, _ discovery.Instance) { w.server.UnknownLeases(true) },
		"without lease": func(w *world, in discovery.Instance) { w.server.Put(keyOf(in), encoded(in), 0) },
		"malformed":     func(w *world, in discovery.Instance) { w.server.Put(keyOf(in), []byte("x"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				in := instance(1)
				g := registration(w.T, w.backend, in)
				register(w.T, g, time.Minute)
				lose(w, in)
				if _, err := g.Heartbeat(call(w.T), discovery.HealthPassing); !errors.Is(err, discovery.ErrUnknownRegistration) {
					w.Errorf("got %v, want discovery.ErrUnknownRegistration", err)
				}
				w.server.UnknownLeases(false)
				register(w.T, g, time.Minute)
				w.leaseOf(in)
				if _, err := g.Heartbeat(call(w.T), discovery.HealthPassing); err != nil {
					w.Error(err)
				}
				if err := g.Deregister(call(w.T)); err != nil {
					w.Error(err)
				}
				if c := w.server.Counts(); c.Keys != 0 {
					w.Errorf("after Deregister: %+v", c)
				}
			})
		})
	}
}

func encoded(in discovery.Instance) []byte {
	text, err := discovery.EncodeInstance(in)
	if err != nil {
		panic(err)
	}
	return text
}

// TestSuccessor: of two processes with one address, the older one neither disturbs the
// entry of the younger one nor takes it along.
func TestSuccessor(t *testing.T) {
	bubble(t, func(w *world) {
		in := instance(1)
		older, younger := registration(w.T, w.backend, in), registration(w.T, w.backend, in)
		register(w.T, older, time.Minute)
		register(w.T, younger, time.Minute)
		lease := w.leaseOf(in)
		src := watch(w.T, w.backend, order)
		next(w.T, src)
		// It is being drained, and says so.
		if _, err := older.Heartbeat(call(w.T), discovery.HealthFailing); err != nil {
			w.Error(err)
		}
		if err := older.Deregister(call(w.T)); err != nil {
			w.Error(err)
		}
		if w.leaseOf(in) != lease {
			w.Error("the entry has another lease than its owner's")
		}
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if u, err := src.Next(ctx); err == nil {
			w.Errorf("callers were told %+v", u)
		}
		w.expect("after the older one has gone", 1, 1)
		if err := younger.Deregister(call(w.T)); err != nil {
			w.Error(err)
		}
		w.expect("after both have gone", 0, 0)
	})
}

// TestOtherAddress: an entry for another address is another process's with the same id.
func TestOtherAddress(t *testing.T) {
	bubble(t, func(w *world) {
		in, moved := instance(1), instance(2)
		moved.ID = in.ID
		mine, theirs := registration(w.T, w.backend, in), registration(w.T, w.backend, moved)
		register(w.T, mine, time.Minute)
		register(w.T, theirs, time.Minute)
		if _, err := mine.Heartbeat(call(w.T), discovery.HealthPassing); !errors.Is(err, discovery.ErrDuplicateID) {
			w.Errorf("Heartbeat: got %v, want discovery.ErrDuplicateID", err)
		}
		if err := mine.Deregister(call(w.T)); err != nil {
			w.Error(err)
		}
		if err := registration(w.T, w.backend, in).Deregister(call(w.T)); err != nil {
			w.Error(err)
		}
		if got, err := theirs.Lookup(call(w.T)); err != nil || got.Address != moved.Address {
			w.Errorf("the other's entry: %+v, %v", got, err)
		}
		w.expect("the other's", 1, 1)
	})
}

// TestHealthRace: a heartbeat does not write over what was written in between.
func TestHealthRace(t *testing.T) {
	bubble(t, func(w *world) {
		in := instance(1)
		g := registration(w.T, w.backend, in)
		register(w.T, g, time.Minute)
		other := in
		other.Version = "2"
		w.server.Fail(func(method string) error {
			if method == "Txn" {
				w.server.Fail(nil)
				w.server.Put(keyOf(in), encoded(other), w.leaseOf(in))
			}
			return nil
		})
		if _, err := g.Heartbeat(call(w.T), discovery.HealthFailing); !errors.Is(err, discovery.ErrChanged) {
			w.Errorf("got %v, want discovery.ErrChanged", err)
		}
		if _, err := g.Heartbeat(call(w.T), discovery.HealthFailing); err != nil {
			w.Error(err)
		}
		if got, err := g.Lookup(call(w.T)); err != nil || got.Version != "2" || got.Health != discovery.HealthFailing {
			w.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestCallsEnd: no call outlasts its context, and none hides that there is no server.
func TestCallsEnd(t *testing.T) {
	for name, fault := range map[string]struct {
		play func(*etcdtest.Server)
		took time.Duration // at most
	}{
		"hang": {func(s *etcdtest.Server) { s.Hang(true) }, 3 * time.Second},
		"down": {func(s *etcdtest.Server) { s.Down(true) }, 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				g := registration(w.T, w.backend, instance(1))
				register(w.T, g, time.Minute)
				src := watch(w.T, w.backend, order)
				fault.play(w.server)
				synctest.Wait()
				for what, try := range map[string]func(context.Context) error{
					"Register":   func(ctx context.Context) error { return second(g.Register(ctx, time.Minute, discovery.HealthPassing)) },
					"Heartbeat":  func(ctx context.Context) error { return second(g.Heartbeat(ctx, discovery.HealthPassing)) },
					"Lookup":     func(ctx context.Context) error { return second(g.Lookup(ctx)) },
					"Deregister": g.Deregister,
					"Next":       func(ctx context.Context) error { return second(src.Next(ctx)) },
					"Inspect":    func(ctx context.Context) error { return second(w.backend.Inspect(ctx)) },
					"Entries":    func(ctx context.Context) error { return second(w.backend.Entries(ctx, order.Namespace)) },
				} {
					ctx, cancel := context.WithTimeout(w.Context(), 3*time.Second)
					start := time.Now()
					err := try(ctx)
					if took := time.Since(start); err == nil || took > fault.took {
						w.Errorf("%s: %v after %v, want an error within %v", what, err, took, fault.took)
					}
					if name == "hang" && !errors.Is(err, context.DeadlineExceeded) {
						w.Errorf("%s: got %v, want context.DeadlineExceeded", what, err)
					}
					if name == "down" && errors.Is(err, context.DeadlineExceeded) {
						w.Errorf("%s: got %v, which says nothing of what is wrong", what, err)
					}
					cancel()
				}
				w.server.Hang(false)
			})
		})
	}
}

// TestRefusals: what etcd refuses can be told from the error.
func TestRefusals(t *testing.T) {
	for _, refusal := range []struct{ server, want error }{
		{rpctypes.ErrGRPCNoSpace, rpctypes.ErrNoSpace},
		{rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrPermissionDenied},
		{rpctypes.ErrGRPCTimeout, rpctypes.ErrTimeout},
	} {
		bubble(t, func(w *world) {
			w.server.Fail(func(string) error { return refusal.server })
			_, err := registration(w.T, w.backend, instance(1)).Register(call(w.T), time.Minute, discovery.HealthPassing)
			if !errors.Is(err, refusal.want) {
				w.Errorf("got %v, want %v", err, refusal.want)
			}
		})
	}
	bubble(t, func(w *world) {
		for _, ttl := range []time.Duration{0, -time.Second} {
			if _, err := registration(w.T, w.backend, instance(1)).Register(call(w.T), ttl, discovery.HealthPassing); err == nil {
				w.Errorf("a TTL of %v was taken", ttl)
			}
		}
	})
}

// TestNoLeader: a member that has lost the others is asked in vain. It must not be believed
// that there is nothing.
func TestNoLeader(t *testing.T) {
	bubble(t, func(w *world) {
		g := registration(w.T, w.backend, instance(1))
		register(w.T, g, time.Minute)
		w.server.NoLeader(true)
		for what, try := range map[string]func() error{
			"Register":   func() error { return second(g.Register(call(w.T), time.Minute, discovery.HealthPassing)) },
			"Heartbeat":  func() error { return second(g.Heartbeat(call(w.T), discovery.HealthPassing)) },
			"Lookup":     func() error { return second(g.Lookup(call(w.T))) },
			"Deregister": func() error { return g.Deregister(call(w.T)) },
			"Next":       func() error { return second(watch(w.T, w.backend, order).Next(call(w.T))) },
			"Entries":    func() error { return second(w.backend.Entries(call(w.T), order.Namespace)) },
		} {
			if err := try(); !errors.Is(err, rpctypes.ErrNoLeader) {
				w.Errorf("%s: got %v, want rpctypes.ErrNoLeader", what, err)
			}
		}
		w.server.NoLeader(false)
		if _, err := g.Heartbeat(call(w.T), discovery.HealthPassing); err != nil {
			w.Error(err)
		}
	})
}

// TestOldLease: an entry that has the lease for a time to live that is not meant any more
// would end with it, since another one is renewed.
func TestOldLease(t *testing.T) {
	bubble(t, func(w *world) {
		g := registration(w.T, w.backend, instance(1))
		register(w.T, g, 10*time.Second)
		w.server.Fail(func(method string) error {
			if method == "Put" {
				return status.Error(codes.Unavailable, "broken")
			}
			return nil
		})
		if _, err := g.Register(call(w.T), 20*time.Second, discovery.HealthPassing); err == nil {
			w.Fatal("Register succeeded without Put")
		}
		w.server.Fail(nil)
		if _, err := g.Heartbeat(call(w.T), discovery.HealthPassing); !errors.Is(err, discovery.ErrUnknownRegistration) {
			w.Errorf("got %v, want discovery.ErrUnknownRegistration", err)
		}
		register(w.T, g, 20*time.Second)
		w.expect("afterwards", 1, 1)
		if err := g.Deregister(call(w.T)); err != nil {
			w.Error(err)
		}
	})
}
