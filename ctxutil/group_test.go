// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		g, ctx := ctxutil.NewGroup(r, "group-ok", r.logger)
		for i := range 3 {
			g.Go(func(ctx context.Context) error {
				if ctxutil.TraceID(ctx) != r.TraceID() {
					t.Errorf("trace %s, want %s", ctxutil.TraceID(ctx), r.TraceID())
				}
				return sleep(ctx, time.Duration(i)*time.Second)
			})
		}
		began := time.Now()
		if err := g.Wait(); err != nil {
			t.Errorf("Wait: %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Wait took %v, want as long as the longest, 2s", took)
		}
		if ctx.Err() == nil {
			t.Error("the context lives on after Wait")
		}
		spans := r.ended("group-ok")
		if len(spans) != 3 {
			t.Fatalf("%d spans, want 3", len(spans))
		}
		for _, s := range spans {
			if !childOf(s, r.SpanContext()) {
				t.Errorf("span below %v, want the request's", s.Parent())
			}
		}
	})
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func TestGroupFirstErrorCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		broken := errors.New("no stock")
		counted := counting("group-fails")
		g, ctx := ctxutil.NewGroup(r, "group-fails", r.logger)
		g.Go(func(ctx context.Context) error {
			err := sleep(ctx, time.Hour)
			if cause := context.Cause(ctx); cause != broken {
				t.Errorf("cause %v, want the first error", cause)
			}
			return err
		})
		g.Go(func(ctx context.Context) error {
			if err := sleep(ctx, time.Second); err != nil {
				t.Error(err)
			}
			return broken
		})
		began := time.Now()
		if err := g.Wait(); err != broken {
			t.Errorf("Wait: %v, want the first error", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("Wait took %v, want 1s", took)
		}
		if cause := context.Cause(ctx); cause != broken {
			t.Errorf("cause of the group's context: %v", cause)
		}
		if r.Err() != nil {
			t.Error("the request was canceled, too")
		}
		if s := counted(); s.Errors != 1 || s.Canceled != 1 {
			t.Errorf("stats %+v, want one error and one cancellation", s)
		}
		if got := r.logs.all(t); len(got) != 0 {
			t.Errorf("an error was both returned and logged: %v", got)
		}
		for _, s := range r.ended("group-fails") {
			if cause, ok := attributes(s.Attributes())["fairlead.cause"]; ok && cause != "no stock" {
				t.Errorf("cause on the span: %v", cause)
			}
		}
	})
}

func TestGroupPanicAndGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		g, _ := ctxutil.NewGroup(r, "group-panics", r.logger)
		g.SetLimit(1)
		g.Go(func(context.Context) error { panic(secret{"hunter2"}) })
		g.Go(func(context.Context) error { return nil }) // gets the slot
		err := g.Wait()
		var p *ctxutil.PanicError
		if !errors.As(err, &p) || p.Value != (secret{"hunter2"}) || len(p.Stack) == 0 || p.Name != "group-panics" {
			t.Fatalf("Wait: %#v, want the panic", err)
		}
		if err.Error() != `ctxutil: panic in "group-panics"` {
			t.Errorf("text %q", err)
		}
		if got := r.logs.all(t); len(got) != 1 || got[0]["msg"] != "goroutine panicked" {
			t.Errorf("logged %v, want the panic", got)
		}

		g, _ = ctxutil.NewGroup(r, "group-exits")
		g.SetLimit(1)
		g.Go(func(context.Context) error { runtime.Goexit(); return nil })
		g.Go(func(context.Context) error { return nil })
		if err := g.Wait(); err != ctxutil.ErrGoexit {
			t.Errorf("Wait: %v, want ErrGoexit", err)
		}
	})
}

func TestGroupSetLimit(t *testing.T) {
	for _, tc := range []struct {
		limit int
		took  time.Duration
		most  int64
	}{{2, 3 * time.Second, 2}, {1, 6 * time.Second, 1}, {0, time.Second, 6}, {-1, time.Second, 6}} {
		t.Run(fmt.Sprint(tc.limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _ := ctxutil.NewGroup(t.Context(), "group-limit")
				g.SetLimit(tc.limit)
				var running, most atomic.Int64
				began := time.Now()
				for range 6 {
					g.Go(func(ctx context.Context) error {
						n := running.Add(1)
						defer running.Add(-1)
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
						}
						return sleep(ctx, time.Second)
					})
				}
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != tc.took || most.Load() != tc.most {
					t.Errorf("took %v with at most %d at a time, want %v and %d", took, most.Load(), tc.took, tc.most)
				}
			})
		})
	}
}

func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		after := func(d time.Duration, s string) func(context.Context) (string, error) {
			return func(ctx context.Context) (string, error) { return s, sleep(ctx, d) }
		}
		got, err := ctxutil.Gather(r, "gather", after(3*time.Second, "a"), after(time.Second, "b"), after(2*time.Second, "c"))
		if err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("Gather: %v, %v, want the results in order", got, err)
		}
		if n := len(r.ended("gather")); n != 3 {
			t.Errorf("%d spans, want 3", n)
		}
	})
}

func TestGatherFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		got, err := ctxutil.Gather(r, "gather-fails",
			func(ctx context.Context) (int, error) { return 1, nil },
			func(ctx context.Context) (int, error) { return 2, io.ErrClosedPipe },
			func(ctx context.Context) (int, error) { return 3, sleep(ctx, time.Hour) },
		)
		if got != nil || err != io.ErrClosedPipe {
			t.Errorf("Gather: %v, %v, want no results and the first error", got, err)
		}
		errs := 0
		for _, s := range r.ended("gather-fails") {
			if s.Status().Code == codes.Error {
				errs++
			}
		}
		if errs != 1 {
			t.Errorf("%d spans with status error, want 1", errs)
		}
	})
}

func TestGatherNothing(t *testing.T) {
	got, err := ctxutil.Gather[int](t.Context(), "gather-nothing")
	if len(got) != 0 || err != nil {
		t.Errorf("Gather: %v, %v", got, err)
	}
}
