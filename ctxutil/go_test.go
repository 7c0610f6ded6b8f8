// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func TestGoSharesTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		r.CorrelationID = "caller-7"
		ctx, cancel := context.WithTimeout(r, time.Hour)
		defer cancel()

		var in trace.SpanContext
		ctxutil.Go(ctx, "share", func(ctx context.Context) error {
			id := ctxutil.IdentityFrom(ctx)
			in = id.SpanContext
			if id.CorrelationID != "caller-7" || id.TraceID() != r.TraceID() {
				t.Errorf("identity is %+v, want the request's", id)
			}
			if left, ok := ctxutil.Remaining(ctx); !ok || left != time.Hour {
				t.Errorf("deadline in %v, want the request's in 1h", left)
			}
			ctxutil.Add(ctx, slog.String("sku", "A-1"))
			<-ctx.Done()
			return nil
		}, r.logger)
		synctest.Wait()
		r.finish()
		synctest.Wait()

		span := r.only(t, "share")
		if !childOf(span, r.SpanContext()) || span.SpanContext().SpanID() != in.SpanID() {
			t.Errorf("span %v below %v, want that of the context, below the request's", span.SpanContext(), span.Parent())
		}
		if span.SpanKind() != trace.SpanKindInternal || span.InstrumentationScope().Name != "github.com/fairlead-go/fairlead/ctxutil" {
			t.Errorf("span of kind %v by %q", span.SpanKind(), span.InstrumentationScope().Name)
		}
		if got := attributes(r.only(t, "request").Attributes())["sku"]; got != "A-1" {
			t.Errorf("attribute added in the goroutine is %v on the request's span", got)
		}
		if got := ctxutil.Attrs(r); len(got) != 1 {
			t.Errorf("attributes of the request: %v", got)
		}
		if got := r.logs.all(t); len(got) != 0 {
			t.Errorf("success logged: %v", got)
		}
	})
}

type secret struct{ password string }

func TestGoTellsHowItEnded(t *testing.T) {
	broken := errors.New("disk is broken")
	tests := []struct {
		name    string
		f       func(context.Context) error
		cancel  error // the request is canceled with it, if not nil
		want    ctxutil.GoroutineStats
		status  codes.Code
		level   string
		message string
		log     map[string]string
		event   map[string]string
	}{
		{
			name:    "error",
			f:       func(context.Context) error { return broken },
			want:    ctxutil.GoroutineStats{Errors: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine failed",
			log:     map[string]string{"error": "disk is broken"},
			event:   map[string]string{"exception.type": "*errors.errorString", "exception.message": "disk is broken"},
		},
		{
			name:    "panic",
			f:       func(context.Context) error { panic("at the disco") },
			want:    ctxutil.GoroutineStats{Panics: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine panicked",
			log:     map[string]string{"panic": "at the disco", "stack": "go_test.go"},
			event:   map[string]string{"exception.type": "string", "exception.message": "at the disco", "exception.stacktrace": "go_test.go"},
		},
		{
			name:    "panic with nil",
			f:       func(context.Context) error { panic(nil) },
			want:    ctxutil.GoroutineStats{Panics: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine panicked",
			log:     map[string]string{"panic": "panic called with nil"},
			event:   map[string]string{"exception.type": "*runtime.PanicNilError"},
		},
		{
			name: "panic with a cancellation is still a panic",
			f: func(ctx context.Context) error {
				<-ctx.Done()
				panic(ctx.Err())
			},
			cancel:  ctxutil.ErrShutdown,
			want:    ctxutil.GoroutineStats{Panics: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine panicked",
			log:     map[string]string{"panic": "context canceled", "cause": "ctxutil: shutting down"},
			event:   map[string]string{"exception.message": "context canceled"},
		},
		{
			name:    "nil function",
			f:       nil,
			want:    ctxutil.GoroutineStats{Panics: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine panicked",
			log:     map[string]string{"panic": "nil pointer"},
			event:   map[string]string{"exception.type": "runtime.errorString"},
		},
		{
			name:    "goexit",
			f:       func(context.Context) error { runtime.Goexit(); return nil },
			want:    ctxutil.GoroutineStats{Errors: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine failed",
			log:     map[string]string{"error": "runtime.Goexit"},
			event:   map[string]string{"exception.message": "runtime.Goexit"},
		},
		{
			name:    "canceled",
			f:       func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("query: %w", ctx.Err()) },
			cancel:  ctxutil.ErrCallerCanceled,
			want:    ctxutil.GoroutineStats{Canceled: 1},
			status:  codes.Unset,
			level:   "DEBUG",
			message: "goroutine canceled",
			log:     map[string]string{"error": "query: context canceled", "cause": "ctxutil: canceled by the caller"},
			event:   map[string]string{"exception.message": "query: context canceled"},
		},
		{
			name:    "canceled without a cause",
			f:       func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			cancel:  context.Canceled,
			want:    ctxutil.GoroutineStats{Canceled: 1},
			status:  codes.Unset,
			level:   "DEBUG",
			message: "goroutine canceled",
			log:     map[string]string{"error": "context canceled"}, // and says it once
			event:   map[string]string{"exception.message": "context canceled"},
		},
		{
			name:    "error after cancellation",
			f:       func(ctx context.Context) error { <-ctx.Done(); return broken },
			cancel:  ctxutil.ErrCallerCanceled,
			want:    ctxutil.GoroutineStats{Errors: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine failed",
			log:     map[string]string{"error": "disk is broken", "cause": "ctxutil: canceled by the caller"},
			event:   map[string]string{"exception.message": "disk is broken"},
		},
		{
			name:    "canceled by nobody we know",
			f:       func(context.Context) error { return context.Canceled },
			want:    ctxutil.GoroutineStats{Errors: 1},
			status:  codes.Error,
			level:   "ERROR",
			message: "goroutine failed",
			log:     map[string]string{"error": "context canceled"},
			event:   map[string]string{"exception.message": "context canceled"},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTraced(t)
				name := t.Name()
				counted := counting(name)
				ctxutil.Go(r, name, tc.f, r.logger)
				if tc.cancel != nil {
					r.cancel(tc.cancel)
				}
				synctest.Wait()

				tc.want.Name, tc.want.Started = name, 1
				if diff := cmp.Diff(tc.want, counted()); diff != "" {
					t.Errorf("stats (-want +got):\n%s", diff)
				}
				span := r.only(t, name)
				if span.Status().Code != tc.status {
					t.Errorf("status %v, want %v", span.Status(), tc.status)
				}
				if len(span.Events()) != 1 || span.Events()[0].Name != "exception" {
					t.Fatalf("events %v, want one exception", span.Events())
				}
				contains(t, attributes(span.Events()[0].Attributes), tc.event)

				logged := r.logs.all(t)
				if len(logged) != 1 {
					t.Fatalf("logged %v, want one line", logged)
				}
				line := logged[0]
				if line["level"] != tc.level || line["msg"] != tc.message {
					t.Errorf("logged %v %q, want %v %q", line["level"], line["msg"], tc.level, tc.message)
				}
				contains(t, line, tc.log)
				contains(t, line, map[string]string{
					"goroutine": name,
					"trace_id":  r.TraceID(),
					"span_id":   span.SpanContext().SpanID().String(),
				})
				if _, ok := line["cause"]; ok != (tc.log["cause"] != "") {
					t.Errorf("cause %v logged", line["cause"])
				}
			})
		})
	}
}

// contains checks that the values of m contain those of want.
func contains(t *testing.T, m map[string]any, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got, _ := m[k].(string); !strings.Contains(got, v) {
			t.Errorf("%s is %v, want something with %q", k, m[k], v)
		}
	}
}

func TestPanicErrorTellsNothing(t *testing.T) {
	err := error(&ctxutil.PanicError{Name: "resize", Value: secret{"hunter2"}, Stack: []byte("goroutine 7")})
	if got, want := err.Error(), `ctxutil: panic in "resize"`; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if errors.Is(&ctxutil.PanicError{Value: io.EOF}, io.EOF) {
		t.Error("a panic passes for the error it was called with")
	}
}

func TestGoWithoutSpan(t *testing.T) {
	remote, _ := ctxutil.ParseTraceparent(traceparent)
	tests := []struct {
		name string
		ctx  context.Context
		id   string
	}{
		{"outside of a request", context.Background(), ""},
		{"no SDK", trace.ContextWithRemoteSpanContext(context.Background(), remote), traceID},
		{"not sampled", unsampled(t), "any"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logs lines
				want := trace.SpanContextFromContext(tc.ctx)
				ctxutil.Go(tc.ctx, "bare", func(ctx context.Context) error {
					if got := trace.SpanContextFromContext(ctx); !got.Equal(want) {
						t.Errorf("identity %v, want %v", got, want)
					}
					return io.ErrUnexpectedEOF
				}, ctxutil.WithLogger(logs.logger()))
				synctest.Wait()
				logged := logs.all(t)
				if len(logged) != 1 {
					t.Fatalf("logged %v", logged)
				}
				if got, ok := logged[0]["trace_id"]; ok != (tc.id != "") || ok && got != want.TraceID().String() {
					t.Errorf("logged with trace id %v, want %v", got, want.TraceID())
				}
			})
		})
	}
}

// A request that has ended still has children: they were late, not untraced.
func TestGoAfterTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		r.finish()
		ctxutil.Go(r, "late", func(context.Context) error { return nil })
		synctest.Wait()
		if span := r.only(t, "late"); !childOf(span, r.SpanContext()) {
			t.Errorf("parent %v, want the request's span", span.Parent())
		}
	})
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Handle(context.Context, slog.Record) error { panic("cannot even log") }

type panickingError struct{}

func (panickingError) Error() string { panic("cannot even say") }

func TestReportThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		bad := ctxutil.WithLogger(slog.New(panickingHandler{slog.NewTextHandler(io.Discard, nil)}))
		badLog, badError := counting("bad-log"), counting("bad-error")
		ctxutil.Go(r, "bad-log", func(context.Context) error { panic("first") }, bad)
		ctxutil.Go(r, "bad-error", func(context.Context) error { return panickingError{} }, r.logger)
		synctest.Wait()
		r.only(t, "bad-log")
		r.only(t, "bad-error")
		if s := badLog(); s.Panics != 1 || s.InFlight != 0 {
			t.Errorf("stats %+v", s)
		}
		if s := badError(); s.Errors != 1 || s.InFlight != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestGoLogsToDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs lines
		before := slog.Default()
		slog.SetDefault(logs.logger())
		defer slog.SetDefault(before)
		ctxutil.Go(t.Context(), "default-log", func(context.Context) error { return io.EOF }, ctxutil.WithLogger(nil))
		synctest.Wait()
		if got := logs.all(t); len(got) != 1 || got[0]["error"] != "EOF" {
			t.Errorf("logged %v", got)
		}
	})
}

// Without a recording span Go costs one allocation over the go statement's: what
// the accounting needs.
func TestGoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const budget = 2
	remote, _ := ctxutil.ParseTraceparent(traceparent)
	for name, ctx := range map[string]context.Context{
		"not sampled": unsampled(t),
		"no SDK":      trace.ContextWithRemoteSpanContext(context.Background(), remote),
	} {
		done := make(chan struct{})
		f := func(context.Context) error { done <- struct{}{}; return nil }
		got := testing.AllocsPerRun(1000, func() {
			ctxutil.Go(ctx, "allocs", f)
			<-done
		})
		if got > budget {
			t.Errorf("%s: %v allocations, budget %d", name, got, budget)
		}
	}
}

func BenchmarkGo(b *testing.B) {
	done := make(chan struct{})
	f := func(context.Context) error { done <- struct{}{}; return nil }
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			go func() { _ = f(context.Background()) }()
			<-done
		}
	})
	b.Run("unsampled", func(b *testing.B) {
		r := unsampled(b)
		b.ReportAllocs()
		for b.Loop() {
			ctxutil.Go(r, "bench", f)
			<-done
		}
	})
	b.Run("unsampled-parallel", func(b *testing.B) {
		r := unsampled(b)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			done := make(chan struct{})
			f := func(context.Context) error { done <- struct{}{}; return nil }
			for pb.Next() {
				ctxutil.Go(r, "bench", f)
				<-done
			}
		})
	})
}
