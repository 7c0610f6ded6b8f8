// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
)

// quiet wants no update for a while.
func (w *world) quiet(what string, src discovery.Source) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Second)
	defer cancel()
	if u, err := src.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		w.Errorf("%s: %+v, %v", what, u, err)
	}
}

// put writes an instance as whoever may.
func (w *world) put(in discovery.Instance) { w.server.Put(keyOf(in), encoded(in), 0) }

// TestWatchEnds: whatever ends a watch is an error, at once, and then comes all there is.
func TestWatchEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*world)
		want error
	}{
		"compaction":  {func(w *world) { w.server.Compact() }, rpctypes.ErrCompacted},
		"no leader":   {func(w *world) { w.server.NoLeader(true) }, rpctypes.ErrNoLeader},
		"cut":         {func(w *world) { w.server.Disconnect() }, nil},
		"new cluster": {func(w *world) { w.server.Wipe() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.put(instance(1))
				src := watch(w.T, w.backend, order)
				next(w.T, src)
				start := time.Now()
				tc.end(w)
				_, err := src.Next(call(w.T))
				if took := time.Since(start); err == nil || took > 0 {
					w.Fatalf("got %v after %v, want an error at once", err, took)
				}
				if tc.want != nil && !errors.Is(err, tc.want) {
					w.Errorf("got %v, want %v", err, tc.want)
				}
				w.server.NoLeader(false)
				w.put(instance(1))
				w.put(instance(2))
				if u := next(w.T, src); !u.Full || len(u.Put) != 2 {
					w.Errorf("afterwards: %+v", u)
				}
				w.server.Delete(keyOf(instance(1)))
				if u := next(w.T, src); u.Full || len(u.Remove) != 1 || u.Remove[0] != instance(1).ID {
					w.Errorf("and then: %+v", u)
				}
			})
		})
	}
}

// TestBehind: a watch that begins before its list would wait for what has been.
func TestBehind(t *testing.T) {
	bubble(t, func(w *world) {
		w.put(instance(1))
		w.server.Lag(1)
		src := watch(w.T, w.backend, order)
		if _, err := src.Next(call(w.T)); !errors.Is(err, etcd.ErrBehind) {
			w.Errorf("got %v, want etcd.ErrBehind", err)
		}
		w.server.Lag(0)
		if u := next(w.T, src); !u.Full || len(u.Put) != 1 {
			w.Errorf("afterwards: %+v", u)
		}
		synctest.Wait()
		if c := w.server.Counts(); c.Watchers != 1 {
			w.Errorf("%+v, want one watcher", c)
		}
	})
}

// TestTakenTogether: of what happened while nobody waited, the last counts.
func TestTakenTogether(t *testing.T) {
	bubble(t, func(w *world) {
		w.put(instance(1))
		src := watch(w.T, w.backend, order)
		next(w.T, src)
		for n := range 1000 {
			in := instance(1)
			in.Weight = n + 1
			w.put(in)
		}
		w.put(instance(2))
		w.server.Delete(keyOf(instance(2)))
		w.put(instance(3))
		synctest.Wait()
		u := next(w.T, src)
		if len(u.Put) != 2 || u.Put[0].Weight != 1000 || u.Put[1].ID != instance(3).ID || len(u.Remove) != 0 {
			w.Errorf("got %+v", u)
		}
		last := instance(1)
		last.Weight = 1000
		w.put(last) // as a registration with another lease does
		w.quiet("the same value again", src)
	})
}

// TestMalformed: what makes no instance is reported, and takes away what was in its place.
func TestMalformed(t *testing.T) {
	bubble(t, func(w *world) {
		w.put(instance(1))
		w.put(instance(2))
		src := watch(w.T, w.backend, order)
		next(w.T, src)
		w.server.Put(keyOf(instance(1)), []byte("x"), 0)
		u := next(w.T, src)
		if len(u.Malformed) != 1 || len(u.Remove) != 1 || u.Remove[0] != instance(1).ID || u.Malformed[0].Key != keyOf(instance(1)) {
			w.Errorf("one that became malformed: %+v", u)
		}
		w.server.Put(etcd.DefaultPrefix+"/"+order.String()+"/a/b\xff", encoded(instance(5)), 0)
		if u = next(w.T, src); len(u.Malformed) != 1 || u.Malformed[0].Key != etcd.DefaultPrefix+"/"+order.String()+"/a/b\uFFFD" {
			w.Errorf("a key that is none: %+v", u)
		}
		w.server.Put(keyOf(instance(3)), encoded(instance(4)), 0)
		if u = next(w.T, src); len(u.Malformed) != 1 || len(u.Put) != 0 {
			w.Errorf("an instance under another's key: %+v", u)
		}
		foreign := instance(6)
		foreign.Namespace = "prod"
		w.server.Put(keyOf(instance(6)), encoded(foreign), 0)
		if u = next(w.T, src); len(u.Malformed) != 1 || !errors.Is(u.Malformed[0].Err, discovery.ErrForeignNamespace) {
			w.Errorf("an instance of another environment: %+v", u)
		}
		w.put(instance(1))
		if u = next(w.T, src); len(u.Put) != 1 {
			w.Errorf("one that is well again: %+v", u)
		}
		if u = next(w.T, watch(w.T, w.backend, order)); len(u.Put) != 2 || len(u.Malformed) != 3 {
			w.Errorf("a new watch: %+v", u)
		}
	})
}

// TestOneStream: all watches are on one stream, and it ends with the last.
func TestOneStream(t *testing.T) {
	bubble(t, func(w *world) {
		var sources []discovery.Source
		for n := range 50 {
			src := watch(w.T, w.backend, discovery.Query{Namespace: "test", Service: fmt.Sprintf("s%d", n)})
			next(w.T, src)
			sources = append(sources, src)
		}
		if c := w.server.Counts(); c.Streams != 1 || c.Watchers != 50 {
			w.Errorf("%+v, want 50 watchers on one stream", c)
		}
		for n, src := range sources {
			_ = src.Close()
			synctest.Wait()
			if c := w.server.Counts(); c.Watchers != 49-n {
				w.Fatalf("%+v after %d were closed", c, n+1)
			}
		}
		if c := w.server.Counts(); c.Streams != 0 {
			w.Errorf("%+v after all were closed", c)
		}
		next(w.T, watch(w.T, w.backend, order))
	})
}

// TestUnanswered: a watch that was given up before it was answered leaves nothing, and
// keeps no other waiting.
func TestUnanswered(t *testing.T) {
	bubble(t, func(w *world) {
		first := watch(w.T, w.backend, order)
		next(w.T, first)
		for range 5 {
			src := watch(w.T, w.backend, order)
			w.server.HangWatches(true)
			ctx, cancel := context.WithTimeout(w.Context(), time.Second)
			if _, err := src.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				w.Errorf("got %v, want context.DeadlineExceeded", err)
			}
			cancel()
			_ = src.Close()
		}
		w.server.HangWatches(false)
		src := watch(w.T, w.backend, order)
		next(w.T, src)
		w.put(instance(1))
		for _, s := range []discovery.Source{first, src} {
			if u := next(w.T, s); len(u.Put) != 1 {
				w.Errorf("got %+v", u)
			}
		}
		synctest.Wait()
		if c := w.server.Counts(); c.Streams != 1 || c.Watchers != 2 {
			w.Errorf("%+v, want two watchers on one stream", c)
		}
	})
}

// TestFiveMinutes leaves callers without a registry for five minutes, in which every
// lease ends.
func TestFiveMinutes(t *testing.T) {
	bubble(t, func(w *world) {
		var registrars []*discovery.Registrar
		for n := range 3 {
			r, err := discovery.NewRegistrar(newBackend(w.T, w.server), order.Namespace, instance(n+1))
			if err != nil {
				w.Fatal(err)
			}
			registrars = append(registrars, r)
		}
		watcher, err := discovery.NewWatcher(w.backend, order.Namespace)
		if err != nil {
			w.Fatal(err)
		}
		defer func() { _ = watcher.Close() }()
		full, lost := make(chan struct{}), false
		_, err = watcher.Subscribe(order, func(s *discovery.Snapshot) {
			switch n := s.Instances.Len(); {
			case n == 3 && !isClosed(full):
				close(full)
			case n != 3 && isClosed(full):
				lost = true
			}
		})
		if err != nil {
			w.Fatal(err)
		}
		<-full
		w.server.Down(true)
		time.Sleep(5 * time.Minute)
		w.expect("at the end of the outage", 0, 0)
		w.server.Down(false)
		time.Sleep(15 * time.Second)
		w.expect("afterwards", 3, 3)
		synctest.Wait()
		if lost {
			w.Error("callers saw another number than three")
		}
		for _, r := range registrars {
			if st := r.Status(); st.State != discovery.StateVisible {
				w.Errorf("%v is %v", &st.Instance, st.State)
			}
			if err := r.Deregister(call(w.T)); err != nil {
				w.Error(err)
			}
		}
		w.expect("in the end", 0, 0)
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
