// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

func TestHealthGatesHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := memory.New(), &log{}
		sick := errors.New("database is away")
		var mu sync.Mutex
		err := sick
		set := func(e error) { mu.Lock(); defer mu.Unlock(); err = e }
		r := newRegistrar(t, registry, order(1), l.observer(), discovery.WithHealth(func(context.Context) error { mu.Lock(); defer mu.Unlock(); return err }))
		defer deregister(t, r)
		synctest.Wait()
		is := func(want discovery.Health) {
			t.Helper()
			synctest.Wait()
			if got := registry.Instances(orders); len(got) != 1 || got[0].Health != want {
				t.Errorf("registered %v, want %v", got, want)
			}
		}
		is(discovery.HealthFailing) // before it ever passed
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Ready(ctx); !errors.Is(err, sick) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ready: %v", err)
		}
		if st := r.Status(); !errors.Is(st.HealthErr, sick) {
			t.Errorf("status %+v", st)
		}
		ready := make(chan error, 1)
		go func() { ready <- r.Ready(t.Context()) }()
		set(nil)
		time.Sleep(5 * time.Second)
		is(discovery.HealthPassing) // at once: it is the first time
		if err := <-ready; err != nil {
			t.Error(err)
		}
		set(sick)
		r.Refresh()
		is(discovery.HealthPassing) // once is not enough
		time.Sleep(time.Second)     // but it is asked again soon
		is(discovery.HealthFailing)
		set(nil)
		r.Refresh()
		is(discovery.HealthFailing)
		time.Sleep(time.Second)
		is(discovery.HealthPassing)
	})
}

// TestFlapsAreDamped: a check that goes up and down all the time ends as failing.
func TestFlapsAreDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		start := time.Now()
		r := newRegistrar(t, registry, order(1), discovery.WithHealth(func(context.Context) error {
			if int(time.Since(start)/(12*time.Second))%2 == 1 {
				return errors.New("down again")
			}
			return nil
		}))
		defer deregister(t, r)
		changes, last := 0, discovery.HealthUnknown
		for range 600 {
			time.Sleep(time.Second)
			synctest.Wait()
			if h := registry.Instances(orders)[0].Health; h != last {
				changes++
				last = h
			}
		}
		if changes > 12 {
			t.Errorf("%d changes in ten minutes of a check with 50", changes)
		}
	})
}

// TestFlapsAreForgotten: who was well for long enough is believed as quickly as before.
func TestFlapsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		var mu sync.Mutex
		var err error
		set := func(e error) { mu.Lock(); defer mu.Unlock(); err = e }
		r := newRegistrar(t, registry, order(1), discovery.WithHealth(func(context.Context) error { mu.Lock(); defer mu.Unlock(); return err }))
		defer deregister(t, r)
		is := func(after time.Duration, want discovery.Health) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := registry.Instances(orders)[0].Health; got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		down := errors.New("down")
		is(time.Second, discovery.HealthPassing)
		for range 3 {
			set(down)
			is(7*time.Second, discovery.HealthFailing)
			set(nil)
			is(20*time.Second, discovery.HealthPassing)
		}
		set(down)
		is(7*time.Second, discovery.HealthFailing)
		set(nil)
		is(7*time.Second, discovery.HealthFailing) // 16 checks have to pass by now
		is(time.Hour, discovery.HealthPassing)
		set(down)
		is(7*time.Second, discovery.HealthFailing)
		set(nil)
		is(7*time.Second, discovery.HealthPassing)
	})
}

// TestStuckProcess: a check that hangs or panics is a check that fails, and takes no
// heartbeat with it.
func TestStuckProcess(t *testing.T) {
	for name, check := range map[string]func(stuck chan struct{}) error{
		"hangs":  func(stuck chan struct{}) error { <-stuck; return nil },
		"panics": func(chan struct{}) error { panic("boom") },
		"exits":  func(chan struct{}) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry, stuck := memory.New(), make(chan struct{})
				var bad bool
				var mu sync.Mutex
				r := newRegistrar(t, registry, order(1), discovery.WithHealth(func(context.Context) error {
					mu.Lock()
					b := bad
					mu.Unlock()
					if b {
						return check(stuck)
					}
					return nil
				}))
				time.Sleep(time.Minute)
				mu.Lock()
				bad = true
				mu.Unlock()
				time.Sleep(15 * time.Second)
				synctest.Wait()
				if got := registry.Instances(orders); len(got) != 1 || got[0].Health != discovery.HealthFailing {
					t.Errorf("one time to live later: %v", got)
				}
				before := r.Status().Heartbeats
				time.Sleep(time.Minute)
				if r.Status().Heartbeats-before < 9 {
					t.Errorf("%d heartbeats in a minute", r.Status().Heartbeats-before)
				}
				close(stuck)
				deregister(t, r)
			})
		})
	}
}
