// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
)

// entryOf lists the namespace and returns the entry of a key.
func (w *world) entryOf(key string) discovery.Entry {
	w.Helper()
	entries, err := w.backend.Entries(call(w.T), order.Namespace)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		if e.Key == key {
			return e
		}
	}
	w.Fatalf("%s is not among %+v", key, entries)
	return discovery.Entry{}
}

func TestEntries(t *testing.T) {
	bubble(t, func(w *world) {
		const here = etcd.DefaultPrefix + "/test/"
		register(w.T, registration(w.T, w.backend, instance(1)), time.Minute)
		w.put(instance(2))
		w.server.Put(here+"order/x", []byte("x"), 0)
		w.server.Put(here+"a/b/c", []byte("x"), 0)
		w.server.Put(here+"..", encoded(instance(3)), 0)
		w.server.Put(etcd.DefaultPrefix+"/test2/order/x", []byte("x"), 0)
		w.server.Put(etcd.DefaultPrefix+"/test", []byte("x"), 0)
		entries, err := w.backend.Entries(call(w.T), "test")
		if err != nil || len(entries) != 5 {
			w.Fatalf("%d entries, want 5: %+v, %v", len(entries), entries, err)
		}
		for _, tc := range []struct {
			key           string
			ours, expires bool
			valid         bool
			service       string
		}{
			{keyOf(instance(1)), true, true, true, "order"},
			{keyOf(instance(2)), true, false, true, "order"},
			{here + "order/x", false, false, false, "order"},
			{here + "a/b/c", false, false, false, "a"},
			{here + "..", true, false, false, ""},
		} {
			e := w.entryOf(tc.key)
			if e.Ours != tc.ours || e.Expires != tc.expires || (e.Instance != nil) != tc.valid || (e.Err == nil) != tc.valid || e.Service != tc.service || e.Revision == 0 || e.Namespace != "test" || e.Expired {
				w.Errorf("got %+v, want %+v", e, tc)
			}
		}
		for _, bad := range []discovery.Namespace{"", "..", "a/b"} {
			if _, err := w.backend.Entries(call(w.T), bad); err == nil {
				w.Errorf("Entries takes %q", bad)
			}
		}
	})
}

func TestRemove(t *testing.T) {
	bubble(t, func(w *world) {
		key := keyOf(instance(1))
		w.put(instance(1))
		e := w.entryOf(key)
		w.put(instance(1)) // somebody writes it
		if err := w.backend.Remove(call(w.T), e); !errors.Is(err, discovery.ErrChanged) {
			w.Errorf("got %v, want discovery.ErrChanged", err)
		}
		e = w.entryOf(key)
		for what, change := range map[string]func(*discovery.Entry){
			"not ours":               func(e *discovery.Entry) { e.Ours = false },
			"of another environment": func(e *discovery.Entry) { e.Namespace = "tes" },
			"of none":                func(e *discovery.Entry) { e.Namespace = "" },
			"elsewhere":              func(e *discovery.Entry) { e.Key = "fairlead/test" },
			"not listed":             func(e *discovery.Entry) { e.Revision = 0 },
		} {
			wrong := e
			change(&wrong)
			if err := w.backend.Remove(call(w.T), wrong); err == nil {
				w.Errorf("%s: no error", what)
			}
		}
		w.expect("after all that was refused", 1, 0)
		for range 2 {
			if err := w.backend.Remove(call(w.T), e); err != nil {
				w.Error(err)
			}
		}
		w.expect("after it was removed", 0, 0)
	})
}

// TestSweep puts the core on top: what never ends is removed, and nothing else.
func TestSweep(t *testing.T) {
	bubble(t, func(w *world) {
		register(w.T, registration(w.T, w.backend, instance(1)), 24*time.Hour)
		w.put(instance(2)) // a ghost
		w.server.Put(etcd.DefaultPrefix+"/test/order/x", []byte("x"), 0)
		s, err := discovery.NewSweep(w.backend, "test", discovery.WithRemoval())
		if err != nil {
			w.Fatal(err)
		}
		for range 2 {
			if _, err := s.Pass(call(w.T)); err != nil {
				w.Fatal(err)
			}
			time.Sleep(time.Hour - time.Minute)
		}
		last := s.Last()
		if found, removed := last.Count(discovery.LeftoverImmortal); found != 1 || removed != 1 {
			w.Errorf("got %+v", last)
		}
		w.expect("the instance and what is not ours", 2, 1)
	})
}
