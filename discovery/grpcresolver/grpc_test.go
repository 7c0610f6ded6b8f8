// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/leastrequest" // registers itself
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

// reach makes calls until each of the servers has answered one since.
func reach(t *testing.T, conn *grpc.ClientConn, servers ...*server) {
	t.Helper()
	missing := map[string]bool{}
	for _, s := range servers {
		missing[s.address] = true
	}
	for n := 0; len(missing) > 0; n++ {
		by, err := call(t.Context(), conn, grpc.WaitForReady(true))
		if err != nil || n > 10_000 {
			t.Fatalf("call %d: error %v, and no answer from %v yet", n, err, missing)
		}
		delete(missing, by)
		time.Sleep(time.Millisecond) // in a bubble
	}
}

// TestConnectionsFollow: new instances get calls, removed ones get none any more, and no
// call fails.
func TestConnectionsFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var net network
		one, two, three := net.serve(t, 1), net.serve(t, 2), net.serve(t, 3)
		w.put(one.instance(1), two.instance(2))
		conn := dial(t, w.builder(), "memory:///order", net.dialOption())
		reach(t, conn, one, two)
		w.put(three.instance(3))
		reach(t, conn, one, two, three)
		w.remove(one.instance(1))
		synctest.Wait()
		before := one.calls.Load()
		reach(t, conn, two, three)
		if got := one.calls.Load(); got != before {
			t.Errorf("%d calls to an instance that is gone", got-before)
		}
	})
}

// TestCallsGoOnWithoutRegistry: for an hour, with one server that dies.
func TestCallsGoOnWithoutRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var net network
		one, two := net.serve(t, 1), net.serve(t, 2)
		w.put(one.instance(1), two.instance(2))
		conn := dial(t, w.builder(), "memory:///order", net.dialOption())
		reach(t, conn, one, two)
		w.registry.Faults().Down(true)
		for range 3600 {
			if _, err := call(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		one.grpc.Stop()
		synctest.Wait()
		for range 100 {
			if by, err := call(t.Context(), conn); err != nil || by != two.address {
				t.Fatalf("answer from %q, error %v", by, err)
			}
			time.Sleep(time.Second)
		}
		// Another connection of the same process begins with what is known.
		conn.Close()
		reach(t, dial(t, w.builder(), "memory:///order", net.dialOption()), two)
		if n := one.conns.Load() + two.conns.Load(); n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
	})
}

// TestFailuresAreSaidAtOnce: a call does not wait for its deadline to learn that there is
// nothing to call, and why.
func TestFailuresAreSaidAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		down         bool
		opts         []grpcresolver.Option
		want         string
		within       time.Duration
	}{
		{"no instance", "memory:///payment", false, nil, "no instances of prod/payment: the registry was asked", 0},
		{"no tag", "memory:///order?tag=canary", false, nil, "no instances of prod/order with tag=canary: there are 1 without", 0},
		{"registry away", "memory:///order", true, nil, "the registry is away", 0},
		{"bad target", "memory:///order?zon=a", false, nil, `parameter "zon": must be one of ns, tag and zone`, 0},
		{"foreign namespace", "memory:///order?ns=dev", false, nil, `foreign namespace: "dev", from a process of "prod"`, 0},
		{"bad service config", "memory:///order", false, []grpcresolver.Option{grpcresolver.WithServiceConfig(func(string) string { return `{"loadBalancingConfig": 1}` })}, "service config of order: ", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var net network
				w.put(net.serve(t, 1).instance(1))
				w.registry.Faults().Down(tc.down)
				conn := dial(t, w.builder(tc.opts...), tc.target, net.dialOption())
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				_, err := call(ctx, conn)
				if took := time.Since(start); took > tc.within || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("after %v: %v, want UNAVAILABLE with %q", took, err, tc.want)
				}
			})
		})
	}
}

// TestServiceConfigOfService: the balancer that it names is the one that is used.
func TestServiceConfigOfService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var net network
		one, two := net.serve(t, 1), net.serve(t, 2)
		w.put(one.instance(1), two.instance(2))
		first := grpcresolver.WithServiceConfig(func(string) string { return `{"loadBalancingConfig": [{"pick_first": {}}]}` })
		conn := dial(t, w.builder(first), "memory:///order", net.dialOption())
		for range 20 {
			if by, err := call(t.Context(), conn); err != nil || by != one.address {
				t.Fatalf("answer from %q, error %v", by, err)
			}
		}
		reach(t, dial(t, w.builder(first), "memory:///order", net.dialOption(), grpc.WithDisableServiceConfig()), one, two)
	})
}

// TestUnchangedInstancesStayConnected counts connections at servers: 1000 updates, of
// everything that can change about an instance but its address, and others that come and
// go, make none anew.
func TestUnchangedInstancesStayConnected(t *testing.T) {
	for _, policy := range []string{"round_robin", "pick_first", "least_request_experimental"} {
		t.Run(policy, func(t *testing.T) {
			w := newWorld(t)
			one, two, guest := listen(t), listen(t), listen(t)
			w.put(one.instance(1), two.instance(2))
			updates := make(chan grpcresolver.Update, 1)
			b := w.builder(
				grpcresolver.WithServiceConfig(func(string) string { return `{"loadBalancingConfig": [{"` + policy + `": {}}]}` }),
				grpcresolver.WithObserver(grpcresolver.Observer{Updated: func(u grpcresolver.Update) { updates <- u }}))
			conn := dial(t, b, "memory:///order")
			conn.Connect()
			<-updates
			if _, err := call(t.Context(), conn, grpc.WaitForReady(true)); err != nil {
				t.Fatal(err)
			}
			for n := range 1000 {
				switch in := one.instance(1); n % 4 {
				case 0:
					in.Weight, in.Metadata = 2+n, map[string]string{"n": "a"}
					w.put(in)
				case 1:
					in.Zone, in.Tags, in.Version = "elsewhere", []string{"a"}, "2"
					w.put(in)
				case 2:
					w.put(guest.instance(3))
				case 3:
					w.remove(guest.instance(3))
				}
				<-updates
				if n%10 == 0 {
					if _, err := call(t.Context(), conn); err != nil {
						t.Fatal(err)
					}
				}
			}
			if a, b := one.conns.Load(), two.conns.Load(); a != 1 || b > 1 {
				t.Errorf("%d and %d connections to instances whose address did not change, want 1", a, b)
			}
		})
	}
}

// TestNothingLeaks dials and closes a thousand times, with and without a call.
func TestNothingLeaks(t *testing.T) {
	w := newWorld(t)
	s := listen(t)
	w.put(s.instance(1))
	b := w.builder()
	sub := must[*discovery.Subscription](t)(w.watcher.Subscribe(discovery.Query{Namespace: prod, Service: "order"}, nil))
	if err := sub.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for n := range 1000 {
		conn := dial(t, b, "memory:///order")
		if n%10 == 0 {
			if _, err := call(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		} else {
			conn.Connect()
		}
		conn.Close()
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before+5 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if got := runtime.NumGoroutine(); got > before+5 {
		t.Errorf("%d goroutines more than before", got-before)
	}
	status := w.watcher.Status()
	if len(status) != 1 || status[0].Subscribers != 1 {
		t.Errorf("watches %+v, want one with the one subscriber of this test", status)
	}
	sub.Close()
	if n := len(w.watcher.Status()); n > 0 {
		t.Errorf("%d services are watched", n)
	}
}

// TestWatchIsShared: many connections, one watch.
func TestWatchIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var net network
		s := net.serve(t, 1)
		w.put(s.instance(1))
		b := w.builder()
		for range 20 {
			reach(t, dial(t, b, "memory:///order", net.dialOption()), s)
		}
		if st := w.watcher.Status(); len(st) != 1 || st[0].Subscribers != 20 {
			t.Errorf("watches %+v", st)
		}
	})
}

// TestIdleConnection: one that is idle watches nothing, and begins where it was, without a
// registry if need be.
func TestIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var net network
		s := net.serve(t, 1)
		w.put(s.instance(1))
		conn := dial(t, w.builder(), "memory:///order", net.dialOption(), grpc.WithIdleTimeout(time.Minute))
		reach(t, conn, s)
		time.Sleep(3 * time.Minute)
		if n := len(w.watcher.Status()); n > 0 {
			t.Errorf("%d services are watched for an idle connection", n)
		}
		w.registry.Faults().Down(true)
		if _, err := call(t.Context(), conn); err != nil {
			t.Error(err)
		}
	})
}
