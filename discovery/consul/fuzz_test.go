// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
)

// FuzzAnswer reads whatever may be an answer of Consul: what comes of it are instances
// that are valid, of the query and there once; the same answer again is no news, and none
// of it is left after an empty one.
func FuzzAnswer(f *testing.F) {
	plain := entry(func(*api.ServiceEntry) {})
	ours := entry(func(e *api.ServiceEntry) {
		e.Service.ID, e.Service.Meta = "prod--order:!a", map[string]string{"fairlead-namespace": "prod", "fairlead-zone": "z"}
		e.Checks = api.HealthChecks{{Status: "critical"}}
	})
	for _, seed := range []string{
		"[]", "null", "[null]", "[{}]", `[{"Node":null,"Service":null,"Checks":null}]`, "[" + plain + "]", "[" + ours + "]", "[" + plain + "," + ours + "]", "[" + ours + "," + ours + "]",
		`[{"Node":{"Node":1}}]`, `[{"Service":{"Service":"prod--order","ID":"x","Address":"::1","Port":80,"Meta":{"":"","a b":"","k":"\u0000"}}}]`,
		`[{"Service":{"Service":"prod--order","ID":"prod--order:!","Port":70000,"Tags":["","x y","ok"]}}]`, "[" + rawEntry("prod--order", 1, nil) + "]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		updates, err := consul.Decode(order, text, text, []byte("[]"))
		if err != nil {
			return
		}
		u, ids := updates[0], map[string]bool{}
		for _, in := range u.Put {
			normal, err := in.Normalized()
			if err != nil || !normal.Equal(&in) || !order.Owns(&in) || ids[in.ID] {
				t.Errorf("%+v is not valid, not normal, not asked for, or there twice: %v", in, err)
			}
			ids[in.ID] = true
		}
		for _, m := range u.Malformed {
			if m.Key == "" || m.Err == nil {
				t.Errorf("%+v says too little", m)
			}
		}
		var entries []json.RawMessage
		if err := json.Unmarshal(text, &entries); err != nil || len(u.Put)+len(u.Malformed) > len(entries) {
			t.Errorf("%d instances and %d faults of %d entries (%v)", len(u.Put), len(u.Malformed), len(entries), err)
		}
		if again := updates[1]; len(again.Put)+len(again.Remove)+len(again.Malformed) > 0 {
			t.Errorf("news about the same answer: %+v", again)
		}
		if last := updates[2]; len(last.Remove) != len(u.Put) || len(last.Put)+len(last.Malformed) > 0 {
			t.Errorf("after an empty answer: %+v, want %d removed", last, len(u.Put))
		}
	})
}

// FuzzNames takes whatever may be the name or the id of a service in Consul: what is
// read from it is what is written as it.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"prod--order", "prod--!order", "prod--", "prod--!", "prod--!!a", "prod--Order", "prod--a:b", "prod-_x--a", "PROD--order"} {
		f.Add("prod", seed, seed+":x")
	}
	f.Fuzz(func(t *testing.T, ns, name, id string) {
		q, ok := consul.ParseName(discovery.Namespace(ns), name)
		if !ok {
			return
		}
		if back := consul.ServiceName(q); back != name {
			t.Errorf("%q is read as %s, which is %q", name, q, back)
		}
		if instance, ok := consul.ParseID(q, id); ok {
			if back := consul.ServiceID(discovery.Key{Namespace: q.Namespace, Service: q.Service, ID: instance}); back != id {
				t.Errorf("%q is read as %q, which is %q", id, instance, back)
			}
		}
	})
}

// BenchmarkAnswer reads an answer of 10,000 entries of which one has changed.
func BenchmarkAnswer(b *testing.B) {
	const count = 10_000
	texts := [2][]byte{[]byte("["), []byte("[")}
	for turn := range texts {
		for n := range count {
			if n > 0 {
				texts[turn] = append(texts[turn], ',')
			}
			texts[turn] = append(texts[turn], entry(func(e *api.ServiceEntry) {
				e.Service.ID, e.Service.Address = fmt.Sprint("i", n), fmt.Sprintf("10.0.%d.%d", n>>8, n&255)
				e.Checks = api.HealthChecks{{CheckID: "serfHealth", Status: "passing"}, {CheckID: "c", Status: "passing", ServiceID: e.Service.ID}}
				if n == 5000 {
					e.Service.Port = 80 + turn
				}
			})...)
		}
		texts[turn] = append(texts[turn], ']')
	}
	read := consul.NewListing(order)
	if _, err := read(texts[0]); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(texts[0])))
	for turn := 1; b.Loop(); turn = 1 - turn {
		if u, err := read(texts[turn]); err != nil || len(u.Put) != 1 {
			b.Fatalf("%d changes (%v)", len(u.Put), err)
		}
	}
}
