// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// policed is a client of s with the whole chain.
func (g *rig) policed(s *scripted, svc *policies.Service) *http.Client {
	return g.clientOf(s.client, "payment",
		httpmw.DeadlineTransport(budget(g.t, ctxutil.WithMaxTimeout(time.Minute))), httpmw.PoliciesTransport(svc), httpmw.AttemptTransport(g.recorder))
}

// callAndAttempts returns the one span of a client's request and those of its attempts.
func (g *rig) callAndAttempts() (call *telemetrytest.Span, attempts []*telemetrytest.Span) {
	g.t.Helper()
	for _, s := range g.spans(trace.SpanKindClient) {
		if isAttempt(s) {
			attempts = append(attempts, s)
			continue
		}
		if call != nil {
			g.t.Fatalf("two requests: %s and %s", call, s)
		}
		call = s
	}
	if call == nil {
		g.t.Fatal("no request")
	}
	return call, attempts
}

// TestOneCallManyAttempts: one span for what the caller asked for, one below it for each
// attempt, and the server's below the right one; lines and metrics agree (which the
// rig checks).
func TestOneCallManyAttempts(t *testing.T) {
	for proto, http2 := range protocols {
		for name, propagator := range map[string][]record.Option{"W3C": nil, "B3": {record.WithPropagator(b3{})}} {
			t.Run(proto+" "+name, func(t *testing.T) {
				g := newRig(t, propagator...)
				var n atomic.Int32
				s := serveSteps(t, http2, g.served(handle("PUT /charges/{id}", func(w http.ResponseWriter, r *http.Request) {
					if n.Add(1) < 3 {
						httpmw.WriteError(w, r, errors.New("not yet"))
						return
					}
					_, _ = io.WriteString(w, "charged")
				})).ServeHTTP)
				svc := service(policies.Retry(retry.WithBackoff(1, 1)), policies.Breaker(), policies.NoBudget())
				got := send(t, g.policed(s, svc), newRequest(t, http.MethodPut, s.url+"/charges/7", strings.NewReader("7 EUR")))
				if got.text != "charged" {
					t.Errorf("%d %q", got.StatusCode, got.text)
				}
				call, attempts := g.callAndAttempts()
				wantSpan(t, call, map[string]any{"http.response.status_code": int64(200), "error.type": nil, "server.address": "payment"})
				wantLine(t, g.line(call), map[string]any{"attempts": 3.0, "http.response.status_code": 200.0})
				if len(attempts) != 3 {
					t.Fatalf("%d attempts, want 3", len(attempts))
				}
				for i, a := range attempts {
					code, failed, resend := int64(500), any("500"), any(int64(i))
					if i == 2 {
						code, failed = 200, nil
					}
					if i == 0 {
						resend = nil
					}
					wantSpan(t, a, map[string]any{
						"http.response.status_code": code, "error.type": failed, "fairlead.attempt": int64(i + 1), "http.request.resend_count": resend, "server.address": "payment",
					})
					if a.ParentSpan() != call || a.Start.Before(call.Start) || a.End.After(call.End) {
						t.Errorf("attempt %d is not within the request", i+1)
					}
					if below := a.Children(); len(below) != 1 || below[0].Kind != trace.SpanKindServer || below[0].Name != "PUT /charges/{id}" {
						t.Errorf("below attempt %d: %v", i+1, below)
					}
				}
			})
		}
	}
}

// onlyRoots is a sampler that has something to say of calls and nothing of attempts.
type onlyRoots struct{ sdktrace.Sampler }

func (s onlyRoots) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	r := sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	if !trace.SpanContextFromContext(p.ParentContext).IsValid() {
		r.Tracestate, _ = trace.ParseTraceState("vendor=call")
	}
	return r
}

// TestIdentityOfAnAttempt: all of it is the attempt's, and none is left in the request
// that it was made from.
func TestIdentityOfAnAttempt(t *testing.T) {
	rec := stack(t, onlyRoots{sdktrace.AlwaysSample()})
	var given, sent http.Header
	between := func(next http.RoundTripper) http.RoundTripper {
		return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			given = r.Header.Clone()
			resp, err := next.RoundTrip(r)
			if diff := cmp.Diff(given, r.Header); diff != "" {
				t.Errorf("the request it was given was changed:\n%s", diff)
			}
			return resp, err
		})
	}
	rt := httpmw.ChainTransport(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		sent = r.Header.Clone()
		return answers(200, http.NoBody).RoundTrip(r)
	}), httpmw.RecordTransport(rec, "payment"), between, httpmw.AttemptTransport(rec))
	if _, err := rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil)); err != nil {
		t.Fatal(err)
	}
	if given.Get("Tracestate") != "vendor=call" || sent.Get("Tracestate") != "" {
		t.Errorf("tracestate %q of the call, %q of the attempt", given.Get("Tracestate"), sent.Get("Tracestate"))
	}
	call, attempt := given.Get("Traceparent"), sent.Get("Traceparent")
	if call == "" || attempt == "" || call == attempt || call[:36] != attempt[:36] {
		t.Errorf("%s of the call, %s of the attempt", call, attempt)
	}
}

// TestAttemptsWithoutASpan: of a request whose span nobody records, attempts are
// counted and the request's own identity is sent.
func TestAttemptsWithoutASpan(t *testing.T) {
	registry := prometheus.NewRegistry()
	rec := stackOn(t, sdktrace.NeverSample(), registry)
	s := serveSteps(t, false, status(503), status(200))
	c := &http.Client{Transport: httpmw.ChainTransport(s.client.Transport,
		httpmw.RecordTransport(rec, "payment"), httpmw.RetryTransport(retryPolicy()), httpmw.AttemptTransport(rec))}
	get(t, c, s.url)
	rs := s.requests()
	if len(rs) != 2 || rs[0].header.Get("Traceparent") == "" || rs[0].header.Get("Traceparent") != rs[1].header.Get("Traceparent") {
		t.Errorf("identities %v", rs)
	}
	if n := countOf(t, registry, "http_client_attempt_duration_seconds"); n != 2 {
		t.Errorf("%d attempts counted, want 2", n)
	}
	if n := countOf(t, registry, "http_client_request_duration_seconds"); n != 1 {
		t.Errorf("%d requests counted, want 1", n)
	}
}

// countOf returns how many observations a histogram has.
func countOf(t *testing.T, g prometheus.Gatherer, name string) (n uint64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}

// TestNoCallNoAttempt: without a record of this recorder there is none.
func TestNoCallNoAttempt(t *testing.T) {
	g := newRig(t)
	other := g.another("other", prometheus.NewRegistry())
	for name, ts := range map[string][]httpmw.Transport{
		"no record":          {httpmw.AttemptTransport(g.recorder)},
		"another recorder's": {httpmw.RecordTransport(other, "payment"), httpmw.AttemptTransport(g.recorder)},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveSteps(t, false, status(200))
			before := len(g.seen.Run(t).Spans())
			get(t, s.with(ts...), s.url)
			for _, sp := range g.settle().Spans()[before:] {
				if isAttempt(sp) {
					t.Errorf("an attempt: %s", sp)
				}
			}
		})
	}
	s := serveSteps(t, false, status(200))
	handler := httpmw.Record(g.recorder)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, s.url, nil)
		send(t, s.with(httpmw.AttemptTransport(g.recorder)), req)
	}))
	direct(handler, newRequest(t, http.MethodGet, "/", nil)) // below a server's record
	for _, sp := range g.settle().Spans() {
		if isAttempt(sp) {
			t.Errorf("an attempt of a server's request: %s", sp)
		}
	}
}

func isAttempt(s *telemetrytest.Span) bool {
	_, ok := s.Attr("fairlead.attempt")
	return ok
}

// TestRefusedIsNoAttempt: what was not sent has no span and no observation.
func TestRefusedIsNoAttempt(t *testing.T) {
	g := newRig(t)
	svc := service(policies.Breaker())
	svc.Breaker().ForceOpen(t.Context())
	s := serveSteps(t, false, status(200))
	if _, err := g.policed(s, svc).Do(newRequest(t, http.MethodGet, s.url, nil)); err == nil {
		t.Error("no error")
	}
	call, attempts := g.callAndAttempts()
	wantSpan(t, call, map[string]any{"error.type": "rejected"})
	wantLine(t, g.line(call), map[string]any{"outcome": "rejected", "attempts": nil})
	if len(attempts) != 0 || len(s.requests()) != 0 {
		t.Errorf("%d attempts, %d requests", len(attempts), len(s.requests()))
	}
}

// TestHowAttemptsEnd: with an error, with their body, without either, and as losers.
func TestHowAttemptsEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		rt   http.RoundTripper
		use  func(resp *http.Response, cancel func())
		want map[string]any
		end  time.Duration
	}{
		{"an error", fails(io.ErrUnexpectedEOF), nil, map[string]any{"error.type": "connection"}, 0},
		{"read", answers(200, io.NopCloser(strings.NewReader("ok"))), func(resp *http.Response, _ func()) {
			time.Sleep(time.Second)
			_, _ = io.ReadAll(resp.Body)
		}, map[string]any{"error.type": nil, "http.response.status_code": int64(200)}, time.Second},
		{"closed", answers(404, io.NopCloser(strings.NewReader("no"))), func(resp *http.Response, _ func()) {
			time.Sleep(time.Second)
			resp.Body.Close()
		}, map[string]any{"error.type": "404", "http.response.status_code": int64(404)}, time.Second},
		{"no body", answers(204, http.NoBody), func(*http.Response, func()) {}, map[string]any{"error.type": nil}, 0},
		{"broken off", answers(200, brokenBody{errReader{io.ErrUnexpectedEOF}}), func(resp *http.Response, _ func()) {
			time.Sleep(time.Second)
			_, _ = io.ReadAll(resp.Body)
		}, map[string]any{"error.type": "body", "http.response.status_code": int64(200)}, time.Second},
		{"canceled", answers(200, io.NopCloser(strings.NewReader("ok"))), func(_ *http.Response, cancel func()) {
			time.Sleep(time.Second)
			cancel()
		}, map[string]any{"error.type": "canceled", "http.response.status_code": int64(200)}, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				resp, err := g.roundTrip(ctx, httpmw.AttemptTransport(g.recorder)(tc.rt))
				if (err == nil) != (tc.use != nil) {
					t.Fatal(err)
				}
				if err == nil {
					tc.use(resp, cancel)
				}
				synctest.Wait()
				_, attempts := g.callAndAttempts()
				if len(attempts) != 1 || attempts[0].Duration() != tc.end {
					t.Fatalf("%v, want one that took %v", attempts, tc.end)
				}
				wantSpan(t, attempts[0], tc.want)
			})
		})
	}
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { _ = recover() }()
				_, _ = g.roundTrip(t.Context(), httpmw.AttemptTransport(g.recorder)(roundTripperFunc(func(*http.Request) (*http.Response, error) { end(); return nil, nil })))
			})
			wg.Wait()
			_, attempts := g.callAndAttempts()
			wantSpan(t, attempts[0], map[string]any{"error.type": "panic"})
		})
	}
}

// TestHedgedAttempts: both are there, at the same time, and the loser says what it is.
func TestHedgedAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		var n atomic.Int32
		client := g.pipeChain(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				untilDone(w, r)
				return
			}
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, "ok")
		}, httpmw.HedgeTransport(hedgePolicy(time.Second)), httpmw.AttemptTransport(g.recorder))
		got := get(t, client, "http://payment/")
		if got.text != "ok" {
			t.Errorf("%q", got.text)
		}
		client.CloseIdleConnections()
		call, attempts := g.callAndAttempts()
		if len(attempts) != 2 {
			t.Fatalf("%d attempts", len(attempts))
		}
		wantSpan(t, attempts[0], map[string]any{"error.type": "canceled", "http.response.status_code": nil, "fairlead.attempt": int64(1)})
		wantSpan(t, attempts[1], map[string]any{"error.type": nil, "http.response.status_code": int64(200), "fairlead.attempt": int64(2)})
		if d := []time.Duration{call.Duration(), attempts[0].Duration(), attempts[1].Duration()}; !cmp.Equal(d, []time.Duration{2 * time.Second, 2 * time.Second, time.Second}) {
			t.Errorf("took %v", d)
		}
		if attempts[0].StatusMessage != ctxutil.ErrHedgeLost.Error() {
			t.Errorf("the loser says %q", attempts[0].StatusMessage)
		}
	})
}

// pipeChain is a client of h over memory, inside a bubble, with records.
func (g *rig) pipeChain(h http.HandlerFunc, ts ...httpmw.Transport) *http.Client {
	ln := servePipe(g.t, g.served(h).ServeHTTP)
	c := newClient(g.t, httpmw.WithPlaintext(), httpmw.WithoutTimeout(), httpmw.WithDialContext(ln.dial))
	return g.clientOf(c, "payment", ts...)
}
