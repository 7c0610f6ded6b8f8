// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// fakeTB remembers failures in place of a test.
type fakeTB struct{ errors []string }

func (*fakeTB) Helper() {}

func (f *fakeTB) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fakeTB) String() string { return strings.Join(f.errors, "\n") }

// Kinds of call, as DefaultCalls orders them.
const (
	rpcServer = iota
	rpcAttempt
	rpcClient
	httpServer
	httpAttempt
	httpClient
)

// world is a few services that play a run by hand: their clock only moves when
// told to, and every signal of a call is made by a step of its own, so that a
// test can leave one out or spoil it.
type world struct {
	rec     *telemetrytest.Recorder
	kinds   []telemetrytest.CallKind
	now     time.Time
	tracers map[string]trace.Tracer
	loggers map[string]*slog.Logger
	metrics map[string]map[string]*prometheus.HistogramVec
}

func newWorld(opts ...telemetrytest.RecorderOption) *world {
	return &world{
		rec:     telemetrytest.NewRecorder(opts...),
		kinds:   telemetrytest.DefaultCalls(),
		now:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		tracers: map[string]trace.Tracer{},
		loggers: map[string]*slog.Logger{},
		metrics: map[string]map[string]*prometheus.HistogramVec{},
	}
}

func (w *world) tracer(service string) trace.Tracer {
	if w.tracers[service] == nil {
		w.tracers[service] = w.rec.TracerProvider(service).Tracer("test")
	}
	return w.tracers[service]
}

func (w *world) logger(service string) *slog.Logger {
	if w.loggers[service] == nil {
		w.loggers[service] = slog.New(w.rec.LogHandler(service))
	}
	return w.loggers[service]
}

func (w *world) histogram(service string, k telemetrytest.CallKind) *prometheus.HistogramVec {
	if w.metrics[service] == nil {
		w.metrics[service] = map[string]*prometheus.HistogramVec{}
		reg := prometheus.NewRegistry()
		w.rec.AddMetrics(service, reg)
		for _, kind := range w.kinds {
			var labels []string
			for _, key := range append(append([]string{}, kind.Keys...), kind.Code) {
				labels = append(labels, strings.ReplaceAll(key, ".", "_"))
			}
			h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
				Name: kind.Metric, Help: "Calls.", Buckets: []float64{0.01, 1},
			}, labels)
			reg.MustRegister(h)
			w.metrics[service][kind.Metric] = h
		}
	}
	return w.metrics[service][k.Metric]
}

// call is one call of the world, under way or ended.
type call struct {
	w       *world
	service string
	kind    telemetrytest.CallKind
	values  []string // of the kind's keys
	code    string
	ctx     context.Context
	span    trace.Span
	start   time.Time
	took    time.Duration
}

// begin starts the span of a call, a millisecond after whatever came before.
func (w *world) begin(ctx context.Context, service string, kind int, name string) *call {
	w.now = w.now.Add(time.Millisecond)
	c := &call{w: w, service: service, kind: w.kinds[kind], values: strings.Fields(name), start: w.now}
	c.ctx, c.span = w.tracer(service).Start(ctx, name, trace.WithTimestamp(w.now), trace.WithSpanKind(c.kind.Span))
	for i, key := range c.kind.Keys {
		c.span.SetAttributes(attribute.String(key, c.values[i]))
	}
	if c.kind.Mark != "" {
		c.span.SetAttributes(attribute.Int(c.kind.Mark, 0))
	}
	return c
}

// end ends the span of a call with a code, a millisecond after whatever came before.
func (c *call) end(code string) *call {
	c.w.now = c.w.now.Add(time.Millisecond)
	c.code, c.took = code, c.w.now.Sub(c.start)
	c.span.SetAttributes(attribute.String(c.kind.Code, code))
	c.span.End(trace.WithTimestamp(c.w.now))
	return c
}

func (c *call) ids() []any {
	sc := c.span.SpanContext()
	return []any{"trace_id", sc.TraceID().String(), "span_id", sc.SpanID().String()}
}

func (c *call) ms() float64 { return float64(c.took) / float64(time.Millisecond) }

// line writes the request log line of the call.
func (c *call) line() *call { return c.lineWith(c.code, c.ms()) }

func (c *call) lineWith(code string, ms float64) *call {
	args := append(c.ids(), c.kind.Code, code, "duration_ms", ms)
	for i, key := range c.kind.Keys {
		args = append(args, key, c.values[i])
	}
	c.w.logger(c.service).InfoContext(c.ctx, c.kind.Message, args...)
	return c
}

// count observes the call, with an exemplar.
func (c *call) count() *call {
	ids := c.ids()
	return c.countWith(c.took.Seconds(), prometheus.Labels{"trace_id": ids[1].(string), "span_id": ids[3].(string)})
}

func (c *call) countWith(seconds float64, exemplar prometheus.Labels) *call {
	h := c.w.histogram(c.service, c.kind).WithLabelValues(append(append([]string{}, c.values...), c.code)...)
	h.(prometheus.ExemplarObserver).ObserveWithExemplar(seconds, exemplar)
	return c
}

// finish ends a call and does everything that is right.
func (c *call) finish(code string) { c.end(code).line().count() }

// request plays one good request over HTTP and gRPC.
func (w *world) request() {
	gw := w.begin(context.Background(), "gateway", httpServer, "GET /orders/{id}")
	out := w.begin(gw.ctx, "gateway", rpcClient, "shop.Order/Get")
	attempt := w.begin(out.ctx, "gateway", rpcAttempt, "shop.Order/Get")
	in := w.begin(attempt.ctx, "order", rpcServer, "shop.Order/Get")
	w.logger("order").InfoContext(in.ctx, "looked up", in.ids()...)
	pay := w.begin(in.ctx, "order", httpClient, "POST payment")
	pay.finish("503")
	in.finish("UNAVAILABLE")
	attempt.end("UNAVAILABLE").count()
	out.finish("UNAVAILABLE")
	gw.finish("502")
}

// problems returns what the rules say, and fails the test if Check does not say
// the same.
func (w *world) problems(t *testing.T, opts ...telemetrytest.Option) []telemetrytest.Problem {
	t.Helper()
	run := w.rec.Run(t)
	problems := run.Problems(opts...)
	var tb fakeTB
	telemetrytest.Check(&tb, run, opts...)
	if (len(problems) == 0) != (len(tb.errors) == 0) {
		t.Errorf("Problems finds %v, and Check reports %v", problems, tb.errors)
	}
	return problems
}
