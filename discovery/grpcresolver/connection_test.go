// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/experimental/balancer/weight"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/ringhash"
	"google.golang.org/grpc/serviceconfig"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

func TestUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var c channel
		w.put(order(3), order(1), order(2))
		build(t, w.builder(), "memory:///order", &c)
		synctest.Wait()
		wantTold(t, &c, "1 2 3")

		w.put(order(0), order(2)) // one that is new, and one that is as it was
		synctest.Wait()
		wantTold(t, &c, "0 1 2 3")
		w.remove(order(1))
		synctest.Wait()
		wantTold(t, &c, "0 2 3")
		time.Sleep(24 * time.Hour) // with all the comparisons and heartbeats
		wantTold(t, &c)
	})
}

// TestAttributes: what balancers are told, and that it is the endpoint's and not the
// address's.
func TestAttributes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var c channel
		first := order(1)
		first.Weight, first.Tags, first.Metadata = 7, []string{"a"}, map[string]string{"k": "v"}
		w.put(first, order(2))
		build(t, w.builder(), "memory:///order", &c)
		synctest.Wait()
		before := c.states[0].Endpoints
		e := before[0]
		if diff := cmp.Diff([]resolver.Address{{Addr: "10.0.0.1:8443"}}, e.Addresses); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
		in := grpcresolver.InstanceFrom(e)
		if in == nil || in.Zone != "eu-west-1a" || in.Metadata["k"] != "v" || !in.HasTag("a") {
			t.Errorf("instance %+v", in)
		}
		if got := weight.FromEndpoint(e).Weight; got != 7 {
			t.Errorf("weight %d, want 7", got)
		}
		if got := ringhash.HashKey(e); got != "order-00001" {
			t.Errorf("hash key %q, want the id", got)
		}
		if got := grpcresolver.InstanceFrom(resolver.Endpoint{}); got != nil {
			t.Errorf("instance %v of an endpoint without one", got)
		}

		first.Weight = 8
		w.put(first)
		synctest.Wait()
		after := c.states[1].Endpoints
		if before[0].Attributes.Equal(after[0].Attributes) {
			t.Error("another weight makes no difference")
		}
		if before[1].Attributes != after[1].Attributes || &before[1].Addresses[0] != &after[1].Addresses[0] {
			t.Error("the endpoint of an instance that did not change was made anew")
		}
		if weight.FromEndpoint(before[0]).Weight != 7 {
			t.Error("what gRPC was given before was changed")
		}
		same := first
		if a, b := grpcresolver.SetInstance(resolver.Endpoint{}, &first), grpcresolver.SetInstance(resolver.Endpoint{}, &same); !a.Attributes.Equal(b.Attributes) {
			t.Error("equal instances are different attributes")
		}
	})
}

// TestFilters: instances come and go by their tags, too, and a filter that leaves none
// is an error, not an empty update.
func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tagged := func(n int, zone string, tags ...string) discovery.Instance {
			in := order(n)
			in.Zone, in.Tags = zone, tags
			return in
		}
		var all, both, there channel
		w.put(tagged(1, "a", "canary", "v2"), tagged(2, "a", "canary"), tagged(3, "b", "canary", "v2"))
		b := w.builder()
		build(t, b, "memory:///order", &all)
		build(t, b, "memory:///order?tag=v2&tag=canary", &both)
		build(t, b, "memory:///order?zone=a&tag=canary", &there)
		synctest.Wait()
		wantTold(t, &all, "1 2 3")
		wantTold(t, &both, "1 3")
		wantTold(t, &there, "1 2")

		w.put(tagged(2, "a", "canary", "v2"), tagged(3, "b", "v2"))
		synctest.Wait()
		if got := both.told(); !strings.HasSuffix(got, "1 2") { // in one step or in two
			t.Errorf("told %q, want 1 2 at the end", got)
		}
		if got := there.told(); !strings.HasSuffix(got, "1 2") {
			t.Errorf("told %q, want 1 2", got)
		}
		all.told()

		w.put(tagged(1, "b", "canary", "v2"))
		w.put(tagged(2, "b", "canary", "v2"))
		synctest.Wait()
		if got := there.told(); !strings.HasSuffix(got, "error: discovery: no instances of prod/order with tag=canary and zone=a: there are 3 without") || strings.Contains(got, ";;") {
			t.Errorf("told %q", got)
		}
		w.put(tagged(1, "a", "canary", "v2"))
		synctest.Wait()
		wantTold(t, &there, "1")
		// Nothing that concerns it: not told.
		both.told()
		w.put(tagged(4, "c"))
		synctest.Wait()
		wantTold(t, &there)
		wantTold(t, &both)
	})
}

// TestFilterOfResolver: besides what the target asks for, and named when it leaves
// nothing.
func TestFilterOfResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		spoken := func(n int, protocol string) discovery.Instance {
			in := order(n)
			in.Metadata = map[string]string{"protocol": protocol}
			return in
		}
		var c channel
		w.put(spoken(1, "grpc"), spoken(2, "http"))
		build(t, w.builder(grpcresolver.WithFilter(func(in *discovery.Instance) bool {
			return in.Metadata["protocol"] == "grpc"
		})), "memory:///order", &c)
		synctest.Wait()
		wantTold(t, &c, "1")
		w.put(spoken(2, "grpc"))
		synctest.Wait()
		wantTold(t, &c, "1 2")
		w.put(spoken(1, "http"))
		synctest.Wait()
		wantTold(t, &c, "2")
		w.put(spoken(2, "http"))
		synctest.Wait()
		wantTold(t, &c, "error: discovery: no instances of prod/order with what the resolver's filter chooses: there are 2 without")
	})
}

// TestOutage: gRPC keeps what it has, whatever happens to the registry, and is not
// bothered. A connection that begins meanwhile hears what is wrong.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var c, other channel
		w.put(order(1), order(2))
		b := w.builder()
		build(t, b, "memory:///order", &c)
		synctest.Wait()
		wantTold(t, &c, "1 2")

		w.registry.Faults().Down(true)
		time.Sleep(5 * time.Minute)
		wantTold(t, &c)
		build(t, b, "memory:///payment", &other)
		synctest.Wait()
		if got := other.told(); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, "memory: the registry is away") {
			t.Errorf("told %q, want what is wrong", got)
		}
		w.registry.Faults().Down(false)
		w.registry.Faults().Hide(true) // it lists nothing
		time.Sleep(discovery.DefaultEmptyHold - time.Minute)
		wantTold(t, &c)
		time.Sleep(2 * time.Minute) // now it is believed: an error, and no empty update
		wantTold(t, &c, "error: discovery: no instances of prod/order: the registry was asked and has none that passes its checks")
		w.registry.Faults().Hide(false)
		synctest.Wait()
		wantTold(t, &c, "1 2") // gRPC has them, but was told of an error since
	})
}

// TestResolveNow asks a registry again that is back, without waiting for the back-off.
func TestResolveNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, discovery.WithBackoff(time.Second, time.Hour), discovery.WithJitter(0))
		w.put(order(1))
		w.registry.Faults().Down(true)
		var c channel
		r := build(t, w.builder(), "memory:///order", &c)
		time.Sleep(40 * time.Minute)
		if got := c.told(); strings.Count(got, "error") != 1 {
			t.Errorf("told %q, want one error", got)
		}
		w.registry.Faults().Down(false)
		time.Sleep(time.Minute)
		wantTold(t, &c)
		r.ResolveNow(resolver.ResolveNowOptions{})
		synctest.Wait()
		wantTold(t, &c, "1")
	})
}

// TestRefusedUpdate: what gRPC or its balancer did not take is told to the observer, and
// tried again with the next news, even if they are none for this target.
func TestRefusedUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var failures []grpcresolver.Failure
		var updates []grpcresolver.Update
		b := w.builder(grpcresolver.WithObserver(grpcresolver.Observer{
			Failed:  func(f grpcresolver.Failure) { failures = append(failures, f) },
			Updated: func(u grpcresolver.Update) { updates = append(updates, u) },
		}))
		w.put(order(1))
		c := channel{refuse: balancer.ErrBadResolverState}
		build(t, b, "memory:///order?zone=eu-west-1a", &c)
		synctest.Wait()
		wantTold(t, &c, "1")
		if len(failures) != 1 || !failures[0].Refused || failures[0].Kept != 0 || !errors.Is(failures[0].Err, balancer.ErrBadResolverState) || len(updates) != 0 {
			t.Errorf("failures %+v, updates %+v", failures, updates)
		}
		c.refuse = nil
		elsewhere := order(2)
		elsewhere.Zone = "b"
		w.put(elsewhere)
		synctest.Wait()
		wantTold(t, &c, "1")
		if len(failures) != 1 || len(updates) != 1 {
			t.Errorf("failures %+v, updates %+v", failures, updates)
		}
	})
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, discovery.WithEmptyTrusted())
		var got []string
		observer := grpcresolver.Observer{
			Updated: func(u grpcresolver.Update) {
				got = append(got, fmt.Sprintf("%s v%d: %d endpoints, %d added, %d removed, %d changed in %v", u.Query, u.Version, u.Endpoints, u.Added, u.Removed, u.Changed, u.Took))
			},
		}
		failed := grpcresolver.Observer{Failed: func(f grpcresolver.Failure) {
			got = append(got, fmt.Sprintf("%s: %v, %d kept", f.Query, errors.Is(f.Err, discovery.ErrNoInstances), f.Kept))
		}}
		b := w.builder(grpcresolver.WithObserver(observer), grpcresolver.WithObserver(grpcresolver.Observer{}), grpcresolver.WithObserver(failed))
		w.put(order(1), order(2))
		var c channel
		build(t, b, "memory:///order", &c)
		synctest.Wait()
		heavy := order(1)
		heavy.Weight = 2
		w.put(heavy)
		synctest.Wait()
		w.remove(order(2))
		synctest.Wait()
		w.remove(order(1))
		synctest.Wait()
		if diff := cmp.Diff([]string{
			"prod/order v1: 2 endpoints, 2 added, 0 removed, 0 changed in 0s",
			"prod/order v2: 2 endpoints, 0 added, 0 removed, 1 changed in 0s",
			"prod/order v3: 1 endpoints, 0 added, 1 removed, 0 changed in 0s",
			"prod/order: true, 1 kept",
		}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestSlowBalancer: one connection whose balancer takes its time holds up neither the
// watch nor the others, and gets the latest when it is done.
func TestSlowBalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(order(1))
		slow, fast := channel{block: make(chan struct{})}, channel{}
		b := w.builder()
		build(t, b, "memory:///order", &slow)
		build(t, b, "memory:///order", &fast)
		synctest.Wait()
		for n := range 8 {
			w.put(order(n + 2))
			synctest.Wait()
		}
		if got := fast.told(); !strings.HasSuffix(got, "; 1 2 3 4 5 6 7 8 9") || strings.Count(got, ";") != 8 {
			t.Errorf("told %q", got)
		}
		close(slow.block)
		synctest.Wait()
		wantTold(t, &slow, "1", "1 2 3 4 5 6 7 8 9")
	})
}

// TestClose: nothing is told afterwards, nothing is watched, and it can be done twice.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(order(1))
		c := channel{block: make(chan struct{})}
		r := build(t, w.builder(), "memory:///order", &c)
		synctest.Wait()
		w.put(order(2))
		synctest.Wait()
		r.Close()
		r.Close()
		r.ResolveNow(resolver.ResolveNowOptions{})
		close(c.block)
		synctest.Wait()
		w.put(order(3))
		synctest.Wait()
		wantTold(t, &c, "1") // the one that was under way
		if n := len(w.watcher.Status()); n > 0 {
			t.Errorf("%d services are watched", n)
		}
	})
}

func TestClosedWatcher(t *testing.T) {
	w := newWorld(t)
	b := w.builder()
	w.watcher.Close()
	if _, err := b.Build(targetOf(t, "memory:///order"), &channel{}, resolver.BuildOptions{}); !errors.Is(err, discovery.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestServiceConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(order(1))
		asked := 0
		b := w.builder(grpcresolver.WithServiceConfig(func(service string) string {
			asked++
			if service == "order" {
				return "{}"
			}
			return ""
		}))
		var c, other, off channel
		build(t, b, "memory:///order", &c)
		build(t, b, "memory:///payment", &other)
		r := must[resolver.Resolver](t)(b.Build(targetOf(t, "memory:///order"), &off, resolver.BuildOptions{DisableServiceConfig: true}))
		defer r.Close()
		synctest.Wait()
		if c.states[0].ServiceConfig != &c.parsed || off.states[0].ServiceConfig != nil || asked != 2 {
			t.Errorf("asked %d times, configs %v and %v", asked, c.states[0].ServiceConfig, off.states[0].ServiceConfig)
		}
		bad := channel{parsed: serviceconfig.ParseResult{Err: errors.New("no JSON")}}
		if _, err := b.Build(targetOf(t, "memory:///order"), &bad, resolver.BuildOptions{}); err == nil || err.Error() != "grpcresolver: service config of order: no JSON" {
			t.Errorf("error %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	for _, scheme := range []string{"", "Consul", "1a", "-a", "a_b", "a b", "ä", "dns", "passthrough", "unix"} {
		if _, err := grpcresolver.New(scheme, w.watcher); err == nil || !strings.HasPrefix(err.Error(), "grpcresolver: scheme ") {
			t.Errorf("scheme %q: error %v", scheme, err)
		}
	}
	if _, err := grpcresolver.New("Consul", nil); err == nil || strings.Count(err.Error(), "grpcresolver: ") != 2 {
		t.Errorf("error %v, want two", err)
	}
	for _, scheme := range []string{"a", "consul", "etcd3", "a+b-c.d"} {
		if b := must[*grpcresolver.Builder](t)(grpcresolver.New(scheme, w.watcher)); b.Scheme() != scheme {
			t.Errorf("scheme %q, want %q", b.Scheme(), scheme)
		}
	}
}
