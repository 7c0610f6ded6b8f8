// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry"
)

// TestCollectorIsKilledAndComesBack runs against real sockets: spans and records
// before, during and after an outage, with the losses counted and the state said
// once each way.
func TestCollectorIsKilledAndComesBack(t *testing.T) {
	for name, via := range collectors {
		t.Run(name, func(t *testing.T) {
			collector := via.start(t)
			setenv(t, append(via.env, quick...)...)
			setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL())
			var said, handled journal
			otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { handled.logger().Error(err.Error()) }))
			tel := start(t, telemetry.WithLogger(said.logger()))
			counter, err := tel.MeterProvider().Meter("test").Int64Counter("n")
			if err != nil {
				t.Fatal(err)
			}
			made := 0
			work := func(name string) {
				made++
				ctx, span := tel.TracerProvider().Tracer("test").Start(t.Context(), name)
				slog.New(tel.SlogHandler()).InfoContext(ctx, name)
				counter.Add(ctx, 1)
				span.End()
			}
			arrived := func(name string) func() bool {
				return func() bool {
					for _, r := range collector.Logs() {
						if r.GetBody().GetStringValue() == name {
							return strings.Contains(strings.Join(collector.SpanNames(), " "), name)
						}
					}
					return false
				}
			}
			work("before")
			collector.WaitFor(t, "span and record before the outage", arrived("before"))
			collector.Stop()

			// Each export fails after its 150ms: let several do so.
			for failures := range uint64(3) {
				begin := time.Now()
				work("during")
				if took := time.Since(begin); took > time.Second {
					t.Errorf("a request took %v while the collector was away", took)
				}
				eventually(t, "the loss is counted", func() bool {
					s := tel.Stats()
					return s.Traces.Failed > failures && s.Logs.Failed > failures && s.Metrics.Failed > failures
				})
			}
			if s := tel.Stats(); !s.Traces.Down || !s.Logs.Down || !s.Metrics.Down {
				t.Errorf("Stats() = %+v, want every signal down", s)
			}
			for _, signal := range []string{"traces", "metrics", "logs"} {
				if got := said.with(signal + " cannot be exported"); len(got) != 1 || !strings.Contains(got[0], collector.Addr()) {
					t.Errorf("the outage of %s was said %q, want once with the endpoint", signal, got)
				}
			}

			if got := len(handled.with("")); got != 0 {
				t.Errorf("the SDK's error handler was told %d times of what the log says once", got)
			}
			if err := tel.ForceFlush(t.Context()); err == nil || !strings.Contains(err.Error(), "telemetry: flush metrics: ") {
				t.Errorf("ForceFlush = %v, want it to name the metrics", err)
			}

			collector.Start(t)
			eventually(t, "everything is exported again", func() bool {
				work("after")
				s := tel.Stats()
				return !s.Traces.Down && !s.Logs.Down && !s.Metrics.Down
			})
			collector.WaitFor(t, "span and record after the outage", arrived("after"))
			for _, signal := range []string{"traces", "metrics", "logs"} {
				eventually(t, "the end of the outage of "+signal+" is said", func() bool {
					return len(said.with(signal+" are exported again")) == 1
				})
				if got := said.with(signal + " cannot be exported"); len(got) != 1 {
					t.Errorf("the outage of %s was said %d times", signal, len(got))
				}
			}
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if got := tel.Stats().Traces; got.Queued != 0 || int(got.Exported+got.Lost()) != made {
				t.Errorf("Stats().Traces = %+v, want exported and lost to be %d together", got, made)
			}
			// An answer that comes too late counts as lost though the collector has the span.
			if got := int(tel.Stats().Traces.Exported); got > len(collector.Spans()) {
				t.Errorf("%d spans counted as exported, the collector has %d", got, len(collector.Spans()))
			}
		})
	}
}

func TestShutdownAgainstAHungCollectorIsBounded(t *testing.T) {
	for name, via := range collectors {
		t.Run(name, func(t *testing.T) {
			collector := via.start(t)
			collector.Hang()
			setenv(t, via.env...)
			setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL())
			tel := start(t, telemetry.WithLogger(nil))
			emit(t, tel, prometheus.NewRegistry())
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			err := tel.Shutdown(ctx)
			if took := time.Since(begin); took > 5*time.Second { // generous: the machine may be busy
				t.Errorf("Shutdown took %v with 300ms to spend", took)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown = %v, want DeadlineExceeded", err)
			}
			for _, signal := range []string{"traces", "metrics", "logs"} {
				if err == nil || !strings.Contains(err.Error(), "telemetry: shut down "+signal) {
					t.Errorf("Shutdown = %v, want it to name %s", err, signal)
				}
			}
			if again := tel.Shutdown(t.Context()); again == nil || again.Error() != err.Error() {
				t.Errorf("second Shutdown = %v, want the first one's error", again)
			}
			collector.Resume()
			eventually(t, "what was lost is counted", func() bool {
				s := tel.Stats()
				return s.Traces.Lost() == 1 && s.Logs.Lost() == 1
			})
		})
	}
}

// stuck is an exporter that answers when its context ends, or with err.
type stuck struct {
	mu  sync.Mutex
	err error // nil: wait
	ok  bool
	got int
}

func (s *stuck) export(ctx context.Context, n int) error {
	s.mu.Lock()
	err, ok := s.err, s.ok
	if ok {
		s.got += n
	}
	s.mu.Unlock()
	if ok || err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *stuck) set(ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ok, s.err = ok, err
}

func (s *stuck) Shutdown(context.Context) error { return nil }

type stuckSpans struct{ *stuck }

func (s stuckSpans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return s.export(ctx, len(spans))
}

type stuckLogs struct{ *stuck }

func (s stuckLogs) Export(ctx context.Context, records []sdklog.Record) error {
	return s.export(ctx, len(records))
}

func (stuckLogs) ForceFlush(context.Context) error { return nil }

func TestAHangingExporterBlocksNobodyAndLosesByTheCount(t *testing.T) {
	setenv(t, "OTEL_BSP_MAX_QUEUE_SIZE=8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4", "OTEL_BSP_EXPORT_TIMEOUT=10000",
		"OTEL_BLRP_MAX_QUEUE_SIZE=8", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=100")
	synctest.Test(t, func(t *testing.T) {
		var said journal
		spans, records := &stuck{}, &stuck{}
		tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogger(said.logger()),
			telemetry.WithSpanExporter(stuckSpans{spans}), telemetry.WithLogExporter(stuckLogs{records}))
		tracer, logger := tel.TracerProvider().Tracer("test"), slog.New(tel.SlogHandler())
		request := func() {
			ctx, span := tracer.Start(t.Context(), "request")
			logger.InfoContext(ctx, "line")
			span.End()
		}
		for range 4 { // the first batch of spans hangs
			request()
		}
		synctest.Wait()
		begin := time.Now()
		for range 20 {
			request()
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("20 requests took %v of virtual time, want none", took)
		}
		got := tel.Stats()
		if got.Traces.QueueFull != 12 || got.Traces.Queued != 8 || got.Traces.Capacity != 8 {
			t.Errorf("traces %+v, want 12 of 24 dropped, 4 on the way and 8 queued", got.Traces)
		}
		// The batch size was clamped to the queue: 8 records are on their way or queued.
		if got.Logs.QueueFull+uint64(got.Logs.Queued) > 24 || got.Logs.QueueFull == 0 {
			t.Errorf("logs %+v, want some of 24 dropped", got.Logs)
		}
		time.Sleep(10 * time.Second) // the export times out
		synctest.Wait()
		if got := said.with("level=WARN msg=\"telemetry: the queue of traces is full"); len(got) != 1 || !strings.Contains(got[0], "lost=12") {
			t.Errorf("said %q, want once that the queue is full", got)
		}
		if got := said.with("traces cannot be exported"); len(got) != 1 {
			t.Errorf("said %q, want once that the export fails", got)
		}
		spans.set(true, nil)
		records.set(true, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := said.with("the queue of traces has room again"); len(got) != 1 {
			t.Errorf("said %q, want once that there is room", got)
		}
		if got := said.with("traces are exported again"); len(got) != 1 || !strings.Contains(got[0], "after=") {
			t.Errorf("said %q, want once that it works", got)
		}
		final := tel.Stats().Traces
		if final.Exported+final.Lost() != 24 || final.Exported != uint64(spans.got) {
			t.Errorf("traces %+v, want exported and lost to be 24 together, and %d exported", final, spans.got)
		}
	})
}

func TestShutdownSharesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := &stuck{ok: true}
		tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogger(nil),
			telemetry.WithSpanExporter(stuckSpans{&stuck{}}), telemetry.WithSpanExporter(stuckSpans{&stuck{ok: true}}),
			telemetry.WithLogExporter(stuckLogs{records}))
		ctx, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
		slog.New(tel.SlogHandler()).InfoContext(ctx, "line")
		span.End()
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		begin := time.Now()
		err := tel.Shutdown(ctx)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("Shutdown took %v, want the third of 9s that is the traces' share", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || records.got != 1 {
			t.Errorf("Shutdown = %v with %d records exported, want DeadlineExceeded and 1", err, records.got)
		}
		synctest.Wait()
		if got := tel.Stats().Traces; got.Exported != 1 || got.Lost() != 1 {
			t.Errorf("traces %+v, want one exporter to have the span and the other to have lost it", got)
		}
	})
}

func TestShutdownWithoutDeadlineEndsAtTheFirstFailure(t *testing.T) {
	setenv(t, "OTEL_BSP_EXPORT_TIMEOUT=7000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1000", "OTEL_BSP_MAX_QUEUE_SIZE=1000")
	synctest.Test(t, func(t *testing.T) {
		tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogger(nil), telemetry.WithSpanExporter(stuckSpans{&stuck{}}))
		for range 900 {
			_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
			span.End()
		}
		begin := time.Now()
		if err := tel.Shutdown(context.Background()); err == nil {
			t.Error("Shutdown = nil, want the failure")
		}
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("Shutdown took %v, want one export's 7s", took)
		}
		if got := tel.Stats().Traces.Lost(); got != 900 {
			t.Errorf("%d spans lost, want 900", got)
		}
	})
}

func TestAfterShutdownNothingIsTakenAndLossIsCounted(t *testing.T) {
	exporter := &stuck{ok: true}
	tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithSpanExporter(stuckSpans{exporter}))
	_, open := tel.TracerProvider().Tracer("test").Start(t.Context(), "still open")
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	open.End()
	_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "too late")
	span.End()
	slog.New(tel.SlogHandler()).Info("too late")
	if exporter.got != 0 {
		t.Errorf("%d spans exported after Shutdown", exporter.got)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}
}

func TestCollectorHasTheNumbers(t *testing.T) {
	failing := &stuck{err: errors.New("no")}
	tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogger(nil), telemetry.WithTail(),
		telemetry.WithSpanExporter(stuckSpans{failing}), telemetry.WithSpanExporter(stuckSpans{&stuck{ok: true}}))
	_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
	span.End()
	if err := tel.ForceFlush(t.Context()); err == nil || !strings.Contains(err.Error(), "telemetry: flush traces: no") {
		t.Errorf("ForceFlush = %v, want the exporter's error", err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(tel.Collector())
	const want = `
# HELP otel_sdk_exporter_span_exported_total Spans exported; with an error_type, spans lost.
# TYPE otel_sdk_exporter_span_exported_total counter
otel_sdk_exporter_span_exported_total{error_type=""} 1
otel_sdk_exporter_span_exported_total{error_type="failed"} 1
# HELP otel_sdk_processor_span_queue_capacity Spans that may wait to be exported.
# TYPE otel_sdk_processor_span_queue_capacity gauge
otel_sdk_processor_span_queue_capacity 4096
# HELP fairlead_telemetry_exporter_up 1 unless the last export of the signal has failed.
# TYPE fairlead_telemetry_exporter_up gauge
fairlead_telemetry_exporter_up{signal="logs"} 1
fairlead_telemetry_exporter_up{signal="metrics"} 1
fairlead_telemetry_exporter_up{signal="traces"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"otel_sdk_exporter_span_exported_total", "otel_sdk_processor_span_queue_capacity", "fairlead_telemetry_exporter_up"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 30 {
		t.Errorf("%d series, %v; want 30: a number of their own, whatever the traffic", n, err)
	}
}

func TestLogLevelOfTelemetryItself(t *testing.T) {
	for level, want := range map[string]int{"none": 0, "error": 0, "warn": 1, "info": 2, "debug": 2, "NONE": 0} {
		t.Run(level, func(t *testing.T) {
			setenv(t, "OTEL_LOG_LEVEL="+level)
			var said journal
			exporter := &stuck{err: errors.New("no")}
			tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogger(said.logger()), telemetry.WithSpanExporter(stuckSpans{exporter}))
			for _, ok := range []bool{false, true} {
				exporter.set(ok, map[bool]error{false: errors.New("no")}[ok])
				_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
				span.End()
				_ = tel.ForceFlush(t.Context())
			}
			if got := said.with(""); len(got) != want {
				t.Errorf("said %d lines, want %d:\n%s", len(got), want, fmt.Sprint(got))
			}
		})
	}
}
