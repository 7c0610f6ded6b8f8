// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/multi"
	"github.com/fairlead-go/fairlead/health"
	"github.com/fairlead-go/fairlead/metrics"
)

func instances(service string, n int) []discovery.Instance {
	out := make([]discovery.Instance, n)
	for i := range out {
		out[i] = discovery.Instance{Namespace: "prod", Service: service, ID: fmt.Sprint(service, i), Address: fmt.Sprintf("10.0.0.%d:80", i+1), Weight: 1}
	}
	return out
}

// watch returns the status of a watch.
func watch(service string, origin discovery.Origin, n int) discovery.WatchStatus {
	q := discovery.Query{Namespace: "prod", Service: service}
	return discovery.WatchStatus{Subscribers: 2, Snapshot: &discovery.Snapshot{
		Query: q, Origin: origin, At: time.Now().Add(-90 * time.Second), Instances: discovery.NewSet(instances(service, n)...),
	}}
}

// exerciseDiscovery makes every metric of discovery, balancers, health and the end of a
// process appear. It belongs in a bubble, where it takes some time.
func exerciseDiscovery(t testing.TB, set *metrics.Set) {
	o := set.Discovery()
	live, lost, held := watch("stock", discovery.OriginLive, 3), watch("price", discovery.OriginLastKnownGood, 2), watch("order", discovery.OriginLive, 4)
	held.Snapshot.Hold, held.Snapshot.Held = discovery.HoldChurn, 3
	o.Delivered(discovery.Delivery{Snapshot: live.Snapshot, Added: 3})
	o.Delivered(discovery.Delivery{Snapshot: live.Snapshot, Added: 1, Removed: 2, Changed: 1})
	o.WatchFailed(discovery.WatchFailure{Query: lost.Snapshot.Query, Err: errAway})
	o.Skipped(discovery.Skipped{Query: live.Snapshot.Query})
	o.StoreFailed(live.Snapshot.Query, errAway)
	set.CollectWatcher(func() []discovery.WatchStatus {
		return []discovery.WatchStatus{live, lost, held, watch("nobody", discovery.OriginNone, 0)}
	})
	set.Fallback().Switched(multi.Switch{Query: live.Snapshot.Query, ToFallback: true})
	set.Fallback().Switched(multi.Switch{Query: live.Snapshot.Query})

	me := instances("cart", 1)[0]
	o.StateChanged(discovery.StateChange{Key: me.Key(), To: discovery.StateVisible})
	o.HeartbeatDone(discovery.Heartbeat{Key: me.Key(), Took: 4 * time.Millisecond})
	o.HeartbeatDone(discovery.Heartbeat{Key: me.Key(), Took: time.Second, Err: errAway})
	o.HeartbeatDone(discovery.Heartbeat{Key: me.Key(), Err: fmt.Errorf("consul: %w", discovery.ErrUnknownRegistration)})
	for i, state := range []discovery.State{discovery.StateVisible, discovery.StateAway} {
		set.CollectRegistrar(func() discovery.RegistrarStatus {
			return discovery.RegistrarStatus{Instance: me, State: state, Health: discovery.HealthPassing, TTL: time.Duration(15+15*i) * time.Second, Failures: i}
		})
	}
	exerciseRegistry(set, o)
	exerciseBalancer(t, set)
	exerciseHealth(t, set)
	set.Drained("grpc", 40, 3, 1)
}

var errAway = errors.New("away")

func exerciseRegistry(set *metrics.Set, o discovery.Observer) {
	set.CollectPatrol("consul", func() discovery.PatrolStatus {
		return discovery.PatrolStatus{
			Rounds: 20, FailedRounds: 2, LeaderChanges: 3,
			Findings: []discovery.Finding{{Kind: discovery.FindingMember, Member: "s1"}, {Kind: discovery.FindingMember, Member: "s2"}, {Kind: discovery.FindingNoTolerance}},
			Cluster: discovery.Cluster{
				Leader: "s0", FaultTolerance: 0, Latency: 3 * time.Millisecond,
				Members: []discovery.ClusterMember{
					{Name: "s0", Voter: true, Health: discovery.HealthPassing, Term: 7, Index: 1000, DBSize: 1 << 20, DBQuota: 2 << 30},
					{Name: "s1", Voter: true, Health: discovery.HealthFailing, Term: 6, Index: 10},
					{Name: "s2", Voter: true, Health: discovery.HealthPassing, Term: 7, Index: 990, DBSize: 2 << 20, DBQuota: 1 << 30, Latency: 5 * time.Millisecond},
				},
			},
		}
	})
	set.CollectPatrol("etcd", func() discovery.PatrolStatus { // lost after it had a leader
		return discovery.PatrolStatus{Rounds: 5, FailedRounds: 5, Err: errAway, Cluster: discovery.Cluster{Leader: "e0"}}
	})
	set.CollectPatrol("new", func() discovery.PatrolStatus { return discovery.PatrolStatus{} })
	o.SweepDone(discovery.SweepReport{Entries: 12, Leftovers: []discovery.Leftover{
		{Kind: discovery.LeftoverImmortal, Removed: true}, {Kind: discovery.LeftoverImmortal}, {Kind: discovery.LeftoverForeign},
	}})
	o.SweepDone(discovery.SweepReport{Err: errAway})
}

func newBalancer(t testing.TB, service string, n int, opts ...balancer.Option) *balancer.Balancer {
	t.Helper()
	b, err := balancer.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	b.Update(discovery.NewSet(instances(service, n)...))
	return b
}

func exerciseBalancer(t testing.TB, set *metrics.Set) {
	b := newBalancer(t, "stock", 3, balancer.WithSlowStart(time.Minute, 0.1), balancer.WithObserver(set.Balancer("stock")))
	empty := newBalancer(t, "price", 0)
	failing := newBalancer(t, "order", 2, balancer.WithEjectAfter(1), balancer.WithMaxEjected(0.5))
	for range 20 {
		pick, _ := failing.Pick()
		pick.Done(balancer.Failed)
	}
	if _, ok := empty.Pick(); ok {
		t.Error("an endpoint of nothing")
	}
	for i := range 40 {
		pick, ok := b.Pick()
		if !ok {
			t.Fatal("no endpoint")
		}
		time.Sleep(10 * time.Millisecond)
		if i == 39 {
			pick.Done(balancer.Unreachable)
		} else {
			pick.Done(balancer.OK)
		}
	}
	_, _ = b.Pick()
	set.Balancer("stock").Returned(balancer.Return{Reason: balancer.ReasonOverload})
	set.CollectBalancers(func() iter.Seq2[*balancer.Balancer, string] {
		return maps.All(map[*balancer.Balancer]string{b: "stock", empty: "price", failing: "order"})
	})
}

func exerciseHealth(t testing.TB, set *metrics.Set) {
	checks, err := health.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(checks.Add("db", nothing), checks.Add("cache", nothing, health.Optional)); err != nil {
		t.Fatal(err)
	}
	if _, err := checks.Watch("consumer", time.Hour); err != nil {
		t.Fatal(err)
	}
	checks.Start()
	t.Cleanup(checks.Close)
	time.Sleep(time.Second)
	set.CollectHealth(checks)
	o := set.Health()
	o.Ran(health.Result{Name: "db", State: health.StateOK})
	o.Ran(health.Result{Name: "db", State: health.StateTimeout})
	o.Ran(health.Result{Name: "consumer", State: health.StateOK, Watchdog: true})
	o.Changed(health.Change{Name: "db", WasPassing: true, To: health.StateTimeout})
	o.Changed(health.Change{Name: "db", Passing: true, WasPassing: true, To: health.StateError})
}

// TestDiscoveryExposition is all of it, as it is scraped.
func TestDiscoveryExposition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, reg := newSet(t)
		exerciseDiscovery(t, set)
		var own []string
		for _, m := range metrics.Names() {
			own = append(own, m.Name)
		}
		problems, err := testutil.GatherAndLint(reg, own...)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		golden(t, "discovery.txt", discoveryText(scrape(t, reg, "text/plain")))
	})
}

// discoveryText is what a scrape says of discovery and what belongs to it.
func discoveryText(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, `fairlead_balancer_latency_seconds{name="order"}`) {
			continue // of calls that took no time, of which some may have been measured
		}
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		for _, part := range []string{"discovery", "registration", "registry", "balancer", "health", "drain"} {
			if strings.HasPrefix(name, "fairlead_"+part+"_") {
				out.WriteString(line)
			}
		}
	}
	return out.String()
}

// TestDiscoveryCaps: services, checks and registries past their cap share one series.
func TestDiscoveryCaps(t *testing.T) {
	set, reg := newSet(t, metrics.WithCap(metrics.LabelService, 2), metrics.WithCap(metrics.LabelRegistry, 1))
	o := set.Discovery()
	var status []discovery.WatchStatus
	for i := range 300 {
		st := watch(fmt.Sprint("service-", i), discovery.OriginLive, 1)
		status = append(status, st)
		o.Delivered(discovery.Delivery{Snapshot: st.Snapshot, Added: 1})
		o.HeartbeatDone(discovery.Heartbeat{Key: discovery.Key{Service: fmt.Sprint("service-", i)}})
		set.Balancer(fmt.Sprint("service-", i)).Returned(balancer.Return{})
		set.CollectPatrol(fmt.Sprint("registry-", i), func() discovery.PatrolStatus { return discovery.PatrolStatus{Rounds: 1} })
	}
	set.CollectWatcher(func() []discovery.WatchStatus { return status })
	want := []string{
		`fairlead_discovery_instances{name="_OTHER"} 298`,
		`fairlead_discovery_instances{name="service-0"} 1`,
		`fairlead_discovery_instances{name="service-1"} 1`,
		`fairlead_discovery_updates_total{name="_OTHER"} 298`,
		`fairlead_discovery_updates_total{name="service-0"} 1`,
		`fairlead_discovery_updates_total{name="service-1"} 1`,
		`fairlead_registration_heartbeat_duration_seconds_count{name="_OTHER",result="ok"} 298`,
		`fairlead_registration_heartbeat_duration_seconds_count{name="service-0",result="ok"} 1`,
		`fairlead_registration_heartbeat_duration_seconds_count{name="service-1",result="ok"} 1`,
		`fairlead_registry_patrol_rounds_total{registry="_OTHER",result="error"} 0`,
		`fairlead_registry_patrol_rounds_total{registry="_OTHER",result="ok"} 299`,
		`fairlead_registry_patrol_rounds_total{registry="registry-0",result="error"} 0`,
		`fairlead_registry_patrol_rounds_total{registry="registry-0",result="ok"} 1`,
	}
	got := lines(scrape(t, reg, "text/plain"), "fairlead_discovery_instances{", "fairlead_discovery_updates_total{",
		"fairlead_registration_heartbeat_duration_seconds_count{", "fairlead_registry_patrol_rounds_total{")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBalancersComeAndGo: counters go up only, whichever balancers there are, and how
// ever many scrape at once.
func TestBalancersComeAndGo(t *testing.T) {
	set, reg := newSet(t)
	var mu sync.Mutex
	there := map[*balancer.Balancer]string{}
	set.CollectBalancers(func() iter.Seq2[*balancer.Balancer, string] {
		mu.Lock()
		defer mu.Unlock()
		return maps.All(maps.Clone(there))
	})
	picks := func() string {
		return strings.Join(lines(scrape(t, reg, "text/plain"), "fairlead_balancer_picks_total{"), " ")
	}
	add := func(n int) *balancer.Balancer {
		b := newBalancer(t, "stock", 2)
		for range n {
			pick, _ := b.Pick()
			pick.Done(balancer.OK)
		}
		mu.Lock()
		defer mu.Unlock()
		there[b] = "stock"
		return b
	}
	first := add(5)
	for range 3 {
		if got := picks(); got != `fairlead_balancer_picks_total{decision="any",name="stock"} 5` {
			t.Fatalf("one balancer: %s", got)
		}
	}
	add(7)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _ = picks() })
	}
	wg.Wait()
	if got := picks(); got != `fairlead_balancer_picks_total{decision="any",name="stock"} 12` {
		t.Errorf("two balancers: %s", got)
	}
	mu.Lock()
	delete(there, first)
	mu.Unlock()
	if got := picks(); got != `fairlead_balancer_picks_total{decision="any",name="stock"} 12` {
		t.Errorf("after one has gone: %s", got)
	}
	if n := len(lines(scrape(t, reg, "text/plain"), `fairlead_balancer_endpoints{name="stock",state="all"} 2`)); n != 1 {
		t.Error("the endpoints of the one that has gone are counted")
	}
}

// TestDiscoveryOfLive is with what is told by the real ones, end to end.
func TestDiscoveryOfLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, reg := newSet(t)
		registry := memory.New()
		told := discovery.WithObserver(set.Discovery())
		registrar, err := discovery.NewRegistrar(registry, "prod", instances("stock", 1)[0], told)
		if err != nil {
			t.Fatal(err)
		}
		watcher, err := discovery.NewWatcher(registry, "prod", told)
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Close()
		sub, err := watcher.Subscribe(discovery.Query{Namespace: "prod", Service: "stock"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		patrol, err := discovery.NewPatrol(registry, told)
		if err != nil {
			t.Fatal(err)
		}
		defer patrol.Close()
		set.CollectWatcher(watcher.Status)
		set.CollectRegistrar(registrar.Status)
		set.CollectPatrol("memory", patrol.Status)
		time.Sleep(time.Minute)
		registry.Faults().Down(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		text := scrape(t, reg, "text/plain")
		for _, want := range []string{
			`fairlead_discovery_instances{name="stock"} 1`,
			`fairlead_discovery_origin{name="stock",origin="last-known-good"} 1`,
			`fairlead_discovery_age_seconds{name="stock"} `,
			`fairlead_registration_state{name="stock",state="away"} 1`,
			`fairlead_registration_transitions_total{name="stock",to="visible"} 1`,
			`fairlead_registration_transitions_total{name="stock",to="away"} 1`,
			`fairlead_registry_up{registry="memory"} 0`,
			`fairlead_registry_findings{kind="unreachable",registry="memory"} 1`,
		} {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("no line %s", want)
			}
		}
		if n := seriesOf(t, reg)["fairlead_registration_heartbeat_duration_seconds"]; n != 2 {
			t.Errorf("heartbeats have %d results, want ok and error", n)
		}
		registry.Faults().Down(false)
		if err := registrar.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNoSet: without a Set there is nothing to tell and nothing to collect.
func TestNoSet(t *testing.T) {
	var set *metrics.Set
	if o := set.Discovery(); o.Delivered != nil || set.Fallback().Switched != nil || set.Balancer("x").Returned != nil || set.Health().Ran != nil {
		t.Error("an observer of nothing")
	}
	set.CollectWatcher(func() []discovery.WatchStatus { return nil })
	set.CollectRegistrar(func() discovery.RegistrarStatus { return discovery.RegistrarStatus{} })
	set.CollectPatrol("x", func() discovery.PatrolStatus { return discovery.PatrolStatus{} })
	set.CollectBalancers(func() iter.Seq2[*balancer.Balancer, string] { return nil })
	set.CollectHealth(nil)
	set.Drained("grpc", 1, 1, 1)
}

func nothing(context.Context) error { return nil }
