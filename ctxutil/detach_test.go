// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
)

func TestDetachOutlivesTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		r.CorrelationID = "caller-7"
		r.Forwarded = []ctxutil.Header{{Key: "tenant", Values: []string{"acme"}}}
		ctxutil.Add(r, slog.String("order_id", "o-1"))
		ctxutil.SetLevel(r, slog.LevelDebug)
		ctx, cancel := context.WithTimeout(context.WithValue(r, valueKey{}, "kept"), time.Second)
		defer cancel()
		ctx, err := ctxutil.WithForwarded(ctx, "canary", "blue")
		if err != nil {
			t.Fatal(err)
		}

		ctxutil.Detach(ctx, "outlive", time.Hour, func(ctx context.Context) error {
			if err := sleep(ctx, time.Minute); err != nil {
				t.Errorf("ended after the request: %v", err)
			}
			if left, _ := ctxutil.Remaining(ctx); left != 59*time.Minute {
				t.Errorf("%v left, want 59m", left)
			}
			id := ctxutil.IdentityFrom(ctx)
			if id.TraceID() != r.TraceID() || id.SpanID() == r.SpanID() || id.CorrelationID != "caller-7" {
				t.Errorf("identity %+v, want the request's trace and id, and a span of its own", id)
			}
			if ctx.Value(valueKey{}) != "kept" {
				t.Error("a value was lost")
			}
			want := []ctxutil.Header{{Key: "tenant", Values: []string{"acme"}}, {Key: "canary", Values: []string{"blue"}}}
			if diff := cmp.Diff(want, ctxutil.Forwarded(ctx)); diff != "" {
				t.Errorf("forwarded headers (-want +got):\n%s", diff)
			}
			if l, ok := ctxutil.Level(ctx); !ok || l != slog.LevelDebug {
				t.Errorf("level %v, want the request's", l)
			}
			ctxutil.Add(ctx, slog.Int("points", 12), slog.String("order_id", "o-2"))
			ctxutil.SetLevel(ctx, slog.LevelError)
			return nil
		}, r.logger)
		r.finish()
		time.Sleep(time.Minute)
		synctest.Wait()

		span := r.only(t, "outlive")
		request := r.only(t, "request")
		if !childOf(span, r.SpanContext()) {
			t.Errorf("span below %v, want the request's", span.Parent())
		}
		if len(span.Links()) != 1 || !span.Links()[0].SpanContext.Equal(r.SpanContext()) {
			t.Errorf("links %v, want one to the request's span", span.Links())
		}
		want := map[string]any{"fairlead.detached": true, "order_id": "o-2", "points": int64(12)}
		if diff := cmp.Diff(want, attributes(span.Attributes())); diff != "" {
			t.Errorf("attributes of the span (-want +got):\n%s", diff)
		}
		if got := attributes(request.Attributes()); len(got) != 1 || got["order_id"] != "o-1" {
			t.Errorf("attributes of the request's span: %v, want what it had", got)
		}
		if got := ctxutil.Attrs(r); len(got) != 1 {
			t.Errorf("attributes of the request: %v, want what it had", got)
		}
		if l, _ := ctxutil.Level(r); l != slog.LevelDebug {
			t.Errorf("level of the request: %v, want what it had", l)
		}
	})
}

type valueKey struct{}

func TestDetachDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		began := time.Now()
		counted := counting("slow")
		ctxutil.Detach(r, "slow", 30*time.Second, func(ctx context.Context) error {
			err := sleep(ctx, time.Hour)
			if took := time.Since(began); took != 30*time.Second {
				t.Errorf("ended after %v, want 30s", took)
			}
			if by := ctxutil.EndedBy(ctx); by != ctxutil.EndTimeout {
				t.Errorf("ended by %v, want our own timeout", by)
			}
			return err
		}, r.logger)
		r.finish()
		time.Sleep(time.Minute)
		synctest.Wait()

		if s := counted(); s.Errors != 1 || s.Canceled != 0 {
			t.Errorf("stats %+v, want an error", s)
		}
		span := r.only(t, "slow")
		if span.Status().Code != codes.Error || attributes(span.Attributes())["fairlead.cause"] != "ctxutil: own timeout exceeded" {
			t.Errorf("status %v, attributes %v", span.Status(), span.Attributes())
		}
		logged := r.logs.all(t)
		if len(logged) != 1 {
			t.Fatalf("logged %v", logged)
		}
		contains(t, logged[0], map[string]string{
			"msg": "goroutine failed", "error": "deadline exceeded", "cause": "own timeout exceeded",
			"trace_id": r.TraceID(), "span_id": span.SpanContext().SpanID().String(),
		})
	})
}

func TestDetachWithNoTime(t *testing.T) {
	for _, timeout := range []time.Duration{0, -time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var err error
			ctxutil.Detach(t.Context(), "no-time", timeout, func(ctx context.Context) error {
				err = ctx.Err()
				return nil
			})
			synctest.Wait()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("timeout %v: the context's error is %v", timeout, err)
			}
		})
	}
}

// Detached work says so in its logs even if there is no span to say it.
func TestDetachUnsampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := unsampled(t)
		ctxutil.Detach(r, "unsampled", time.Hour, func(ctx context.Context) error {
			if got, want := ctxutil.IdentityFrom(ctx).SpanContext, r.SpanContext(); !got.Equal(want) {
				t.Errorf("identity %v, want the request's %v", got, want)
			}
			attrs := ctxutil.Attrs(ctx)
			if len(attrs) != 1 || !attrs[0].Equal(slog.String(ctxutil.DetachedKey, "unsampled")) {
				t.Errorf("attributes %v", attrs)
			}
			if scope.From(ctx).Unrecorded {
				t.Error("a tracer decided about the request, so it is not unrecorded")
			}
			return nil
		})
		synctest.Wait()
		if got := ctxutil.Attrs(r); len(got) != 0 {
			t.Errorf("attributes of the request: %v", got)
		}
	})
}

// What is never sampled but made up stays that: a child may be sampled elsewhere.
func TestDetachUnrecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(scope.Scope)
		ctx := trace.ContextWithSpanContext(context.Background(), scope.NewSpanContext(trace.TraceID{}))
		s.Init(ctx, trace.SpanFromContext(ctx))
		s.Unrecorded = true
		ctxutil.Detach(s, "unrecorded", time.Hour, func(ctx context.Context) error {
			if own := scope.From(ctx); own == s || !own.Unrecorded || own.TraceID() != s.TraceID() {
				t.Errorf("scope %p unrecorded %v, want a new one with the same identity", own, own.Unrecorded)
			}
			return nil
		})
		synctest.Wait()
	})
}

func TestDetachRedacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		r.SetRedact(func(a slog.Attr) slog.Attr {
			if a.Key == "card" {
				a.Value = slog.StringValue("***")
			}
			return a
		})
		r.Scope.Add(slog.String("card", "4111")) // copied to the span of the work
		ctxutil.Detach(r, "redact", time.Hour, func(ctx context.Context) error { return nil })
		ctxutil.Detach(r, "redact-late", time.Hour, func(ctx context.Context) error {
			ctxutil.Add(ctx, slog.String("card", "4242"))
			return nil
		})
		synctest.Wait()
		for _, name := range []string{"redact", "redact-late"} {
			if got := attributes(r.only(t, name).Attributes())["card"]; got != "***" {
				t.Errorf("%s: the span shows card %v", name, got)
			}
		}
	})
}

func TestDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		r.cancel(ctxutil.ErrCallerCanceled)
		broken := errors.New("not undone")

		counted := counting("undo")
		ctx, finish := ctxutil.Detached(r, "undo", time.Minute, r.logger)
		if err := ctx.Err(); err != nil {
			t.Errorf("ended with the request: %v", err)
		}
		if left, _ := ctxutil.Remaining(ctx); left != time.Minute {
			t.Errorf("%v left, want 1m", left)
		}
		if s := counted(); s.InFlight != 1 {
			t.Errorf("stats %+v, want it in flight", s)
		}
		finish(broken)
		finish(nil)
		if ctx.Err() == nil {
			t.Error("the context lives on")
		}
		if s := counted(); s.InFlight != 0 || s.Errors != 1 {
			t.Errorf("stats %+v, want one error", s)
		}
		if span := r.only(t, "undo"); span.Status().Description != "not undone" || !childOf(span, r.SpanContext()) {
			t.Errorf("status %v, parent %v", span.Status(), span.Parent())
		}
		if got := r.logs.all(t); len(got) != 0 {
			t.Errorf("an error its caller has was logged: %v", got)
		}
	})
}
