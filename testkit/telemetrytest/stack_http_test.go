// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// TestHTTPStack runs real requests through the whole stack, as TestRPCStack does.
func TestHTTPStack(t *testing.T) {
	for name, sampler := range map[string]sdktrace.Sampler{
		"sampled":   sdktrace.ParentBased(sdktrace.AlwaysSample()),
		"a half":    sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.5)),
		"unsampled": sdktrace.NeverSample(),
	} {
		t.Run(name, func(t *testing.T) {
			rec := telemetrytest.NewRecorder()
			playHTTP(t, rec, sampler, "1", "panic", "late-panic", "404", "503", "299")
			run := rec.Run(t)
			telemetrytest.Check(t, run)
			for _, message := range []string{"http server request", "http client request"} {
				if got := run.Logs().With(message).Len(); got < 50 {
					t.Errorf("only %d lines with %q", got, message)
				}
			}
			for _, key := range []string{"attempts", "degraded"} {
				if got := run.Logs().Where(func(l *telemetrytest.Line) bool { _, ok := l.Attr(key); return ok }).Len(); got < 10 {
					t.Errorf("only %d lines with %s", got, key)
				}
			}
			if name != "sampled" {
				return
			}
			orders := run.Traces().With("GET /orders/{id}")
			orders.Covers("gateway", "order").NoOrphans()
			orders.All()[0].Span("GET").IsAncestorOf("GET /orders/{id}")
			if got := run.Problems(telemetrytest.NotACall(func(s *telemetrytest.Span) bool { return s.Service == "order" })); len(got) < 50 {
				t.Errorf("with no request of order known, only %d problems", len(got))
			}
		})
	}
}

// TestHTTPStatusOutOfClass sends what net/http can send and no class of statuses
// has: the three signals must agree about it all the same.
func TestHTTPStatusOutOfClass(t *testing.T) {
	rec := telemetrytest.NewRecorder()
	playHTTP(t, rec, sdktrace.AlwaysSample(), "777")
	telemetrytest.Check(t, rec.Run(t))
}

// tries sends a request up to three times, and takes what is no answer then for a
// degraded one.
type tries struct {
	recorder *record.Recorder
	next     http.RoundTripper
}

func (t tries) RoundTrip(req *http.Request) (*http.Response, error) {
	for n := 1; ; n++ {
		ctx, a := t.recorder.StartAttempt(req.Context())
		a.Begin(false)
		sent := req.Clone(ctx)
		if own := a.Outgoing(); own.Traceparent != "" {
			sent.Header.Set("Traceparent", own.Traceparent)
		}
		resp, err := t.next.RoundTrip(sent)
		if err != nil {
			a.FinishHTTP(record.NewHTTPFailure(0, "timeout", resilience.OutcomeTimeout), err.Error())
			return nil, err
		}
		a.FinishHTTP(record.NewHTTPStatus(false, resp.StatusCode, resilience.OutcomeTransient), "")
		if resp.StatusCode != http.StatusServiceUnavailable {
			return resp, nil
		}
		if n == 3 {
			record.Degrade(ctx, "no order")
			return resp, nil
		}
		_ = resp.Body.Close()
	}
}

// playHTTP asks for each of the orders ten times, and for some that go wrong otherwise.
func playHTTP(t *testing.T, rec *telemetrytest.Recorder, sampler sdktrace.Sampler, orders ...string) {
	serverRecord, logger := recorded(t, rec, "order", sampler)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		logger.WithGroup("request").InfoContext(r.Context(), "asked", "id", r.PathValue("id"))
		switch id := r.PathValue("id"); id {
		case "panic":
			panic("no order\r\n\x1b[31m")
		case "late-panic":
			_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
			panic("too late")
		case "wait":
			<-r.Context().Done()
		case "404", "503", "299", "777":
			code, _ := strconv.Atoi(id)
			w.WriteHeader(code)
		default:
			_, _ = io.WriteString(w, "an order")
		}
	})
	srv := httptest.NewUnstartedServer(httpmw.Chain(mux, httpmw.Record(serverRecord), httpmw.Recovery()))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	defer srv.Close()

	clientRecord, _ := recorded(t, rec, "gateway", sampler)
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: httpmw.ChainTransport(base, httpmw.RecordTransport(clientRecord, "order"),
		func(next http.RoundTripper) http.RoundTripper { return tries{clientRecord, next} })}
	get := func(method, path string, patience time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	for i := range 10 {
		for _, id := range orders {
			get("GET", "/orders/"+id, time.Minute)
		}
		get("GET", "/orders/wait", 20*time.Millisecond)
		get("GET", "/nowhere/"+strconv.Itoa(i), time.Minute)
		get("POST", "/orders/1", time.Minute)
		get("MADE-UP"+strconv.Itoa(i), "/orders/1", time.Minute)
	}
}
