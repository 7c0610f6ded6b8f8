// SPDX-License-Identifier: Apache-2.0

package policylog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/policylog"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

// inTrace returns the context of a call.
func inTrace() context.Context {
	id, _ := trace.TraceIDFromHex(traceID)
	span, _ := trace.SpanIDFromHex(spanID)
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span}))
}

// plain returns a logger to w that leaves out the time.
func plain(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, AddSource: true, ReplaceAttr: withoutTime}))
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

const ids = `"trace_id":"` + traceID + `","span_id":"` + spanID + `",`

var (
	errAway        = errors.New("redis: connection refused")
	errUnavailable = errors.New("unavailable")
)

var tests = []struct {
	name  string
	level slog.Level
	tell  func(context.Context, resilience.Observer)
	want  string // with the ids of the call for %
}{
	{"opened", slog.LevelWarn, func(ctx context.Context, o resilience.Observer) {
		o.StateChanged(ctx, resilience.StateChange{
			Name: "payment", From: resilience.StateClosed, To: resilience.StateOpen,
			Reason: "failure ratio 0.62 of 50 calls", OpenFor: 12500 * time.Microsecond, TraceID: traceID,
		})
	}, `{"level":"WARN","msg":"circuit breaker opened",%"name":"payment","from":"closed","to":"open","reason":"failure ratio 0.62 of 50 calls","open_for_ms":12.5}`},
	{"half-open", slog.LevelDebug, func(ctx context.Context, o resilience.Observer) {
		o.StateChanged(ctx, resilience.StateChange{
			Name: "payment", From: resilience.StateOpen, To: resilience.StateHalfOpen, Reason: "open time over", TraceID: traceID,
		})
	}, `{"level":"DEBUG","msg":"circuit breaker half-open",%"name":"payment","from":"open","to":"half-open","reason":"open time over"}`},
	{"closed", slog.LevelInfo, func(ctx context.Context, o resilience.Observer) {
		o.StateChanged(ctx, resilience.StateChange{
			Name: "payment", From: resilience.StateHalfOpen, To: resilience.StateClosed, Reason: "3 probes succeeded", TraceID: traceID,
		})
	}, `{"level":"INFO","msg":"circuit breaker closed",%"name":"payment","from":"half-open","to":"closed","reason":"3 probes succeeded"}`},
	{"degraded", slog.LevelWarn, func(ctx context.Context, o resilience.Observer) {
		o.Degraded(ctx, resilience.Degradation{
			Policy: resilience.PolicyRateLimit, Name: "api", Since: time.Unix(1, 0), Err: errAway,
		})
	}, `{"level":"WARN","msg":"policy degraded",%"policy":"rate_limit","name":"api","error":"redis: connection refused"}`},
	{"degraded without a cause", slog.LevelWarn, func(ctx context.Context, o resilience.Observer) {
		o.Degraded(ctx, resilience.Degradation{Policy: resilience.PolicyBreaker, Name: "_OTHER", Since: time.Unix(1, 0)})
	}, `{"level":"WARN","msg":"policy degraded",%"policy":"breaker","name":"_OTHER"}`},
	{"recovered", slog.LevelInfo, func(ctx context.Context, o resilience.Observer) {
		o.Degraded(ctx, resilience.Degradation{Policy: resilience.PolicyRateLimit, Name: "api", Err: errAway})
	}, `{"level":"INFO","msg":"policy recovered",%"policy":"rate_limit","name":"api"}`},
	{"limit changed", slog.LevelDebug, func(ctx context.Context, o resilience.Observer) {
		o.LimitChanged(ctx, resilience.LimitChange{Policy: resilience.PolicyShed, Name: "order", From: 40, To: 32})
	}, `{"level":"DEBUG","msg":"limit changed",%"policy":"shed","name":"order","from":40,"to":32}`},
	{"fell back", slog.LevelDebug, func(ctx context.Context, o resilience.Observer) {
		o.FellBack(ctx, resilience.Fallback{Name: "cached stock", Err: errUnavailable})
	}, `{"level":"DEBUG","msg":"fell back",%"name":"cached stock","error":"unavailable"}`},
}

// TestLines, as they are, with the call that made the difference and without.
func TestLines(t *testing.T) {
	for _, tc := range tests {
		for _, where := range []struct {
			name string
			ctx  context.Context
			ids  string
		}{{"in a call", inTrace(), ids}, {"outside", context.Background(), ""}} {
			t.Run(tc.name+" "+where.name, func(t *testing.T) {
				var out bytes.Buffer
				tc.tell(where.ctx, policylog.Observer(plain(&out, slog.LevelDebug)))
				want := strings.ReplaceAll(tc.want, "%", where.ids)
				if where.ids == "" && strings.Contains(tc.want, "circuit") { // the event knows the trace
					want = strings.ReplaceAll(tc.want, "%", `"trace_id":"`+traceID+`",`)
				}
				if diff := cmp.Diff(want+"\n", out.String()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestLevels: a logger that wants less gets less, for nothing.
func TestLevels(t *testing.T) {
	for _, tc := range tests {
		var out bytes.Buffer
		o := policylog.Observer(plain(&out, tc.level+1))
		tc.tell(inTrace(), o)
		if out.Len() > 0 {
			t.Errorf("%s, for a logger above %v: %s", tc.name, tc.level, &out)
		}
		if raceEnabled {
			continue
		}
		quiet := policylog.Observer(slog.New(slog.DiscardHandler))
		if got := testing.AllocsPerRun(100, func() { tc.tell(context.Background(), quiet) }); got != 0 {
			t.Errorf("%s: a line that nobody wants costs %v allocations", tc.name, got)
		}
	}
}

// TestWithLoggingHandler: the handler that adds ids itself adds none twice.
func TestWithLoggingHandler(t *testing.T) {
	for _, tc := range tests {
		var out bytes.Buffer
		handler := logging.NewHandler(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
		tc.tell(inTrace(), policylog.Observer(slog.New(handler)))
		if want := strings.ReplaceAll(tc.want, "%", ids) + "\n"; out.String() != want {
			t.Errorf("%s:\n got %s want %s", tc.name, &out, want)
		}
	}
}

// TestNeverPerCall: what befalls each call is not for the log of policies.
func TestNeverPerCall(t *testing.T) {
	o := policylog.Observer(plain(io.Discard, slog.LevelDebug))
	if o.Rejected != nil || o.Attempted != nil {
		t.Error("a line for each refusal or attempt")
	}
	if o := policylog.Observer(nil); o.StateChanged != nil || o.Degraded != nil || o.LimitChanged != nil || o.FellBack != nil {
		t.Error("a nil logger is written to")
	}
}

// TestTextIsBounded: errors may quote peers.
func TestTextIsBounded(t *testing.T) {
	var out bytes.Buffer
	o := policylog.Observer(plain(&out, slog.LevelDebug))
	long := strings.Repeat("é", 5000)
	o.FellBack(t.Context(), resilience.Fallback{Name: "x", Err: errors.New(long)})
	o.StateChanged(t.Context(), resilience.StateChange{Name: "x", Reason: long})
	for line := range strings.Lines(out.String()) {
		if len(line) > 1200 || !json.Valid([]byte(line)) {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

// TestBreakerStory: a breaker that opens and closes again has three lines,
// however many calls it refuses.
func TestBreakerStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		br, err := breaker.New("payment", breaker.WithObserver(policylog.Observer(plain(&out, slog.LevelDebug))))
		if err != nil {
			t.Fatal(err)
		}
		call := func(o resilience.Outcome) {
			if lease, err := br.Allow(inTrace()); err == nil {
				lease.Done(inTrace(), o, time.Millisecond, 0)
			}
		}
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { call(resilience.OutcomeTransient) })
		}
		wg.Wait()
		time.Sleep(time.Hour)
		for range 100 {
			call(resilience.OutcomeOK)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			var l struct{ Msg, Name, Trace_ID string } //nolint:revive // the key's name
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			if l.Name != "payment" || l.Trace_ID != traceID {
				t.Errorf("line %s", line)
			}
			got = append(got, l.Msg)
		}
		want := []string{policylog.MessageOpened, policylog.MessageHalfOpen, policylog.MessageClosed}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
