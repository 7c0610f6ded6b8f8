// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/snapshot"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// Registry is a kind of registry, for the drills.
type Registry struct {
	// Start starts its servers, and Leader says which of them leads.
	Start  func(t testing.TB, n int) Cluster
	Leader func(t testing.TB, c Cluster) *Server
	// Variable is the environment variable that has the addresses of the servers,
	// with commas between them or, if it takes only One, one that does not lead.
	Variable string
	One      bool
	// Open opens it in this process; addr is the value of the variable.
	Open func(t testing.TB, addr string) discovery.Catalog
}

// once leaves callers with nothing but what discovery and balancing do for them.
var once = fairlead.WithPolicies(policies.WithDefaults(policies.NoRetry(), policies.NoBreaker()))

// ttl is that of the instances.
const ttl = 6 * time.Second

// pause is between two calls of a caller: what is measured is not the machine.
const pause = 2 * time.Millisecond

func (r Registry) address(t testing.TB, c Cluster) string {
	if r.One && len(c) > 1 && r.Leader(t, c) == c[0] {
		return c[1].Addr()
	}
	if r.One {
		return c[0].Addr()
	}
	var urls []string
	for _, s := range c {
		urls = append(urls, "http://"+s.Addr())
	}
	return strings.Join(urls, ",")
}

// stage is a registry with instances of a service that are called.
type stage struct {
	t         *testing.T
	registry  Registry
	cluster   Cluster
	catalog   discovery.Catalog
	fleet     *Fleet
	processes []*Process
	store     *snapshot.Store
}

func (r Registry) stage(t *testing.T, n int) *stage {
	t.Helper()
	cluster := r.Start(t, n)
	addr := r.address(t, cluster)
	s := &stage{t: t, registry: r, cluster: cluster, catalog: r.Open(t, addr),
		fleet: NewFleet(t, map[string]string{r.Variable: addr})}
	store, err := snapshot.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.store = store
	s.processes = s.fleet.Start("back", 3, Config{TTL: ttl})
	return s
}

func (s *stage) load(opts ...fairlead.Option) *Load {
	s.t.Helper()
	opts = append(opts, fairlead.WithDiscovery(discovery.WithStore(s.store)))
	return NewLoad(s.t, s.catalog, "back", LoadConfig{Callers: 4, Pause: pause, Options: opts})
}

// listed returns the addresses of the instances that a caller of its own finds, as
// the registry says.
func (s *stage) listed() ([]string, error) {
	w, err := discovery.NewWatcher(s.catalog, discovery.DefaultNamespace)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	sub, err := w.Subscribe(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "back"}, nil)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	snap, err := sub.Next(s.t.Context())
	if err != nil {
		return nil, err
	}
	if snap.Origin != discovery.OriginLive {
		return nil, fmt.Errorf("%v: %w", snap.Origin, snap.Problem())
	}
	var addrs []string
	for in := range snap.Instances.All() {
		addrs = append(addrs, in.Address)
	}
	slices.Sort(addrs)
	return addrs, nil
}

// wantListed waits until the registry lists these processes, each once over each
// protocol, and nobody else.
func (s *stage) wantListed(within time.Duration, processes ...*Process) {
	s.t.Helper()
	var want []string
	for _, p := range processes {
		want = append(want, p.GRPC, p.HTTP)
	}
	slices.Sort(want)
	began := time.Now()
	for {
		got, err := s.listed()
		if err == nil && slices.Equal(got, want) {
			s.t.Logf("listed as they are after %v", time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > within {
			s.t.Fatalf("after %v the registry lists %v (%v), want %v", within, got, err, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// RollingRestart replaces every instance, gracefully, and no call fails, though
// callers repeat nothing.
func (r Registry) RollingRestart(t *testing.T) {
	s := r.stage(t, 1)
	load := s.load(once)
	for range 3 {
		s.processes = s.fleet.RollingRestart(s.processes)
	}
	load.WaitCalls(1000, time.Minute)
	load.Stop().WantFailures(0, 1000)
	s.wantListed(ttl, s.processes...)
}

// Kill ends an instance without a word. Callers that repeat calls lose none. Of
// those that do not, only calls that were under way there fail: two for each of
// its callers at most, over the two protocols.
func (r Registry) Kill(t *testing.T) {
	s := r.stage(t, 1)
	for _, tc := range []struct {
		name string
		most int64
		opts []fairlead.Option
	}{{"retry", 0, nil}, {"no retry", 8, []fairlead.Option{once}}} {
		t.Run(tc.name, func(t *testing.T) {
			s.t = t
			load := s.load(tc.opts...)
			load.WaitCalls(500, time.Minute)
			s.processes[0].Kill()
			killed := time.Now()
			load.WaitCalls(load.Calls()+2000, time.Minute)
			s.wantListed(ttl+2*time.Second, s.processes[1:]...)
			t.Logf("out of the registry %v after the kill", time.Since(killed).Round(time.Millisecond))
			load.Stop().WantFailures(tc.most, 2000)
			s.processes = append(s.processes[1:], s.fleet.Start("back", 1, Config{TTL: ttl})...)
		})
	}
}

// Outage kills the registry's only server for a time, and starts it again. No call
// fails; a caller that begins meanwhile finds the service; afterwards everybody is
// registered again, once.
func (r Registry) Outage(t *testing.T, away time.Duration) {
	s := r.stage(t, 1)
	load := s.load(once)
	load.WaitCalls(500, time.Minute)
	// What is known is written to disk at an interval.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		stored, err := s.store.Load(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "back"})
		if err == nil && stored.Instances.Len() == 2*len(s.processes) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not on disk: %v", err)
		}
	}
	s.cluster[0].Kill()
	began := time.Now()
	time.Sleep(away / 2)
	late := s.load(once)
	time.Sleep(away - time.Since(began))
	s.cluster[0].Start()
	s.cluster[0].WaitReady()
	s.wantListed(time.Minute, s.processes...)
	load.WaitCalls(load.Calls()+500, time.Minute)
	late.Stop().WantFailures(0, 500)
	load.Stop().WantFailures(0, 1000)
	s.wantListed(ttl, s.processes...)
}

// LeaderLoss kills the leader of three servers. No call fails, and nobody is lost.
func (r Registry) LeaderLoss(t *testing.T) {
	s := r.stage(t, 3)
	load := s.load(once)
	load.WaitCalls(500, time.Minute)
	r.Leader(t, s.cluster).Kill()
	time.Sleep(2 * ttl) // what was not kept up by then is gone
	s.wantListed(30*time.Second, s.processes...)
	load.Stop().WantFailures(0, 1000)
}
