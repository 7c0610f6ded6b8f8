// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prod discovery.Namespace = "prod"

// order returns the n-th instance of the service order.
func order(n int) discovery.Instance {
	return discovery.Instance{
		Namespace: prod, Service: "order", ID: fmt.Sprintf("order-%05d", n), Address: fmt.Sprintf("10.%d.%d.%d:8443", n>>16&255, n>>8&255, n&255),
		Zone: "eu-west-1a", Weight: 1,
	}
}

// world is a registry and a watcher of it.
type world struct {
	t        testing.TB
	registry *memory.Registry
	watcher  *discovery.Watcher
}

func newWorld(t testing.TB, opts ...discovery.WatcherOption) *world {
	t.Helper()
	w := &world{t: t, registry: memory.New()}
	w.watcher = must[*discovery.Watcher](t)(discovery.NewWatcher(w.registry, prod, opts...))
	t.Cleanup(func() { w.watcher.Close() })
	return w
}

func (w *world) put(instances ...discovery.Instance) {
	w.t.Helper()
	for _, in := range instances {
		r := must[discovery.Registration](w.t)(w.registry.Registration(in))
		if _, err := r.Register(w.t.Context(), 1000*time.Hour, discovery.HealthPassing); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) remove(instances ...discovery.Instance) {
	w.t.Helper()
	for _, in := range instances {
		if err := must[discovery.Registration](w.t)(w.registry.Registration(in)).Deregister(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) builder(opts ...grpcresolver.Option) *grpcresolver.Builder {
	w.t.Helper()
	return must[*grpcresolver.Builder](w.t)(grpcresolver.New("memory", w.watcher, opts...))
}

// channel is gRPC's side: it remembers what it is told.
type channel struct {
	resolver.ClientConn
	block  chan struct{} // while it is open, updates wait; may be nil
	parsed serviceconfig.ParseResult

	mu     sync.Mutex
	states []resolver.State
	errs   []error
	refuse error
}

func (c *channel) UpdateState(s resolver.State) error {
	if c.block != nil {
		<-c.block
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, s)
	return c.refuse
}

func (c *channel) ReportError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

func (c *channel) ParseServiceConfig(string) *serviceconfig.ParseResult { return &c.parsed }

// told returns what came since the last call: ids of each state's endpoints and a mark
// for each error.
func (c *channel) told() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, s := range c.states {
		out = append(out, ids(s))
	}
	for _, err := range c.errs {
		out = append(out, "error: "+err.Error())
	}
	c.states, c.errs = nil, nil
	return strings.Join(out, "; ")
}

func ids(s resolver.State) string {
	var out []string
	for _, e := range s.Endpoints {
		out = append(out, strings.TrimPrefix(grpcresolver.InstanceFrom(e).ID, "order-0000"))
	}
	return strings.Join(out, " ")
}

// build makes a resolver for a target, which is closed with the test.
func build(t testing.TB, b *grpcresolver.Builder, target string, cc resolver.ClientConn) resolver.Resolver {
	t.Helper()
	r := must[resolver.Resolver](t)(b.Build(targetOf(t, target), cc, resolver.BuildOptions{}))
	t.Cleanup(r.Close)
	return r
}

func targetOf(t testing.TB, target string) resolver.Target {
	t.Helper()
	return resolver.Target{URL: *must[*url.URL](t)(url.Parse(target))}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantTold(t testing.TB, c *channel, want ...string) {
	t.Helper()
	if got := c.told(); got != strings.Join(want, "; ") {
		t.Errorf("told %q, want %q", got, slices.Clone(want))
	}
}
