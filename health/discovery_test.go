// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// TestStuckProcessLeaves: a process whose key goroutine is in a deadlock has its port
// open and its heartbeats on time, and goes out of rotation; and comes back.
func TestStuckProcessLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const prod discovery.Namespace = "prod"
		registry := memory.New()
		s := exact(t)
		beat, err := s.Watch("consumer", 4*sec)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		r, err := discovery.NewRegistrar(registry, prod, discovery.Instance{Service: "order", Address: "10.0.0.7:8443"},
			discovery.WithHealth(s.Check), discovery.WithDamping(1, 1))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := r.Deregister(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		defer s.Subscribe(r.Refresh)()
		watcher, err := discovery.NewWatcher(registry, prod, discovery.WithEmptyTrusted())
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Close()
		sub, err := watcher.Subscribe(discovery.Query{Namespace: prod, Service: "order"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()

		lock := make(chan struct{}, 1) // a mutex would hold up the bubble's time
		end := make(chan struct{})
		defer close(end)
		go func() { // the goroutine that the process is there for
			defer beat.Done()
			for {
				select {
				case <-end:
					return
				case <-time.After(100 * ms):
				}
				lock <- struct{}{}
				beat.Beat()
				<-lock
			}
		}()
		wait := func(instances int) time.Duration {
			t.Helper()
			began := time.Now()
			for {
				snapshot, err := sub.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if snapshot.Instances.Len() == instances {
					return time.Since(began)
				}
			}
		}
		if got := wait(1); got > 2*sec {
			t.Errorf("found after %v, want it as soon as it is ready", got)
		}
		time.Sleep(time.Minute)
		lock <- struct{}{} // the deadlock
		if got := wait(0); got < 4*sec || got > 5*sec+100*ms {
			t.Errorf("out of rotation after %v, want 4s to 5s", got)
		}
		if st := r.Status(); st.State != discovery.StateVisible || st.Health != discovery.HealthFailing || time.Since(st.LastHeartbeat) > 5*sec {
			t.Errorf("%+v: heartbeats go on, and say that it fails", st)
		}
		<-lock
		if got := wait(1); got > 2*sec {
			t.Errorf("back after %v, want a look or two", got)
		}
		s.Stop()
		if got := wait(0); got != 0 {
			t.Errorf("out of rotation %v after Stop, want at once", got)
		}
	})
}
