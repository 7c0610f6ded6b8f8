// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// modulePath is where this module's version stands in a binary's build info.
const modulePath = "github.com/fairlead-go/fairlead"

// RegisterRuntime registers with reg what there is one of in a process: the Go
// runtime (go_*, with scheduler latencies and garbage collector times), the
// process (process_*), the build (go_build_info and fairlead_build_info), and the
// work that ctxutil started on goroutines (fairlead_goroutines_*). What reg has already is left alone, so it may
// be called again; with several registries of one process, call it for one of
// them.
func RegisterRuntime(reg prometheus.Registerer) error {
	if reg == nil {
		return errors.New("metrics: RegisterRuntime: nil registerer")
	}
	return errors.Join(
		registerOnce(reg, collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.MetricsScheduler, collectors.MetricsGC)), collectors.NewGoCollector()),
		registerOnce(reg, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		registerOnce(reg, collectors.NewBuildInfoCollector()),
		registerOnce(reg, newBuildInfo()),
		registerOnce(reg, newGoroutineCollector()),
	)
}

// registerOnce registers c unless reg has it already, or has one of alternatives
// in its place: another choice of the same metrics.
func registerOnce(reg prometheus.Registerer, c prometheus.Collector, alternatives ...prometheus.Collector) error {
	err := reg.Register(c)
	var are prometheus.AlreadyRegisteredError
	if err == nil || errors.As(err, &are) {
		return nil
	}
	for _, a := range alternatives {
		if err := reg.Register(a); err == nil || errors.As(err, &are) {
			return nil
		}
	}
	return fmt.Errorf("metrics: RegisterRuntime: %w", err)
}

func newBuildInfo() prometheus.Collector {
	g := newGaugeVec(&buildInfo)
	if c, err := g.GetMetricWithLabelValues(moduleVersion(), runtime.Version()); err == nil {
		c.Set(1)
	}
	return g
}

// moduleVersion returns the version of this module in the running binary.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == modulePath && info.Main.Version != "" {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == modulePath {
			return m.Version
		}
	}
	return "(devel)"
}
