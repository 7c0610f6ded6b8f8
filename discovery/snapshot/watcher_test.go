// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/snapshot"
)

func register(t testing.TB, registry *memory.Registry, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		r, err := registry.Registration(order(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Register(t.Context(), 1000*time.Hour, discovery.HealthPassing); err != nil {
			t.Fatal(err)
		}
	}
}

// process is a process that watches: it begins, looks, and ends.
func process(t testing.TB, registry *memory.Registry, dir string, look func(*discovery.Subscription), opts ...discovery.WatcherOption) {
	t.Helper()
	store, err := snapshot.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := discovery.NewWatcher(registry, "prod", append([]discovery.WatcherOption{discovery.WithStore(store), discovery.WithJitter(0)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	sub, err := w.Subscribe(orders, nil)
	if err != nil {
		t.Fatal(err)
	}
	look(sub)
}

func TestStartWithoutRegistry(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		register(t, registry, 1, 2, 3)
		process(t, registry, dir, func(sub *discovery.Subscription) {
			if err := sub.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		registry.Faults().Hang(true)
		process(t, registry, dir, func(sub *discovery.Subscription) {
			synctest.Wait()
			if s := sub.Snapshot(); s.Origin != discovery.OriginDisk || s.Instances.Len() != 3 || s.Version != 1 {
				t.Errorf("without the registry: %+v", s)
			}
			time.Sleep(time.Minute)
			if s := sub.Snapshot(); s.Origin != discovery.OriginDisk || s.Instances.Len() != 3 || s.Err == nil {
				t.Errorf("after a minute without it: %+v", s)
			}
			// It comes back with one less: that one has the time to register again.
			registry.Faults().Hang(false)
			registry.Faults().Forget()
			register(t, registry, 1, 2)
			time.Sleep(10 * time.Second)
			if s := sub.Snapshot(); s.Origin != discovery.OriginLive || s.Instances.Len() != 3 || s.Hold != discovery.HoldRecovery {
				t.Errorf("with it again: %+v", s)
			}
			time.Sleep(30 * time.Second)
			if s := sub.Snapshot(); s.Instances.Len() != 2 || s.Hold != discovery.HoldNone {
				t.Errorf("in the end: %+v", s)
			}
			registry.Faults().Down(true)
			synctest.Wait()
			if s := sub.Snapshot(); s.Origin != discovery.OriginLastKnownGood {
				t.Errorf("without it again: %+v", s)
			}
			registry.Faults().Down(false)
		})
		// That is what the next one begins with.
		registry.Faults().Down(true)
		process(t, registry, dir, func(sub *discovery.Subscription) {
			synctest.Wait()
			if s := sub.Snapshot(); s.Instances.Len() != 2 {
				t.Errorf("the next process: %+v", s)
			}
		})
		// After longer than it is good for, it is nothing.
		time.Sleep(25 * time.Hour)
		process(t, registry, dir, func(sub *discovery.Subscription) {
			synctest.Wait()
			if s := sub.Snapshot(); s.Instances.Len() != 0 || !errors.Is(s.Problem(), discovery.ErrStale) {
				t.Errorf("a day later: %+v", s)
			}
		})
	})
}

// TestStaysFresh: what does not change for longer than it is good for is stored again
// meanwhile.
func TestStaysFresh(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		register(t, registry, 1)
		process(t, registry, dir, func(*discovery.Subscription) {
			time.Sleep(100 * time.Hour)
			// It is killed here: the file is as it is now.
			store, _ := snapshot.Open(dir)
			if s, err := store.Load(orders); err != nil || time.Since(s.At) > 11*time.Minute {
				t.Errorf("the file is of %v, %v", s.At, err)
			}
		})
	})
}

// TestStoreThatFails: a disk that fails is told of, and costs nobody an instance.
func TestStoreThatFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		register(t, registry, 1)
		var mu sync.Mutex
		var failed []error
		process(t, registry, dir, func(sub *discovery.Subscription) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			register(t, registry, 2)
			time.Sleep(time.Minute)
			if s := sub.Snapshot(); s.Instances.Len() != 2 {
				t.Errorf("%+v", s)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(failed) == 0 || !errors.Is(failed[0], os.ErrNotExist) {
				t.Errorf("told of %v", failed)
			}
		}, discovery.WithObserver(discovery.Observer{StoreFailed: func(_ discovery.Query, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		}}))
	})
}

// slowStore is a disk that takes its time.
type slowStore struct {
	discovery.Store
	mu    sync.Mutex
	saved int
}

func (s *slowStore) Save(q discovery.Query, stored discovery.Stored) error {
	time.Sleep(10 * time.Second)
	s.mu.Lock()
	s.saved++
	s.mu.Unlock()
	return s.Store.Save(q, stored)
}

func TestSlowDiskDelaysNobody(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		store, err := snapshot.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		slow := &slowStore{Store: store}
		w, err := discovery.NewWatcher(registry, "prod", discovery.WithStore(slow))
		if err != nil {
			t.Fatal(err)
		}
		sub, _ := w.Subscribe(orders, nil)
		for n := range 100 {
			register(t, registry, n)
			synctest.Wait()
			if got := sub.Snapshot().Instances.Len(); got != n+1 {
				t.Fatalf("%d instances, want %d", got, n+1)
			}
			time.Sleep(100 * time.Millisecond)
		}
		w.Close()
		if slow.saved > 4 {
			t.Errorf("written %d times", slow.saved)
		}
		if s, err := store.Load(orders); err != nil || s.Instances.Len() != 100 {
			t.Errorf("after Close, %d instances are stored, %v", s.Instances.Len(), err)
		}
	})
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "snapshot")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := snapshot.Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	q := discovery.Query{Namespace: "prod", Service: "order"}
	instances := discovery.NewSet(discovery.Instance{Namespace: "prod", Service: "order", ID: "a", Address: "10.0.0.7:8443", Weight: 1})
	fmt.Println(store.Save(q, discovery.Stored{Instances: instances, At: time.Now()}))

	stored, err := store.Load(q)
	fmt.Println(stored.Instances.Get("a"), err)
	// Output:
	// <nil>
	// prod/order/a at 10.0.0.7:8443 <nil>
}
