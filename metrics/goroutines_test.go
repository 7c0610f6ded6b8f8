// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
)

// runGoroutines leaves one piece of work under name in flight, until stop is called,
// and has one end in each of the ways there are.
func runGoroutines(t *testing.T, name string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	quiet := ctxutil.WithLogger(slog.New(slog.DiscardHandler))
	run := func(f func(context.Context) error) { ctxutil.Go(ctx, name, f, quiet) }
	run(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	run(func(context.Context) error { return nil })
	run(func(context.Context) error { return nil })
	run(func(context.Context) error { return errors.New("failed") })
	run(func(context.Context) error { panic("at the disco") })
	synctest.Wait()
	return func() {
		cancel()
		synctest.Wait()
	}
}

// runs makes names that no earlier run used: ctxutil counts for the whole process.
var runs atomic.Int64

func TestGoroutines(t *testing.T) {
	name := fmt.Sprint("warm-cache-", runs.Add(1))
	label := fmt.Sprintf("name=%q", name)
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		if err := metrics.RegisterRuntime(reg); err != nil {
			t.Fatal(err)
		}
		stop := runGoroutines(t, name)
		time.Sleep(time.Minute)
		shown := func() []string {
			var out []string
			for _, line := range lines(scrape(t, reg, "text/plain"), "fairlead_goroutines_") {
				if strings.Contains(line, label) {
					out = append(out, strings.Replace(line, label, "NAME", 1))
				}
			}
			return out
		}
		want := []string{
			`fairlead_goroutines_ended_total{NAME,outcome="canceled"} 0`,
			`fairlead_goroutines_ended_total{NAME,outcome="error"} 1`,
			`fairlead_goroutines_ended_total{NAME,outcome="ok"} 2`,
			`fairlead_goroutines_ended_total{NAME,outcome="panic"} 1`,
			`fairlead_goroutines_in_flight{NAME} 1`,
			`fairlead_goroutines_leaked{NAME} 0`,
			`fairlead_goroutines_oldest_start_timestamp_seconds{NAME} 9.466848e+08`,
			`fairlead_goroutines_started_total{NAME} 5`,
		}
		if diff := cmp.Diff(want, shown()); diff != "" {
			t.Errorf("one in flight (-want +got):\n%s", diff)
		}
		stop()
		want[0] = `fairlead_goroutines_ended_total{NAME,outcome="canceled"} 1`
		want[4] = `fairlead_goroutines_in_flight{NAME} 0`
		want = append(want[:6], want[7])
		if diff := cmp.Diff(want, shown()); diff != "" {
			t.Errorf("none in flight (-want +got):\n%s", diff)
		}
	})
}
