// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func mustPool(t testing.TB, name string, workers, queue int, opts ...ctxutil.PoolOption) *ctxutil.Pool {
	t.Helper()
	p, err := ctxutil.NewPool(name, workers, queue, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustSubmit(t testing.TB, p *ctxutil.Pool, ctx context.Context, f func(context.Context) error) {
	t.Helper()
	if err := p.Submit(ctx, f); err != nil {
		t.Fatalf("Submit: %v", err)
	}
}

func mustClose(t testing.TB, p *ctxutil.Pool) {
	t.Helper()
	if err := p.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// One worker serves two requests: each task has its own request's identity.
func TestPoolKeepsIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustPool(t, "pool-identity", 1, 8)
		a, b := newTraced(t), newTraced(t)
		var last context.Context
		for range 3 {
			for _, r := range []*traced{a, b} {
				mustSubmit(t, p, context.WithValue(r, valueKey{}, r), func(ctx context.Context) error {
					if got := ctxutil.TraceID(ctx); got != r.TraceID() {
						t.Errorf("trace %s, want that of the request, %s", got, r.TraceID())
					}
					if ctx.Value(valueKey{}) != r {
						t.Error("a value was lost")
					}
					last = ctx
					return nil
				})
			}
		}
		mustClose(t, p)
		if last.Err() == nil {
			t.Error("the context of a task lives on")
		}
		for _, r := range []*traced{a, b} {
			spans := r.ended("pool-identity")
			if len(spans) != 3 {
				t.Fatalf("%d spans, want 3", len(spans))
			}
			for _, s := range spans {
				if !childOf(s, r.SpanContext()) {
					t.Errorf("span below %v, want the request's", s.Parent())
				}
			}
		}
	})
}

func TestPoolIsBounded(t *testing.T) {
	for _, tc := range []struct{ workers, queue int }{{1, 0}, {2, 3}} {
		synctest.Test(t, func(t *testing.T) {
			p := mustPool(t, "pool-full", tc.workers, tc.queue)
			release := make(chan struct{})
			f := func(context.Context) error { <-release; return nil }
			// Not even a moment is given to the workers: room is exact.
			for i := range tc.workers + tc.queue {
				if err := p.Submit(t.Context(), f); err != nil {
					t.Fatalf("task %d of %d: %v", i, tc.workers+tc.queue, err)
				}
			}
			err := p.Submit(t.Context(), f)
			if !errors.Is(err, ctxutil.ErrPoolFull) || err.Error() != `ctxutil: pool is full: "pool-full"` {
				t.Errorf("Submit: %v, want ErrPoolFull with the pool's name", err)
			}
			synctest.Wait()
			if got := p.Queued(); got != tc.queue {
				t.Errorf("%d queued, want %d", got, tc.queue)
			}
			if err := p.Submit(t.Context(), f); !errors.Is(err, ctxutil.ErrPoolFull) {
				t.Errorf("Submit when the workers are busy: %v, want ErrPoolFull", err)
			}
			release <- struct{}{}
			synctest.Wait()
			if err := p.Submit(t.Context(), f); err != nil {
				t.Errorf("Submit with room again: %v", err)
			}
			close(release)
			mustClose(t, p)
			if err := p.Submit(t.Context(), f); !errors.Is(err, ctxutil.ErrPoolClosed) {
				t.Errorf("Submit after Close: %v, want ErrPoolClosed", err)
			}
			mustClose(t, p)
		})
	}
}

func TestPoolSurvivesItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		counted := counting("pool-survives")
		p := mustPool(t, "pool-survives", 1, 8, r.logger)
		mustSubmit(t, p, r, func(context.Context) error { panic("first") })
		mustSubmit(t, p, r, func(context.Context) error { runtime.Goexit(); return nil })
		mustSubmit(t, p, r, func(context.Context) error { return io.EOF })
		ran := false
		mustSubmit(t, p, r, func(context.Context) error { ran = true; return nil })
		mustClose(t, p)
		if !ran {
			t.Error("a task after the bad ones did not run")
		}
		if s := counted(); s.Started != 4 || s.Panics != 1 || s.Errors != 2 || s.InFlight != 0 {
			t.Errorf("stats %+v", s)
		}
		if got := r.logs.all(t); len(got) != 3 {
			t.Errorf("logged %v, want three lines", got)
		}
	})
}

func TestPoolTaskEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		p := mustPool(t, "pool-within", 1, 1)
		var cause error
		mustSubmit(t, p, r, func(ctx context.Context) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		})
		synctest.Wait()
		r.cancel(ctxutil.ErrCallerDeadline)
		mustClose(t, p)
		if cause != ctxutil.ErrCallerDeadline {
			t.Errorf("cause %v, want the request's", cause)
		}

		p = mustPool(t, "pool-late", 1, 1)
		if err := p.Submit(r, func(context.Context) error { return nil }); err != ctxutil.ErrCallerDeadline {
			t.Errorf("Submit for a request that has ended: %v, want its cause", err)
		}
		mustClose(t, p)
	})
}

func TestPoolDetachedTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTraced(t)
		counted := counting("pool-detached")
		p := mustPool(t, "pool-detached", 1, 4, ctxutil.WithDetachedTasks(time.Minute), r.logger)
		slow := func(ctx context.Context) error { return sleep(ctx, 40*time.Second) }
		mustSubmit(t, p, r, slow)
		mustSubmit(t, p, r, slow) // waits 40 s, and has its minute still
		r.finish()
		mustSubmit(t, p, r, func(ctx context.Context) error { // a request that has ended
			err := sleep(ctx, time.Hour)
			if by := ctxutil.EndedBy(ctx); by != ctxutil.EndTimeout {
				t.Errorf("ended by %v, want our own timeout", by)
			}
			return err
		})
		began := time.Now()
		mustClose(t, p)
		if took := time.Since(began); took != 40*time.Second+40*time.Second+time.Minute {
			t.Errorf("took %v, want 2m20s", took)
		}
		spans := r.ended("pool-detached")
		if len(spans) != 3 {
			t.Fatalf("%d spans, want 3", len(spans))
		}
		for _, s := range spans {
			if !childOf(s, r.SpanContext()) || len(s.Links()) != 1 || attributes(s.Attributes())["fairlead.detached"] != true {
				t.Errorf("span below %v with links %v and attributes %v", s.Parent(), s.Links(), s.Attributes())
			}
		}
		if s := counted(); s.Errors != 1 || s.Canceled != 0 {
			t.Errorf("stats %+v, want one error", s)
		}
	})
}

func TestPoolCloseIsBounded(t *testing.T) {
	for _, detached := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newTraced(t)
			opts := []ctxutil.PoolOption{r.logger}
			name := "pool-close"
			if detached {
				name = "pool-close-detached"
				opts = append(opts, ctxutil.WithDetachedTasks(24*time.Hour))
			}
			counted := counting(name)
			p := mustPool(t, name, 1, 4, opts...)
			mustSubmit(t, p, r, func(ctx context.Context) error {
				<-ctx.Done()
				if by := ctxutil.EndedBy(ctx); by != ctxutil.EndShutdown {
					t.Errorf("ended by %v, want shutdown", by)
				}
				time.Sleep(time.Second) // Close does not wait for this
				return ctx.Err()
			})
			for range 2 {
				mustSubmit(t, p, r, func(context.Context) error { t.Error("dropped task ran"); return nil })
			}
			enough := errors.New("enough")
			ctx, cancel := context.WithTimeoutCause(context.Background(), 5*time.Second, enough)
			defer cancel()
			began := time.Now()
			err := p.Close(ctx)
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("Close took %v, want 5s", took)
			}
			if !errors.Is(err, enough) || !strings.Contains(err.Error(), "1 tasks canceled, 2 dropped") {
				t.Errorf("Close: %v", err)
			}
			time.Sleep(time.Second)
			synctest.Wait()

			if s := counted(); s.Started != 3 || s.Canceled != 1 || s.Errors != 2 || s.InFlight != 0 {
				t.Errorf("stats %+v", s)
			}
			dropped := 0
			for _, s := range r.ended(name) {
				if s.Status().Code == codes.Error && strings.Contains(s.Status().Description, "pool is closed") {
					dropped++
				}
			}
			logged := 0
			for _, l := range r.logs.all(t) {
				if l["level"] == "ERROR" {
					logged++
					contains(t, l, map[string]string{"error": "pool is closed", "trace_id": r.TraceID()})
				}
			}
			if dropped != 2 || logged != 2 {
				t.Errorf("%d spans and %d lines tell of dropped tasks, want 2", dropped, logged)
			}
		})
	}
}

func TestNewPoolValidates(t *testing.T) {
	tests := []struct {
		name, pool     string
		workers, queue int
		opt            ctxutil.PoolOption
		want           string
	}{
		{"no name", "", 1, 1, nil, `name "": must be`},
		{"bad name", "a\nb", 1, 1, nil, `name "a\nb": must be`},
		{"no workers", "p", 0, 1, nil, "workers 0: must be at least 1"},
		{"negative queue", "p", 1, -1, nil, "queue -1: must not be negative"},
		{"no timeout", "p", 1, 1, ctxutil.WithDetachedTasks(0), "WithDetachedTasks: 0s is not positive"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var opts []ctxutil.PoolOption
			if tc.opt != nil {
				opts = append(opts, tc.opt)
			}
			p, err := ctxutil.NewPool(tc.pool, tc.workers, tc.queue, opts...)
			if p != nil || err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "ctxutil: NewPool: ") {
				t.Errorf("NewPool: %v, %v; want an error with %q", p, err, tc.want)
			}
		})
	}
}

// Every task that was accepted runs, however Submit and Close race.
func TestPoolSubmitAndCloseRace(t *testing.T) {
	for range 50 {
		p := mustPool(t, "pool-race", 3, 5)
		var accepted, ran atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					err := p.Submit(context.Background(), func(context.Context) error { ran.Add(1); return nil })
					if err == nil {
						accepted.Add(1)
					} else if !errors.Is(err, ctxutil.ErrPoolFull) && !errors.Is(err, ctxutil.ErrPoolClosed) {
						t.Errorf("Submit: %v", err)
					}
				}
			})
		}
		wg.Go(func() { mustClose(t, p) })
		wg.Wait()
		mustClose(t, p)
		if accepted.Load() != ran.Load() {
			t.Fatalf("%d tasks accepted, %d ran", accepted.Load(), ran.Load())
		}
	}
}
