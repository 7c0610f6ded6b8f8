// SPDX-License-Identifier: Apache-2.0

package load_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ownID is a trace id that no customer has.
const ownID = "0af7651916cd43dd8448eb211c80319c"

// echo answers with the trace id the request came with, or its own.
func echo(w http.ResponseWriter, r *http.Request) {
	id := strings.ToLower(strings.ReplaceAll(r.Header.Get("X-Trace-ID"), "-", ""))
	if len(id) != 32 {
		id = ownID
	}
	w.Header().Set("X-Trace-ID", id)
	_, _ = io.Copy(io.Discard, r.Body)
}

// start serves h as the gateway, and an order service that knows no method.
func start(t *testing.T, h http.HandlerFunc) load.Config {
	t.Helper()
	gateway := httptest.NewServer(h)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	order := grpc.NewServer()
	var serving sync.WaitGroup
	serving.Go(func() { _ = order.Serve(lis) })
	t.Cleanup(func() { gateway.Close(); order.Stop(); serving.Wait() })
	return load.Config{Gateway: gateway.URL, Order: lis.Addr().String(), Concurrency: 4, Seed: 1}
}

func run(t *testing.T, ctx context.Context, cfg load.Config) load.Snapshot {
	t.Helper()
	stats := load.NewStats()
	g, err := load.New(cfg, stats)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return stats.Snapshot()
}

func TestBoundedByRequestsAndConcurrency(t *testing.T) {
	var now, most atomic.Int64
	cfg := start(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		echo(w, r)
	})
	cfg.Requests = 300
	got := run(t, t.Context(), cfg)
	if got.Started != 300 || got.Done != 300 {
		t.Errorf("%d started, %d done; want 300", got.Started, got.Done)
	}
	if most.Load() > 4 {
		t.Errorf("%d requests at once, want at most 4", most.Load())
	}
	if got.Outcomes[load.LostIdentity] > 0 || got.Outcomes[load.UnknownMethod] == 0 {
		t.Errorf("outcomes %v", got.Outcomes)
	}
}

func TestBoundedByDurationAndRate(t *testing.T) {
	cfg := start(t, echo)
	cfg.Duration, cfg.Rate = 300*time.Millisecond, 100
	got := run(t, t.Context(), cfg)
	if got.Done == 0 || got.Done > 31 {
		t.Errorf("%d requests in 300ms at 100/s, want 1 to 31", got.Done)
	}
}

func TestEndOfContextCutsNothingOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	var served atomic.Int64
	cfg := start(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-release
		served.Add(1)
		echo(w, r)
	})
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	got := run(t, ctx, cfg)
	if got.Started != got.Done || got.Outcomes[load.NoAnswer] > 0 || served.Load() == 0 {
		t.Errorf("%d started, %d done, %v", got.Started, got.Done, got.Outcomes)
	}
}

func TestLostIdentityIsNoticed(t *testing.T) {
	for name, id := range map[string]string{"none": "", "no trace id": "42", "somebody else's": ownID} {
		cfg := start(t, func(w http.ResponseWriter, r *http.Request) {
			if id != "" {
				w.Header().Set("X-Trace-ID", id)
			}
		})
		cfg.Requests = 50
		got := run(t, t.Context(), cfg)
		if got.Outcomes[load.LostIdentity] == 0 || got.Unexpected == 0 {
			t.Errorf("%s: outcomes %v, %d unexpected", name, got.Outcomes, got.Unexpected)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	cfg := start(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	cfg.Requests = 30
	got := run(t, t.Context(), cfg)
	if got.Outcomes[load.NoAnswer] == 0 || got.Outcomes[load.OK] > 0 {
		t.Errorf("outcomes %v", got.Outcomes)
	}
	if got.P99 > 10*time.Second {
		t.Errorf("p99 %v counts requests that were not answered", got.P99)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := load.Config{Gateway: "http://127.0.0.1:1", Order: "127.0.0.1:1", Concurrency: 1}
	for name, spoil := range map[string]func(*load.Config){
		"Gateway":     func(c *load.Config) { c.Gateway = "localhost" },
		"Order":       func(c *load.Config) { c.Order = "" },
		"Requests":    func(c *load.Config) { c.Requests = -1 },
		"Rate":        func(c *load.Config) { c.Rate = -1 },
		"Concurrency": func(c *load.Config) { c.Concurrency = 0 },
		"Duration":    func(c *load.Config) { c.Duration = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := load.New(c, load.NewStats()); err == nil || !strings.Contains(err.Error(), "load: "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
