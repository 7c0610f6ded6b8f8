// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

var one = discovery.Instance{Namespace: "prod", Service: "order", ID: "one", Address: "10.0.0.1:80"}

// put registers an instance for a minute, without anybody who keeps it up.
func put(t *testing.T, r *memory.Registry, in discovery.Instance) discovery.Registration {
	t.Helper()
	g, err := r.Registration(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Register(t.Context(), time.Minute, discovery.HealthPassing); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestInspect: a healthy cluster of one, whatever a test makes of it, and its faults.
func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.New()
		put(t, r, one)
		r.Faults().Slow(20 * time.Millisecond)
		c, err := r.Inspect(t.Context())
		want := discovery.Cluster{
			Members: []discovery.ClusterMember{{
				Name: "memory", Leader: true, Sees: "memory", Voter: true, Health: discovery.HealthPassing,
				Term: 1, Index: 1, Latency: 20 * time.Millisecond,
			}},
			Leader: "memory", Latency: 20 * time.Millisecond,
		}
		if diff := cmp.Diff(want, c); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		r.Faults().Slow(0)

		script := discovery.Cluster{Leader: "b", Members: []discovery.ClusterMember{{Name: "a", Alarms: []string{"x"}}}, Alarms: []string{"y"}}
		r.Faults().Cluster(&script)
		script.Members[0].Name, script.Members[0].Alarms[0], script.Alarms[0] = "edited", "edited", "edited"
		c, _ = r.Inspect(t.Context())
		if c.Members[0].Name != "a" || c.Members[0].Alarms[0] != "x" || c.Alarms[0] != "y" {
			t.Errorf("the script is the caller's own: %+v", c)
		}
		r.Faults().Cluster(nil)
		if c, _ = r.Inspect(t.Context()); c.Leader != "memory" {
			t.Errorf("after the script: %+v", c)
		}

		r.Faults().Down(true)
		if _, err := r.Inspect(t.Context()); !errors.Is(err, memory.ErrAway) {
			t.Errorf("away: %v", err)
		}
		r.Faults().Down(false)
		r.Faults().Hang(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Inspect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hanging: %v", err)
		}
	})
}

// TestEntries: all of a namespace, as it is, and nothing of another.
func TestEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.New()
		r.Faults().Linger(true)
		put(t, r, one)
		time.Sleep(time.Hour)
		alive, other := one, one
		alive.ID, other.Namespace = "two", "prod2"
		put(t, r, alive)
		put(t, r, other)
		q := discovery.Query{Namespace: "prod", Service: "order"}
		r.Faults().Put(q, "bad", []byte("?"))
		if err := errors.Join(r.Faults().Forever(discovery.Instance{Namespace: "prod", Service: "price", ID: "x", Address: "10.0.0.9:80"})); err != nil {
			t.Fatal(err)
		}
		got, err := r.Entries(t.Context(), "prod")
		if err != nil {
			t.Fatal(err)
		}
		type row struct {
			Key                    string
			Ours, Expires, Expired bool
			Instance               bool
		}
		var rows []row
		for _, e := range got {
			if e.Namespace != "prod" || e.Revision == 0 || (e.Instance == nil) != (e.Err != nil) {
				t.Errorf("%+v", e)
			}
			rows = append(rows, row{e.Key, e.Ours, e.Expires, e.Expired, e.Instance != nil})
		}
		want := []row{
			{"prod/order/bad", false, false, false, false}, {"prod/order/one", true, true, true, true},
			{"prod/order/two", true, true, false, true}, {"prod/price/x", true, false, false, true},
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if in := r.Instances(q)[0]; in.ID != "one" || in.Health != discovery.HealthFailing {
			t.Errorf("what has expired is shown as %s", in.Health)
		}
		r.Faults().Down(true)
		if _, err := r.Entries(t.Context(), "prod"); !errors.Is(err, memory.ErrAway) {
			t.Errorf("away: %v", err)
		}
		if _, err := r.Entries(t.Context(), "Prod"); err == nil || errors.Is(err, memory.ErrAway) {
			t.Errorf("no namespace: %v", err)
		}
	})
}

// TestRemove: what is as it was listed, and nothing else.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.New()
		r.Faults().Linger(true)
		g := put(t, r, one)
		time.Sleep(time.Hour)
		q := discovery.Query{Namespace: "prod", Service: "order"}
		r.Faults().Put(q, "half", []byte(`{"v":1,"namespace":"prod","service":"order","id":"x","address":"?"}`))
		r.Faults().Put(q, "bad", []byte("?"))
		list := func() map[string]discovery.Entry {
			entries, err := r.Entries(t.Context(), "prod")
			if err != nil {
				t.Fatal(err)
			}
			out := map[string]discovery.Entry{}
			for _, e := range entries {
				out[e.Key] = e
			}
			return out
		}
		before := list()
		if err := r.Remove(t.Context(), before["prod/order/bad"]); err == nil {
			t.Error("what is not ours was removed")
		}
		if _, err := g.Heartbeat(t.Context(), discovery.HealthPassing); err != nil {
			t.Errorf("a heartbeat of what has expired and is listed: %v", err)
		}
		if err := r.Remove(t.Context(), before["prod/order/one"]); !errors.Is(err, discovery.ErrChanged) {
			t.Errorf("kept up again: %v", err)
		}
		if e := list()["prod/order/one"]; e.Expired || !e.Expires {
			t.Errorf("kept up again, and listed as %+v", e)
		}
		immortal := discovery.Instance{Namespace: "prod", Service: "price", ID: "x", Address: "10.0.0.9:80"}
		if err := r.Faults().Forever(immortal); err != nil {
			t.Fatal(err)
		}
		ghost := list()["prod/price/x"]
		if err := r.Faults().Forever(immortal); err != nil {
			t.Fatal(err)
		}
		if err := r.Remove(t.Context(), ghost); !errors.Is(err, discovery.ErrChanged) {
			t.Errorf("written again as it was: %v", err)
		}
		if err := r.Remove(t.Context(), list()["prod/price/x"]); err != nil {
			t.Error(err)
		}
		r.Faults().Put(q, "half", []byte(`{"v":1,"namespace":"prod","service":"order","id":"y","address":"?"}`))
		if err := r.Remove(t.Context(), before["prod/order/half"]); !errors.Is(err, discovery.ErrChanged) {
			t.Errorf("written again: %v", err)
		}
		if n := len(list()); n != 3 {
			t.Errorf("%d entries are left, want all 3", n)
		}
		for _, key := range []string{"prod/order/one", "prod/order/half"} {
			now := list()[key]
			if err := r.Remove(t.Context(), now); err != nil {
				t.Errorf("%s: %v", key, err)
			}
			if err := r.Remove(t.Context(), now); err != nil {
				t.Errorf("%s has gone: %v", key, err)
			}
		}
		if got := list(); len(got) != 1 {
			t.Errorf("left: %v", got)
		}
	})
}
