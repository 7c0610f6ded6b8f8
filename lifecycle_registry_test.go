// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// deaf is a registry whose calls do not come back, not even when their context ends,
// before the test is over.
type deaf struct {
	*memory.Registry
	over chan struct{}
	only atomic.Pointer[string] // the one call that hangs; nil for all
}

func (d *deaf) hang(call string) error {
	if only := d.only.Load(); only == nil || *only == call {
		<-d.over
		return errors.New("over")
	}
	return nil
}

func (d *deaf) Watch(ctx context.Context, q discovery.Query) (discovery.Source, error) {
	src, err := d.Registry.Watch(ctx, q)
	return deafSource{src, d}, err
}

func (d *deaf) Registration(in discovery.Instance) (discovery.Registration, error) {
	r, err := d.Registry.Registration(in)
	return deafRegistration{r, d}, err
}

type deafSource struct {
	discovery.Source
	d *deaf
}

func (s deafSource) Next(ctx context.Context) (discovery.Update, error) {
	if err := s.d.hang("Next"); err != nil {
		return discovery.Update{}, err
	}
	return s.Source.Next(ctx)
}

func (s deafSource) Close() error {
	return s.Source.Close()
}

type deafRegistration struct {
	discovery.Registration
	d *deaf
}

func (r deafRegistration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	if err := r.d.hang("Register"); err != nil {
		return 0, err
	}
	return r.Registration.Register(ctx, ttl, h)
}

func (r deafRegistration) Heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	if err := r.d.hang("Heartbeat"); err != nil {
		return 0, err
	}
	return r.Registration.Heartbeat(ctx, h)
}

func (r deafRegistration) Deregister(ctx context.Context) error {
	if err := r.d.hang("Deregister"); err != nil {
		return err
	}
	return r.Registration.Deregister(ctx)
}

// TestRegistryAway: whatever a registry does not do, a service begins, serves, makes
// clients and ends in time, and says what is wrong.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		begin func(*memory.Registry, *deaf) discovery.Catalog // before the start
		end   func(*memory.Registry, *deaf)                   // before the end
		most  time.Duration                                   // of the end
		log   string
		err   string // of Run
	}{
		{"down", func(r *memory.Registry, _ *deaf) discovery.Catalog { r.Faults().Down(true); return r }, nil, 4 * time.Second, "not deregistered", ""},
		{"hangs", func(r *memory.Registry, _ *deaf) discovery.Catalog { r.Faults().Hang(true); return r }, nil, 4 * time.Second, "not deregistered", ""},
		{"hangs at the end", func(r *memory.Registry, _ *deaf) discovery.Catalog { return r }, func(r *memory.Registry, _ *deaf) { r.Faults().Hang(true) }, 4 * time.Second, "not deregistered", ""},
		{"slow", func(r *memory.Registry, _ *deaf) discovery.Catalog { r.Faults().Slow(400 * time.Millisecond); return r }, nil, 4 * time.Second, "", ""},
		{"deaf", func(_ *memory.Registry, d *deaf) discovery.Catalog { return d }, nil, 8 * time.Second, "not deregistered", "closing the watcher: not over after 3s"},
		{"deaf to watches", func(_ *memory.Registry, d *deaf) discovery.Catalog { d.only.Store(new("Next")); return d }, nil, 4 * time.Second, "", "closing the watcher: not over after 3s"},
		{"deaf at the end", func(_ *memory.Registry, d *deaf) discovery.Catalog { d.only.Store(new("")); return d },
			func(_ *memory.Registry, d *deaf) { d.only.Store(nil) }, 5 * time.Second, "not deregistered", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			registry := memory.New()
			d := &deaf{Registry: registry, over: make(chan struct{})}
			defer close(d.over)
			catalog := tc.begin(registry, d)
			logs := &syncBuffer{}
			soon := func(what string, most time.Duration, f func()) {
				t.Helper()
				began := time.Now()
				done := make(chan struct{})
				go func() { defer close(done); f() }()
				select {
				case <-done:
				case <-time.After(most + 5*time.Second):
					t.Fatalf("%s does not come back", what)
				}
				if took := time.Since(began); took > most {
					t.Errorf("%s took %v", what, took)
				}
			}
			var svc *fairlead.Service
			const instant = 300 * time.Millisecond
			soon("New", instant, func() {
				svc = mustNew(t, "order", fairlead.WithPlaintext(), fairlead.WithLogHandler(jsonLines(logs)), fairlead.WithoutSignals(),
					fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithRegistry(catalog), fairlead.WithDrainWait(10*time.Millisecond))
			})
			testgrpc.RegisterTestServiceServer(svc.GRPC(), &echo{logger: svc.Logger()})
			stop := run(t, svc)
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			soon("a request", instant, func() { get(t, client, "http://"+svc.Addr("http")+"/readyz", http.StatusOK) })
			soon("clients", instant, func() {
				if _, err := svc.Dial("inventory"); err != nil {
					t.Error(err)
				}
				hc, err := svc.HTTPClient("inventory")
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://inventory/", nil)
				if resp, err := hc.Do(r); err == nil {
					t.Errorf("a call of nobody was answered %s", resp.Status)
				}
			})
			cc, err := svc.Dial("inventory")
			if err != nil {
				t.Fatal(err)
			}
			soon("a call", instant, func() {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testgrpc.SimpleRequest{}); err == nil {
					t.Error("a call of nobody was answered")
				}
			})
			if tc.end != nil {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err := svc.Registered(ctx); err != nil {
					t.Error(err)
				}
				tc.end(registry, d)
			}
			soon("the end", tc.most, func() {
				if err := stop(); (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
					t.Errorf("Run returned %v", err)
				}
			})
			if said := strings.Contains(logs.String(), "not deregistered"); said != (tc.log != "") {
				t.Errorf("log: %s", logs)
			}
		})
	}
}

// TestRegistryComesLate: a service that began without its registry is found when that
// is there, and says so.
func TestRegistryComesLate(t *testing.T) {
	t.Parallel()
	registry := memory.New()
	registry.Faults().Down(true)
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
		fairlead.WithRegistry(registry), fairlead.WithDrainWait(0),
		fairlead.WithRegistration(discovery.WithBackoff(10*time.Millisecond, 50*time.Millisecond), discovery.WithRegistrationBreaker(5, 100*time.Millisecond)),
		fairlead.WithDiscovery(discovery.WithBackoff(10*time.Millisecond, 50*time.Millisecond)))
	stop := run(t, svc)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := svc.Registered(ctx)
	if !errors.Is(err, memory.ErrAway) || !strings.Contains(fmt.Sprint(err), "is not found") {
		t.Errorf("Registered: %v", err)
	}
	caller := mustNew(t, "caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""), fairlead.WithRegistry(registry),
		fairlead.WithDiscovery(discovery.WithBackoff(10*time.Millisecond, 50*time.Millisecond)))
	defer caller.Close()
	client, err := caller.HTTPClient("order")
	if err != nil {
		t.Fatal(err)
	}
	registry.Faults().Down(false)
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := svc.Registered(ctx); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; {
		resp, err := client.Get("http://order/livez")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
