// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the caller outside sends.
const (
	callersTrace   = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan    = "00f067aa0ba902b7"
	callersTimeout = 10 * time.Second
)

// world is one bubble with services in it, and what they saw of a request.
type world struct {
	t       *testing.T
	seen    *telemetrytest.Recorder
	forward *ctxutil.Forward
	tracer  trace.TracerProvider // of consumers

	mu       sync.Mutex
	services int
	saw      []sight
}

// sight is a request as one place on its way has it.
type sight struct {
	place     string
	traceID   string
	baggage   string
	tenant    string
	requestID string
	left      time.Duration // until its deadline; 0 is none
	endedBy   ctxutil.End   // when its step was over
	after     time.Duration // from its start until then
}

func newWorld(t *testing.T) *world {
	t.Helper()
	forward, err := ctxutil.NewForward([]string{"X-Tenant"})
	if err != nil {
		t.Fatal(err)
	}
	seen := telemetrytest.NewRecorder()
	return &world{t: t, seen: seen, forward: forward, tracer: seen.TracerProvider("consumer")}
}

// recorder returns the recorder of one more service.
func (w *world) recorder(name string, opts ...record.Option) *record.Recorder {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	set, err := metrics.New(registry, metrics.WithExemplarInterval(0))
	if err != nil {
		w.t.Fatal(err)
	}
	w.seen.AddMetrics(name, registry)
	rec, err := record.New(append([]record.Option{
		record.WithTracerProvider(w.seen.TracerProvider(name)),
		record.WithMetrics(set),
		record.WithLogger(w.logger(name)),
		record.WithForward(w.forward),
	}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func (w *world) logger(service string) *slog.Logger {
	return slog.New(logging.NewHandler(w.seen.LogHandler(service)))
}

// budgets of clients, which hold the default reserve back, and of servers, which
// do not.
func (w *world) budgets() (client, server ctxutil.Budget) {
	w.t.Helper()
	server, err := ctxutil.NewBudget(ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	return ctxutil.Budget{}, server
}

// arrive notes how a request came to a place, and how it ended there.
func (w *world) arrive(place string, do step) step {
	return func(ctx context.Context) error {
		start := time.Now()
		left, _ := ctxutil.Remaining(ctx)
		w.mu.Lock()
		i := len(w.saw)
		w.saw = append(w.saw, sight{
			place:     place,
			traceID:   ctxutil.TraceID(ctx),
			baggage:   baggage.FromContext(ctx).Member("user").Value(),
			tenant:    ctxutil.ForwardedValue(ctx, "x-tenant"),
			requestID: ctxutil.IdentityFrom(ctx).CorrelationID,
			left:      left,
		})
		w.mu.Unlock()
		w.logger("handlers").InfoContext(ctx, "arrived at "+place)
		err := do(ctx)
		w.mu.Lock()
		w.saw[i].endedBy, w.saw[i].after = ctxutil.EndedBy(ctx), time.Since(start)
		w.mu.Unlock()
		return err
	}
}

// sights returns what was seen, once everything is over.
func (w *world) sights() []sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saw
}

// enter sends one request in from outside, on a way through hops to last. ctx is
// the connection's.
func (w *world) enter(ctx context.Context, last step, hops ...hop) {
	w.t.Helper()
	next := last
	for i := len(hops) - 1; i >= 0; i-- {
		next = hops[i].build(w, w.arrive(hops[i].name, next))
	}
	edge := w.arrive("edge", next)
	_, budget := w.budgets()
	h := httpmw.Chain(handler(edge),
		httpmw.Record(w.recorder("edge")), httpmw.Recovery(), httpmw.Deadline(budget))
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	for k, v := range map[string]string{
		"Traceparent": "00-" + callersTrace + "-" + callersSpan + "-01", "Baggage": "user=ada", "X-Tenant": "acme",
		"X-Request-ID": "req-7", "X-Request-Timeout-Ms": "10000",
	} {
		r.Header.Set(k, v)
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// handler does a step for a request. When the request has ended it says nothing:
// that is Deadline's to do.
func handler(do step) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(r.Context()); err != nil && r.Context().Err() == nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
}

// withoutSDK is a service in which no tracer is installed.
func withoutSDK() record.Option { return record.WithTracerProvider(noop.NewTracerProvider()) }

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
