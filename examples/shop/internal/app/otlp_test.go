// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
)

// collector counts what is sent to it, by path.
type collector struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 {
		c.seen[r.URL.Path]++
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func TestOTLP(t *testing.T) {
	c := &collector{seen: map[string]int{}}
	srv := httptest.NewServer(c)
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	shop, err := app.Start(t.Context(), app.Config{Dir: t.TempDir(), OTLP: true})
	if err != nil {
		t.Fatal(err)
	}
	visit(t, shop, 20)
	stop(t, shop)
	for _, path := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
		if c.seen[path] == 0 {
			t.Errorf("nothing was sent to %s: %v", path, c.seen)
		}
	}
}

func TestCollectorAway(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	srv.Close() // nobody listens there any more
	shop, err := app.Start(t.Context(), app.Config{Dir: t.TempDir(), OTLP: true})
	if err != nil {
		t.Fatal(err)
	}
	got := visit(t, shop, 40)
	if got.Outcomes[load.OK] == 0 || got.Outcomes[load.NoAnswer]+got.Outcomes[load.LostIdentity] > 0 {
		t.Errorf("outcomes %v", got.Outcomes)
	}
	// What could not be delivered is said at the end, and nothing else is wrong.
	if err := stopError(shop); err != nil && !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("stop: %v", err)
	}
}
