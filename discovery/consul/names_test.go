// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		ns, service, id string
		name, wantID    string
	}{
		{"prod", "order", "order@10.0.0.7:8443", "prod--order", "prod--order:order@10.0.0.7:8443"},
		{"prod-eu", "a--b", "x", "prod-eu--a--b", "prod-eu--a--b:x"},
		{"a--b", "c", "x", "a-_b--c", "a-_b--c:x"},
		{"a", "b--c", "x", "a--b--c", "a--b--c:x"},
		{"a---b", "c", "x", "a-_-b--c", "a-_-b--c:x"},
		{"prod", "shop.v1.OrderService", "Order_1", "prod--shop.v1.!order!service", "prod--shop.v1.!order!service:!order_1"},
	} {
		k := discovery.Key{Namespace: discovery.Namespace(tc.ns), Service: tc.service, ID: tc.id}
		if got := consul.ServiceName(k.Query()); got != tc.name {
			t.Errorf("name of %s: got %q, want %q", k.Query(), got, tc.name)
		}
		if got := consul.ServiceID(k); got != tc.wantID {
			t.Errorf("id of %s: got %q, want %q", k, got, tc.wantID)
		}
	}
}

// dnsLabel is what Consul makes a name in its DNS of.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// TestNamesAreUnambiguous makes up names that have much in common: no two places are the
// same, in whatever case Consul compares them, no place is in two environments, and every
// one leads back.
func TestNamesAreUnambiguous(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(letters string, most int) string {
		b := make([]byte, 1+random.IntN(most))
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	names, ids := map[string]discovery.Query{}, map[string]discovery.Key{}
	var spaces []discovery.Namespace
	for len(names) < 20_000 {
		k := discovery.Key{Namespace: discovery.Namespace(word("ab-", 6)), Service: word("abAB-._", 6), ID: word("aA:_-@", 4)}
		if k.Validate() != nil {
			continue
		}
		q := k.Query()
		name, id := consul.ServiceName(q), consul.ServiceID(k)
		if other, ok := names[strings.ToLower(name)]; ok && other != q {
			t.Fatalf("%s and %s are both %q", q, other, name)
		}
		if other, ok := ids[strings.ToLower(id)]; ok && other != k {
			t.Fatalf("%s and %s are both %q", k, other, id)
		}
		names[strings.ToLower(name)], ids[strings.ToLower(id)] = q, k
		if back, ok := consul.ParseName(q.Namespace, name); !ok || back != q {
			t.Fatalf("%q leads back to %s (%t), not to %s", name, back, ok, q)
		}
		if back, ok := consul.ParseID(q, id); !ok || back != k.ID {
			t.Fatalf("%q leads back to %q (%t), not to %q", id, back, ok, k.ID)
		}
		if len(spaces) < 50 {
			spaces = append(spaces, q.Namespace)
		}
		for _, ns := range spaces {
			if other, ok := consul.ParseName(ns, name); ok && ns != q.Namespace {
				t.Fatalf("%q of %s is also %s", name, q, other)
			}
		}
		if plain := !strings.Contains(string(q.Namespace), "--") && dnsLabel.MatchString(q.Service); plain && !dnsLabel.MatchString(name) {
			t.Fatalf("%q is no DNS label, and %s could have one", name, q)
		}
	}
}
