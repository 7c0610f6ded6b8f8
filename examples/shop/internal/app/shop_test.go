// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/internal/shoptest"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// housekeeping are the log lines that belong to no request.
var housekeeping = telemetrytest.Uncorrelated(shoptest.Housekeeping()...)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// visit runs the load against the shop and returns how it went.
func visit(t *testing.T, shop app.Shop, requests int) load.Snapshot {
	t.Helper()
	cfg := load.Config{Requests: requests, Concurrency: 64, Seed: 1}
	if raceEnabled {
		cfg.Concurrency = 8 // with more the shop has too much to do, and refuses what is to be seen here
	}
	for _, i := range shop.Instances() {
		switch i.Name {
		case app.Gateway:
			cfg.Gateway = "http://" + i.Addresses.HTTP
		case app.Order:
			cfg.Order = "passthrough:///" + i.Addresses.GRPC
		}
	}
	stats := load.NewStats()
	customers, err := load.New(cfg, stats)
	if err != nil {
		t.Fatal(err)
	}
	if err := customers.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return stats.Snapshot()
}

// observed returns a configuration whose telemetry rec takes in.
func observed(rec *telemetrytest.Recorder, dir string) app.Config {
	return app.Config{
		Dir: dir,
		Observe: func(service string, metrics prometheus.Gatherer) (sdktrace.SpanProcessor, slog.Handler) {
			rec.AddMetrics(service, metrics)
			return rec.SpanProcessor(), rec.LogHandler(service)
		},
	}
}

func stop(t *testing.T, shop app.Shop) {
	t.Helper()
	if err := stopError(shop); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func stopError(shop app.Shop) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return shop.Stop(ctx)
}

// TestEverythingAgrees is what the shop is for: ten thousand requests of every
// kind, and not one span, log line or exemplar that contradicts another.
func TestEverythingAgrees(t *testing.T) {
	requests := 10_000
	if testing.Short() || raceEnabled {
		requests = 1000
	}
	rec := telemetrytest.NewRecorder()
	shop, err := app.Start(t.Context(), observed(rec, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	got := visit(t, shop, requests)
	stop(t, shop)

	if got.Done != requests {
		t.Errorf("%d requests done, want %d", got.Done, requests)
	}
	for _, o := range []load.Outcome{
		load.OK, load.ClientFault, load.OutOfStock, load.Declined, load.Deadline, load.Canceled,
		load.ServerFault, load.UnknownMethod, load.UnknownPath,
	} {
		if got.Outcomes[o] == 0 {
			t.Errorf("no request ended with %q: %v", o, got.Outcomes)
		}
	}
	if lost := got.Outcomes[load.LostIdentity] + got.Outcomes[load.NoAnswer]; lost > 0 {
		t.Errorf("%d requests without an answer or without their own trace id: %+v", lost, got.LastUnexpected)
	}
	run := rec.Run(t)
	telemetrytest.Check(t, run, housekeeping)
	t.Logf("%d requests in %v, %d traces, %d lines; %v, %d of them unexpected",
		got.Done, got.Elapsed, run.Traces().Len(), run.Logs().Len(), got.Outcomes, got.Unexpected)
}

func TestBrokenShopAgreesToo(t *testing.T) {
	for _, spec := range []string{"db=down", "db=fail:0.2,payment=fail:0.3", "db=slow:20ms"} {
		t.Run(spec, func(t *testing.T) {
			rec := telemetrytest.NewRecorder()
			cfg := observed(rec, t.TempDir())
			var err error
			if cfg.Faults, err = chaos.Parse(spec); err != nil {
				t.Fatal(err)
			}
			shop, err := app.Start(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			got := visit(t, shop, 150)
			stop(t, shop)
			if lost := got.Outcomes[load.LostIdentity] + got.Outcomes[load.NoAnswer]; lost > 0 {
				t.Errorf("%d requests without an answer or without their own trace id: %+v", lost, got.LastUnexpected)
			}
			telemetrytest.Check(t, rec.Run(t), housekeeping)
		})
	}
}

func TestOneOrderCrossesAllServices(t *testing.T) {
	rec := telemetrytest.NewRecorder()
	shop, err := app.Start(t.Context(), observed(rec, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	visit(t, shop, 40)
	stop(t, shop)
	orders := rec.Run(t).Traces().With("receipts process")
	orders.Covers(app.Gateway, app.Order, app.Inventory, app.Payment, app.Notify).NoOrphans()
	for _, trace := range orders.All() {
		trace.Span("POST /orders").IsAncestorOf(
			"shop.inventory.v1.InventoryService/Reserve", "POST /charges", "receipts process", "loyalty-points")
	}
}

func TestHealthFollowsDatabase(t *testing.T) {
	for spec, want := range map[string]int{"": http.StatusOK, "db=down": http.StatusServiceUnavailable} {
		faults, err := chaos.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		shop, err := app.Start(t.Context(), app.Config{Dir: t.TempDir(), Faults: faults})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range shop.Instances() {
			if i.Name == app.Gateway {
				continue // it has no database
			}
			got := get(t, "http://"+i.Admin+"/readyz")
			for late := time.Now().Add(10 * time.Second); got != want && time.Now().Before(late); { // the first check is under way
				got = get(t, "http://"+i.Admin+"/readyz")
			}
			if got != want {
				t.Errorf("%q: %s is %d, want %d", spec, i.Name, got, want)
			}
			if got := get(t, "http://"+i.Admin+"/livez"); got != http.StatusOK {
				t.Errorf("%q: %s /livez is %d", spec, i.Name, got)
			}
		}
		stop(t, shop)
	}
}

func get(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestStartFails(t *testing.T) {
	shop, err := app.Start(t.Context(), app.Config{Dir: t.TempDir(), GatewayAddr: "127.0.0.1:99999"})
	if err == nil {
		stop(t, shop)
		t.Fatal("started on an impossible port")
	}
}
