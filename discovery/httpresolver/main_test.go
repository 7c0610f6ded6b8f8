// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prod discovery.Namespace = "prod"

// order returns the n-th instance of the service order.
func order(n int) discovery.Instance {
	return discovery.Instance{Namespace: prod, Service: "order", ID: fmt.Sprint("order-", n), Address: fmt.Sprintf("10.0.0.%d:8443", n), Zone: "eu-west-1a"}
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

// resolver returns one for the service order, which is closed with the test.
func (w *world) resolver(opts ...httpresolver.Option) *httpresolver.Resolver {
	w.t.Helper()
	r := must[*httpresolver.Resolver](w.t)(httpresolver.New("order", w.watcher, opts...))
	w.t.Cleanup(r.Close)
	return r
}

// wire is what is below the resolver: a function, and what it was given.
type wire struct {
	do   func(*http.Request) (*http.Response, error) // nil: 200
	sent []*http.Request
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.sent = append(w.sent, req)
	if w.do == nil {
		return answer(req, http.StatusOK), nil
	}
	return w.do(req)
}

func answer(req *http.Request, code int) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader("body"))}
}

// stage tells as a connection pool does how far a request has come.
func stage(req *http.Request, connected bool) {
	trace := httptrace.ContextClientTrace(req.Context())
	trace.GetConn(req.URL.Host)
	if connected {
		trace.GotConn(httptrace.GotConnInfo{})
	}
}

func get(ctx context.Context, url string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	return req
}

func inFlight(r *httpresolver.Resolver) int { return r.Balancer().Stats().InFlight }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
