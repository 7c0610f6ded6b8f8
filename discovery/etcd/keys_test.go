// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
)

// FuzzReadEntry: whatever stands in etcd, what is taken for an instance is valid, stands
// where it belongs, and is nobody's whose namespace or service only looks alike.
func FuzzReadEntry(f *testing.F) {
	for _, in := range []discovery.Instance{instance(1), instance(2)} {
		f.Add([]byte(keyOf(in)), encoded(in))
	}
	f.Add([]byte("fairlead/test/order/../x"), encoded(instance(1)))
	f.Add([]byte("fairlead/test2/order/x"), encoded(instance(1)))
	f.Add([]byte("fairlead//order/x"), []byte(`{"v":1,"namespace":"","service":"order","id":"x","address":"10.0.0.1:1"}`))
	f.Add([]byte("fairlead/test/order/x"), []byte(`{"v":1,"namespace":"test","service":"order","id":"x","address":"10.0.0.1:1"}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		in, err := etcd.ReadEntry(etcd.DefaultPrefix, key, value)
		if err != nil {
			return
		}
		if normal, err := in.Normalized(); err != nil || !normal.Equal(&in) {
			t.Errorf("not normalized: %+v, %v", in, err)
		}
		if got := etcd.KeyOf(etcd.DefaultPrefix, in.Key()); got != string(key) {
			t.Errorf("an instance of %q was read at %q", got, key)
		}
		again, err := etcd.ReadEntry(etcd.DefaultPrefix, key, encoded(in))
		if err != nil || !again.Equal(&in) {
			t.Errorf("written again, %+v is %+v, %v", in, again, err)
		}
		own := in.Key().Query()
		for _, q := range neighbors(own) {
			if sees := etcd.Watched(etcd.DefaultPrefix, q, string(key)); sees != (q == own) {
				t.Errorf("a watch of %s is told of %q: %t", q, key, sees)
			}
		}
	})
}

// neighbors returns a query and others that look like it.
func neighbors(q discovery.Query) []discovery.Query {
	out := []discovery.Query{q}
	for _, suffix := range []string{"2", "-2", "0", "a"} {
		for _, o := range []discovery.Query{{Namespace: q.Namespace + discovery.Namespace(suffix), Service: q.Service}, {Namespace: q.Namespace, Service: q.Service + suffix}} {
			if o.Validate() == nil {
				out = append(out, o)
			}
		}
	}
	return out
}

// TestEnvironmentsApart: a watch sees the instances of its own query and nothing else,
// whatever names and prefixes have in common, and whatever else is in etcd.
func TestEnvironmentsApart(t *testing.T) {
	bubble(t, func(w *world) {
		r := rand.New(rand.NewPCG(1, 2))
		word := func(letters string) string {
			b := make([]byte, 1+r.IntN(4))
			for i := range b {
				b[i] = letters[r.IntN(len(letters))]
			}
			return string(b)
		}
		prefixes := []string{"a", "a/a", "a/a/a", "ab", "a.a"}
		backends := make([]*etcd.Backend, len(prefixes))
		for i, p := range prefixes {
			backends[i] = newBackend(w.T, w.server, etcd.WithPrefix(p))
		}
		type place struct {
			backend int
			q       discovery.Query
		}
		want := map[place]map[string]bool{}
		for range 300 {
			p := place{r.IntN(len(backends)), discovery.Query{Namespace: discovery.Namespace(word("ab0-")), Service: word("ab0-._")}}
			in := discovery.Instance{Namespace: p.q.Namespace, Service: p.q.Service, ID: word("ab0-._:@"), Address: "10.0.0.1:80"}
			g, err := backends[p.backend].Registration(in)
			if err != nil {
				continue
			}
			register(w.T, g, time.Hour)
			if want[p] == nil {
				want[p] = map[string]bool{}
			}
			want[p][in.ID] = true
			// And what somebody else may write there.
			w.server.Put(prefixes[p.backend]+"/"+word("ab/.")+"/"+word("ab/.\xff")+"/"+word("ab/."), encoded(instance(1)), 0)
		}
		if len(want) < 50 {
			t.Fatalf("only %d queries are valid", len(want))
		}
		for p, ids := range want {
			u := next(w.T, watch(w.T, backends[p.backend], p.q))
			got := map[string]bool{}
			for _, in := range u.Put {
				if !p.q.Owns(&in) {
					t.Errorf("a watch of %s sees %s", p.q, &in)
				}
				got[in.ID] = true
			}
			for id := range ids {
				if !got[id] {
					t.Errorf("a watch of %s does not see %s", p.q, id)
				}
			}
			if len(got) != len(ids) {
				t.Errorf("a watch of %s sees %d, want %d", p.q, len(got), len(ids))
			}
			for _, m := range u.Malformed {
				if !strings.HasPrefix(m.Key, prefixes[p.backend]+"/"+p.q.String()+"/") {
					t.Errorf("a watch of %s reports %q", p.q, m.Key)
				}
			}
		}
	})
}
