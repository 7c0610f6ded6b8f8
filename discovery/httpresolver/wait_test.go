// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// TestWaiting: a request waits for the first answer, and for nothing else.
func TestWaiting(t *testing.T) {
	for _, tc := range []struct {
		name    string
		fault   func(memory.Faults)
		heal    time.Duration // 0: never
		timeout time.Duration // of the caller
		opts    []httpresolver.Option
		took    time.Duration
		want    []error
	}{
		{name: "answered", fault: func(memory.Faults) {}},
		{name: "slow", fault: func(f memory.Faults) { f.Slow(time.Second) }, took: 2 * time.Second},
		{name: "away for a while", fault: func(f memory.Faults) { f.Down(true) }, heal: 90 * time.Millisecond, took: 100 * time.Millisecond},
		{name: "away", fault: func(f memory.Faults) { f.Down(true) }, took: httpresolver.DefaultWait, want: []error{discovery.ErrNoInstances, memory.ErrAway}},
		{name: "hung", fault: func(f memory.Faults) { f.Hang(true) }, opts: []httpresolver.Option{httpresolver.WithWait(time.Second)}, took: time.Second, want: []error{discovery.ErrNotAnswered}},
		{name: "an impatient caller", fault: func(f memory.Faults) { f.Hang(true) }, timeout: time.Second, took: time.Second, want: []error{discovery.ErrNotAnswered, context.DeadlineExceeded}},
		{name: "not at all", fault: func(f memory.Faults) { f.Hang(true) }, opts: []httpresolver.Option{httpresolver.WithWait(0)}, want: []error{discovery.ErrNotAnswered}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, discovery.WithJitter(0))
				w.put(order(1))
				tc.fault(w.registry.Faults())
				r := w.resolver(tc.opts...)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tc.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, tc.timeout)
				}
				defer cancel()
				if tc.heal > 0 {
					time.AfterFunc(tc.heal, func() { w.registry.Faults().Down(false) })
				}
				start := time.Now()
				resp, err := r.Transport(&wire{}).RoundTrip(get(ctx, "http://order/"))
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				if err == nil {
					resp.Body.Close()
				}
				if err != nil && tc.timeout == 0 { // it has been long enough: the next one fails at once
					start = time.Now()
					_, again := r.Transport(&wire{}).RoundTrip(get(t.Context(), "http://order/"))
					if took := time.Since(start); again == nil || took != 0 {
						t.Errorf("the next one took %v: %v", took, again)
					}
				}
				if (err == nil) != (len(tc.want) == 0) {
					t.Errorf("error %v, want %v", err, tc.want)
				}
				for _, want := range tc.want {
					if !errors.Is(err, want) {
						t.Errorf("error %v, want one that is %v", err, want)
					}
				}
			})
		})
	}
}

// TestLaterOutages do not make requests wait or fail; a service that is believed to be
// gone does, at once.
func TestLaterOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(order(1))
		var below wire
		rt := w.resolver().Transport(&below)
		send := func() error {
			start := time.Now()
			resp, err := rt.RoundTrip(get(t.Context(), "http://order/"))
			if took := time.Since(start); took != 0 {
				t.Errorf("took %v", took)
			}
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		synctest.Wait()
		w.registry.Faults().Down(true)
		for range 300 {
			if err := send(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		w.registry.Faults().Down(false)
		w.registry.Faults().Hide(true)
		time.Sleep(time.Minute)
		if err := send(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(discovery.DefaultEmptyHold)
		if err := send(); !errors.Is(err, discovery.ErrNoInstances) {
			t.Errorf("error %v, want ErrNoInstances", err)
		}
		w.registry.Faults().Hide(false)
		synctest.Wait()
		w.put(order(2))
		w.remove(order(1))
		time.Sleep(2 * discovery.DefaultConfirmTime)
		for range 10 {
			if err := send(); err != nil {
				t.Fatal(err)
			}
			if host := below.sent[len(below.sent)-1].URL.Host; host != "10.0.0.2:8443" {
				t.Errorf("sent to %s", host)
			}
		}
	})
}

// TestCloseWhileWaiting lets those go who wait.
func TestCloseWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.Faults().Hang(true)
		r := w.resolver()
		done := make(chan error)
		go func() {
			_, err := r.Transport(&wire{}).RoundTrip(get(t.Context(), "http://order/"))
			done <- err
		}()
		synctest.Wait()
		r.Close()
		r.Close()
		if err := <-done; !errors.Is(err, discovery.ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
		if n := len(w.watcher.Status()); n > 0 {
			t.Errorf("%d services are watched", n)
		}
	})
}

// TestNothingLeaks makes and closes a thousand resolvers, which share one watch.
func TestNothingLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(order(1))
		before := runtime.NumGoroutine()
		for range 1000 {
			r := must[*httpresolver.Resolver](t)(httpresolver.New("order", w.watcher))
			must[*http.Response](t)(r.Transport(&wire{}).RoundTrip(get(t.Context(), "http://order/"))).Body.Close()
			r.Close()
		}
		for range 1000 {
			w.resolver()
		}
		synctest.Wait()
		if st := w.watcher.Status(); len(st) != 1 || st[0].Subscribers != 1000 {
			t.Errorf("watches %+v", st)
		}
		if got := runtime.NumGoroutine() - before; got > 10 {
			t.Errorf("%d goroutines for a thousand resolvers of one service", got)
		}
	})
}

// TestLatencyIsToTheHeader: a body that is long, or read slowly, says nothing about the
// instance.
func TestLatencyIsToTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(order(1))
		r := w.resolver()
		resp := must[*http.Response](t)(r.Transport(&wire{do: func(req *http.Request) (*http.Response, error) {
			time.Sleep(30 * time.Millisecond)
			return answer(req, http.StatusOK), nil
		}}).RoundTrip(get(t.Context(), "http://order/")))
		time.Sleep(time.Minute)
		resp.Body.Close()
		for e := range r.Balancer().All() {
			if got := e.Latency(); got < 29*time.Millisecond || got > 31*time.Millisecond {
				t.Errorf("latency %v, want 30ms", got)
			}
		}
	})
}
