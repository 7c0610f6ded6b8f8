// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/dns"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/multi"
	"github.com/fairlead-go/fairlead/discovery/snapshot"
	"github.com/fairlead-go/fairlead/discovery/static"
)

// nameParts are what names are made of here: such that one is likely to begin with
// another, or to be taken for it by what does not look closely.
var nameParts = []string{"prod", "prod", "2", "dev", "-", "eu", "a", "0", ".", "..", "/", "%2f", "PROD", "é", "рrod", "\x00", " ", "*", "@", ":"}

func randomName(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(3) {
		b.WriteString(nameParts[r.IntN(len(nameParts))])
	}
	return b.String()
}

// environments is instances in several environments, one for each service in each.
type environments struct {
	namespaces []discovery.Namespace
	services   []string
	instances  []discovery.Instance
	refused    []discovery.Namespace // names that are no environment's
}

func randomEnvironments(r *rand.Rand) *environments {
	w := &environments{}
	namespaces, services := map[discovery.Namespace]bool{"prod": true, "prod2": true}, map[string]bool{"order": true, "prod2": true}
	for range 12 {
		if ns := discovery.Namespace(randomName(r)); ns.Validate() == nil {
			namespaces[ns] = true
		} else {
			w.refused = append(w.refused, ns)
		}
		if q := (discovery.Query{Namespace: "prod", Service: randomName(r)}); q.Validate() == nil && len(services) < 4 {
			services[q.Service] = true
		}
	}
	w.namespaces, w.services = slices.Sorted(maps.Keys(namespaces)), slices.Sorted(maps.Keys(services))
	for _, ns := range w.namespaces {
		for _, service := range w.services {
			n := len(w.instances)
			// The id is the same everywhere: only the environment tells them apart.
			w.instances = append(w.instances, discovery.Instance{
				Namespace: ns, Service: service, ID: "the-one", Address: fmt.Sprintf("10.0.%d.%d:8443", n/250, 1+n%250), Weight: 1,
			})
		}
	}
	return w
}

// TestNamespacesAreApart: whatever environments and services are called, a process
// registers in its own, is shown its own, keeps its own on disk and sweeps its own, with
// each back end that knows of several.
func TestNamespacesAreApart(t *testing.T) {
	for seed := range uint64(25) {
		w := randomEnvironments(rand.New(rand.NewPCG(seed, 9)))
		backends := map[string]func(t *testing.T) discovery.Catalog{
			"memory": func(t *testing.T) discovery.Catalog { return w.registered(t, memory.New()) },
			"multi": func(t *testing.T) discovery.Catalog {
				primary := memory.New()
				primary.Faults().Down(seed%2 == 0)
				catalog := w.registered(t, must[*multi.Backend](t)(multi.New(primary, memory.New())))
				t.Cleanup(func() { primary.Faults().Down(false) })
				return catalog
			},
			"datacenters": func(t *testing.T) discovery.Catalog {
				return must[*multi.Datacenters](t)(multi.NewDatacenters([]multi.Datacenter{{Name: "a", Catalog: memory.New()}, {Name: "b", Catalog: w.registered(t, memory.New())}}))
			},
			"static":   func(t *testing.T) discovery.Catalog { return must[*static.Catalog](t)(static.New(w.instances...)) },
			"careless": func(*testing.T) discovery.Catalog { return careless{w} },
		}
		if !slices.ContainsFunc(w.services, func(s string) bool { return strings.ToLower(s) != s || strings.Contains(s, ".") }) {
			backends["dns"] = func(t *testing.T) discovery.Catalog {
				return must[*dns.Catalog](t)(dns.New("{service}.{namespace}.test", dns.WithPort(8443), dns.WithResolver(names{w})))
			}
		}
		for name, open := range backends {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				catalog := open(t)
				for _, ns := range w.namespaces {
					w.watch(t, name, catalog, ns, dir)
				}
				if s, ok := catalog.(discovery.Sweeper); ok {
					w.sweep(t, s)
				}
			})
			// Processes that start when there is no registry, with the same folder.
			synctest.Test(t, func(t *testing.T) {
				for _, ns := range w.namespaces {
					w.watch(t, name+" from disk", gone{}, ns, dir)
				}
			})
		}
	}
}

// registered registers all instances, each by a process of its environment, after each
// was refused to every other.
func (w *environments) registered(t *testing.T, backend discovery.Backend) discovery.Catalog {
	t.Helper()
	for _, in := range w.instances {
		for _, own := range append(slices.Clone(w.refused), w.namespaces...) {
			if own == in.Namespace {
				continue
			}
			if r, err := discovery.NewRegistrar(backend, own, in); err == nil {
				deregister(t, r)
				t.Fatalf("a process of %q registers %s", own, in.Key())
			}
		}
		r := newRegistrarFor(t, backend, in)
		t.Cleanup(func() { deregister(t, r) })
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	return backend
}

// newRegistrarFor is that of the process which the instance belongs to.
func newRegistrarFor(t *testing.T, backend discovery.Registry, in discovery.Instance) *discovery.Registrar {
	t.Helper()
	return must[*discovery.Registrar](t)(discovery.NewRegistrar(backend, in.Namespace, in, discovery.WithJitter(0)))
}

// watch looks at all services as a process of an environment does.
func (w *environments) watch(t *testing.T, name string, catalog discovery.Catalog, own discovery.Namespace, dir string) {
	t.Helper()
	watcher := must[*discovery.Watcher](t)(discovery.NewWatcher(catalog, own, discovery.WithStore(must[*snapshot.Store](t)(snapshot.Open(dir)))))
	defer watcher.Close()
	for _, ns := range append(slices.Clone(w.refused), w.namespaces...) {
		if ns == own {
			continue
		}
		for _, service := range w.services {
			if _, err := watcher.Subscribe(discovery.Query{Namespace: ns, Service: service}, nil); err == nil {
				t.Fatalf("%s: a process of %q asks about %q", name, own, ns)
			}
		}
	}
	for _, service := range w.services {
		q := discovery.Query{Namespace: own, Service: service}
		sub := must[*discovery.Subscription](t)(watcher.Subscribe(q, nil))
		if err := sub.Ready(t.Context()); err != nil {
			t.Fatalf("%s: %s: %v", name, q, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		snap := sub.Snapshot()
		if strings.HasSuffix(name, "from disk") != (snap.Origin == discovery.OriginDisk) {
			t.Errorf("%s: %s is %s", name, q, snap.Origin)
		}
		for in := range snap.Instances.All() {
			if want := w.address(q); in.Namespace != own || in.Service != service || in.Address != want || snap.Instances.Len() != 1 {
				t.Fatalf("%s: %s has %s, one of %d, want %s", name, q, in, snap.Instances.Len(), want)
			}
		}
	}
}

func (w *environments) address(q discovery.Query) string {
	for _, in := range w.instances {
		if q.Owns(&in) {
			return in.Address
		}
	}
	return ""
}

// sweep lists each environment's entries, and has nothing to say about them.
func (w *environments) sweep(t *testing.T, s discovery.Sweeper) {
	t.Helper()
	for _, ns := range w.namespaces {
		sweep := must[*discovery.Sweep](t)(discovery.NewSweep(s, ns))
		report, err := sweep.Pass(t.Context())
		if err != nil || report.Entries != len(w.services) || len(report.Leftovers) != 0 {
			t.Errorf("%s has %d entries, want %d, and %v: %v", ns, report.Entries, len(w.services), report.Leftovers, err)
		}
	}
	for _, ns := range w.refused {
		if _, err := discovery.NewSweep(s, ns); err == nil {
			t.Errorf("a sweep of %q", ns)
		}
	}
}

// careless answers every question with everything.
type careless struct{ w *environments }

func (c careless) Watch(context.Context, discovery.Query) (discovery.Source, error) {
	return &everything{c.w, false}, nil
}

type everything struct {
	w    *environments
	told bool
}

func (e *everything) Next(ctx context.Context) (discovery.Update, error) {
	if e.told {
		<-ctx.Done()
		return discovery.Update{}, ctx.Err()
	}
	e.told = true
	return discovery.Update{Full: true, Put: slices.Clone(e.w.instances)}, nil
}

func (e *everything) Close() error { return nil }

// gone is a registry that is away.
type gone struct{}

func (gone) Watch(context.Context, discovery.Query) (discovery.Source, error) {
	return nil, errors.New("connection refused")
}

// names is a resolver that has the instances under their names.
type names struct{ w *environments }

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	for _, in := range n.w.instances {
		if strings.TrimSuffix(host, ".") == in.Service+"."+string(in.Namespace)+".test" {
			return []netip.Addr{netip.MustParseAddrPort(in.Address).Addr()}, nil
		}
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (names) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errors.New("not asked for")
}
