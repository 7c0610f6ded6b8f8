// SPDX-License-Identifier: Apache-2.0

package drain_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/drain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin handles a request on a goroutine of its own.
func begin(d *drain.Drainer, handle func(ctx context.Context)) {
	d.Begin()
	ctx, release := d.Attach(context.Background())
	go func() {
		defer d.End()
		defer release()
		handle(ctx)
	}()
}

func TestDrain(t *testing.T) {
	t.Parallel()
	sleep := func(d time.Duration) func(context.Context) {
		return func(context.Context) { time.Sleep(d) }
	}
	var cause error
	for _, tc := range []struct {
		name    string
		handles []func(context.Context)
		want    drain.Result
		took    time.Duration
	}{
		{"idle", nil, drain.Result{}, 0},
		{"they end", []func(context.Context){sleep(time.Second), sleep(3 * time.Second)}, drain.Result{Drained: 2}, 3 * time.Second},
		{"notice is taken", []func(context.Context){func(ctx context.Context) {
			<-drain.Notice(ctx)
			time.Sleep(time.Second)
		}}, drain.Result{Drained: 1}, time.Second},
		{"cut", []func(context.Context){sleep(time.Second), func(ctx context.Context) {
			<-ctx.Done()
			cause = context.Cause(ctx)
		}}, drain.Result{Drained: 1, Killed: 1}, 10 * time.Second},
		{"slow to end", []func(context.Context){sleep(11 * time.Second)}, drain.Result{Killed: 1}, 11 * time.Second},
		{"stuck", []func(context.Context){sleep(time.Minute), func(ctx context.Context) { <-ctx.Done() }}, drain.Result{Killed: 2, Stuck: 1}, 12 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := drain.New()
				for _, h := range tc.handles {
					begin(d, h)
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				got := d.Drain(ctx, nil, 2*time.Second)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("result (-want +got):\n%s", diff)
				}
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
	if !errors.Is(cause, ctxutil.ErrShutdown) {
		t.Errorf("cause of a request that was cut: %v", cause)
	}
}

// TestLeave: while the server leaves, nothing changes for requests.
func TestLeave(t *testing.T) {
	t.Parallel()
	d := drain.New()
	ctx, release := d.Attach(t.Context())
	defer release()
	if d.Leaving() {
		t.Error("leaving before Leave")
	}
	d.Leave()
	if !d.Leaving() {
		t.Error("not leaving after Leave")
	}
	select {
	case <-drain.Notice(ctx):
		t.Error("a notice came with Leave")
	case <-ctx.Done():
		t.Error("the request ended with Leave")
	default:
	}
}

func TestNoticeWithoutDrainer(t *testing.T) {
	t.Parallel()
	if drain.Notice(t.Context()) != nil {
		t.Error("a notice from nowhere")
	}
	if drain.Notice(drain.New().Context()) == nil {
		t.Error("no notice in the base context")
	}
}

// TestAttachEndsWithItsParent: the caller's cancellation stays the caller's.
func TestAttachEndsWithItsParent(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancelCause(t.Context())
	ctx, release := drain.New().Attach(parent)
	defer release()
	cancel(ctxutil.ErrCallerCanceled)
	<-ctx.Done()
	if by := ctxutil.EndedBy(ctx); by != ctxutil.EndCallerCanceled {
		t.Errorf("ended by %v", by)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	d := drain.New()
	if n := testing.AllocsPerRun(100, func() { d.Begin(); d.End() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := d.Active(); n != 0 {
		t.Errorf("%d active", n)
	}
}

func Example() {
	d := drain.New()
	d.Begin()
	ctx, release := d.Attach(context.Background())
	go func() { // a stream of news
		defer d.End()
		defer release()
		<-drain.Notice(ctx)
		fmt.Println("telling the caller to come back elsewhere")
	}()
	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Printf("%+v\n", d.Drain(limit, nil, time.Second))
	// Output:
	// telling the caller to come back elsewhere
	// {Drained:1 Killed:0 Stuck:0}
}

// TestWaitsForTheServer: until the server has stopped, more requests may come, and what
// becomes of them counts.
func TestWaitsForTheServer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		run  time.Duration // of the request that comes late
		want drain.Result
		took time.Duration
	}{
		{"ends", time.Second, drain.Result{Drained: 1}, 2 * time.Second},
		{"cut", time.Minute, drain.Result{Killed: 1, Stuck: 1}, 12 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := drain.New()
				stopped := make(chan struct{})
				go func() {
					time.Sleep(time.Second)
					begin(d, func(context.Context) { time.Sleep(tc.run) })
					close(stopped)
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				if diff := cmp.Diff(tc.want, d.Drain(ctx, stopped, 2*time.Second)); diff != "" {
					t.Errorf("result (-want +got):\n%s", diff)
				}
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestServerThatDoesNotStop: one that has nothing to do and does not stop, because of
// some connection, is waited for until time is over, and kills nothing.
func TestServerThatDoesNotStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := drain.New()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if r := d.Drain(ctx, make(chan struct{}), 2*time.Second); r != (drain.Result{}) || time.Since(start) != 10*time.Second {
			t.Errorf("%+v after %v", r, time.Since(start))
		}
	})
}
