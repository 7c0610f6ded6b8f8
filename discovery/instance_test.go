// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
)

func TestNormalizedRefuses(t *testing.T) {
	many := map[string]string{}
	var tags []string
	for i := range 65 {
		many[fmt.Sprint("k", i)] = ""
		tags = append(tags, fmt.Sprint("t", i))
	}
	for _, tc := range []struct {
		name   string
		change func(*discovery.Instance)
		want   string
	}{
		{"no namespace", func(in *discovery.Instance) { in.Namespace = "" }, `namespace "": must not be empty`},
		{"no service", func(in *discovery.Instance) { in.Service = "" }, `service "": must not be empty`},
		{"service with a path", func(in *discovery.Instance) { in.Service = "order/../payment" }, `service "order/../payment": must be of letters`},
		{"service with dots", func(in *discovery.Instance) { in.Service = "a..b" }, `must be of letters`},
		{"long service", func(in *discovery.Instance) { in.Service = strings.Repeat("a", 129) }, `must have at most 128 characters, and has 129`},
		{"no address", func(in *discovery.Instance) { in.Address = "" }, `address "": must not be empty`},
		{"no port", func(in *discovery.Instance) { in.Address = "10.0.0.1" }, `address "10.0.0.1": must be host:port`},
		{"port 0", func(in *discovery.Instance) { in.Address = "10.0.0.1:0" }, `address "10.0.0.1:0": must not have port 0`},
		{"port too high", func(in *discovery.Instance) { in.Address = "10.0.0.1:65536" }, "must have a port from 1 to 65535"},
		{"port by name", func(in *discovery.Instance) { in.Address = "10.0.0.1:https" }, "must have a port from 1 to 65535"},
		{"negative port", func(in *discovery.Instance) { in.Address = "10.0.0.1:-1" }, "must have a port from 1 to 65535"},
		{"no host", func(in *discovery.Instance) { in.Address = ":8443" }, "must have a host"},
		{"wildcard", func(in *discovery.Instance) { in.Address = "0.0.0.0:8443" }, "must not have a wildcard"},
		{"IPv6 wildcard", func(in *discovery.Instance) { in.Address = "[::]:8443" }, "must not have a wildcard"},
		{"mapped wildcard", func(in *discovery.Instance) { in.Address = "[::ffff:0.0.0.0]:8443" }, "must not have a wildcard"},
		{"IPv6 zone", func(in *discovery.Instance) { in.Address = "[fe80::1%eth0]:8443" }, "must not have a zone"},
		{"multicast", func(in *discovery.Instance) { in.Address = "224.0.0.1:8443" }, "multicast"},
		{"IPv6 without brackets", func(in *discovery.Instance) { in.Address = "fe80::1:8443" }, "must be host:port"},
		{"IPv4 gone wrong", func(in *discovery.Instance) { in.Address = "10.0.0.256:8443" }, "IP address or a DNS name"},
		{"URL", func(in *discovery.Instance) { in.Address = "http://10.0.0.1:8443" }, "must be host:port"},
		{"host with a slash", func(in *discovery.Instance) { in.Address = "a/b:8443" }, "IP address or a DNS name"},
		{"bad id", func(in *discovery.Instance) { in.ID = "a/b" }, `id "a/b": must be of letters`},
		{"weight", func(in *discovery.Instance) { in.Weight = -1 }, "weight -1: must be from 1 to 65535"},
		{"zone", func(in *discovery.Instance) { in.Zone = "eu west" }, `zone "eu west": must`},
		{"version", func(in *discovery.Instance) { in.Version = "1\n2" }, `version "1\n2": must`},
		{"health", func(in *discovery.Instance) { in.Health = 9 }, "health 9: must"},
		{"tag", func(in *discovery.Instance) { in.Tags = []string{""} }, `tag "": must`},
		{"tags", func(in *discovery.Instance) { in.Tags = tags }, "number of tags 65: must be at most 64"},
		{"metadata", func(in *discovery.Instance) { in.Metadata = many }, "number of metadata 65: must be at most 64"},
		{"metadata key", func(in *discovery.Instance) { in.Metadata = map[string]string{"a b": ""} }, `metadata key "a b": must`},
		{"reserved key", func(in *discovery.Instance) { in.Metadata = map[string]string{"fairlead-zone": ""} }, "not begin with fairlead-"},
		{"metadata value", func(in *discovery.Instance) { in.Metadata = map[string]string{"a": "\x00"} }, `metadata value of a "\x00": must`},
		{"long value", func(in *discovery.Instance) { in.Metadata = map[string]string{"a": strings.Repeat("x", 513)} }, "must be at most 512 bytes"},
	} {
		in := order(1)
		tc.change(&in)
		if _, err := in.Normalized(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}

func TestNormalizedNamesEveryFault(t *testing.T) {
	_, err := discovery.Instance{Namespace: "Prod", Address: "x:0", Weight: -1}.Normalized()
	for _, want := range []string{`namespace "Prod"`, `service ""`, `address "x:0"`, "weight -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
}

func TestNormalized(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:080":         "10.0.0.1:80",
		"[::ffff:10.0.0.1]:80": "10.0.0.1:80",
		"[2001:DB8:0::1]:80":   "[2001:db8::1]:80",
		"Order.Internal.:80":   "order.internal:80",
		"my_host:80":           "my_host:80",
		"localhost:80":         "localhost:80",
	} {
		in := order(1)
		in.Address = address
		got := must[discovery.Instance](t)(in.Normalized())
		if got.Address != want {
			t.Errorf("%q became %q, want %q", address, got.Address, want)
		}
		again := must[discovery.Instance](t)(got.Normalized())
		if !cmp.Equal(got, again) {
			t.Errorf("normalized twice, %v is another: %v", got, again)
		}
	}
	in := order(1)
	in.Weight, in.Tags = 0, []string{"b", "a", "b"}
	got := must[discovery.Instance](t)(in.Normalized())
	got.Metadata["team"] = "changed"
	if got.Weight != 1 || !slices.Equal(got.Tags, []string{"a", "b"}) || in.Tags[0] != "b" || in.Metadata["team"] != "checkout" || !got.HasTag("a") || got.HasTag("c") {
		t.Errorf("got %v from %v", got, in)
	}
}

// TestDerivedIDs: the same address makes the same id, however it is written, and
// different ones never do.
func TestDerivedIDs(t *testing.T) {
	seen := map[string]string{}
	for _, address := range []string{"10.0.0.1:80", "10.0.0.1:8080", "10.0.0.18:80", "[::1]:180", "[::1:1]:80", "[::1:180]:80", "[::1]:80", "a-1:80", "a:180"} {
		id := func(address string) string {
			in := discovery.Instance{Namespace: prod, Service: "order", Address: address}
			got := must[discovery.Instance](t)(in.Normalized())
			return got.ID
		}
		if other, ok := seen[id(address)]; ok {
			t.Errorf("%s and %s have the same id", address, other)
		}
		seen[id(address)] = address
		if id(address) != id(strings.ToUpper(address)) {
			t.Errorf("%s has two ids", address)
		}
	}
	if got := slices.Sorted(maps.Keys(seen))[0]; got != "order@10.0.0.18:80" {
		t.Errorf("first id is %q", got)
	}
}

func TestEqualSeesEveryField(t *testing.T) {
	changes := []func(*discovery.Instance){
		func(in *discovery.Instance) { in.Namespace = "dev" }, func(in *discovery.Instance) { in.Service = "x" },
		func(in *discovery.Instance) { in.ID = "x" }, func(in *discovery.Instance) { in.Address = "x" },
		func(in *discovery.Instance) { in.Zone = "x" }, func(in *discovery.Instance) { in.Weight = 9 },
		func(in *discovery.Instance) { in.Version = "x" }, func(in *discovery.Instance) { in.Tags = []string{"x"} },
		func(in *discovery.Instance) { in.Metadata = nil }, func(in *discovery.Instance) { in.Health = discovery.HealthFailing },
	}
	for i, change := range changes {
		a, b := order(1), order(1)
		if !a.Equal(&b) {
			t.Fatal("equal instances are not")
		}
		if change(&b); a.Equal(&b) {
			t.Errorf("change %d is not seen", i)
		}
	}
}

func ExampleInstance_Normalized() {
	in, err := discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.7:8443"}.Normalized()
	fmt.Println(&in, err)
	_, err = discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.7:0"}.Normalized()
	fmt.Println(err)
	// Output:
	// prod/order/order@10.0.0.7:8443 at 10.0.0.7:8443 <nil>
	// discovery: address "10.0.0.7:0": must not have port 0: register the port that the listener was given
}
