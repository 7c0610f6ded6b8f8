// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"strings"
	"testing"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func TestInternalHosts(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"inventory", "inventory:8080", "INVENTORY:8080", "inventory.", "a_b", "localhost:80",
		"inventory.prod.svc", "inventory.prod.svc.cluster.local", "Inventory.Prod.Svc.Cluster.Local.:443",
		"inventory.service.consul", "db.internal", "printer.local", "app.localhost",
		"127.0.0.1", "127.9.9.9:80", "10.1.2.3:80", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.1.1", "0.0.0.0:80",
		"[::1]:80", "::1", "[::1]", "[fd00::1]:80", "fc00::1", "[fe80::1%eth0]:80", "[::]:80",
		"[::ffff:10.0.0.1]:80", // an IPv4 address in IPv6 clothes
		"dns:///inventory:8080", "dns://8.8.8.8/inventory:8080", "dns:inventory:8080", "dns:inventory",
		"passthrough:///bufnet", "passthrough:bufnet", "consul:///inventory?ns=prod", "consul://agent.example.com:8500/inventory?ns=prod&dc=1",
		"etcd:///inventory", "unix:///x.sock", "unix:x.sock", "UNIX:/run/x.sock", "unix-abstract:name", "DNS:///inventory",
		"dns", "dns:53", // a host that has the name of a scheme
		"http://inventory/x", "https://10.0.0.1:8443/x?y",
	}
	refused := []string{
		"example.com", "example.com:443", "api.example.com.", "EXAMPLE.COM", "inventory.svc.example.com",
		"local.example.com", "localexample.com",
		"8.8.8.8", "8.8.8.8:80", "172.15.255.255", "172.32.0.1", "11.0.0.1", "[2001:db8::1]:80", "2001:db8::1", "[::ffff:8.8.8.8]:80",
		"dns:///example.com:443", "dns://inventory/example.com", "dns:example.com:443",
		"passthrough:///8.8.8.8:80", "consul:///api.example.com?ns=internal.local",
		"http://example.com/inventory", "https://example.com/inventory", "HTTP://example.com/inventory", "ftp://inventory",
	}
	e := ctxutil.InternalHosts()
	for _, h := range allowed {
		if !e.Allows(h) {
			t.Errorf("Allows(%q) = false", h)
		}
	}
	for _, h := range refused {
		if e.Allows(h) {
			t.Errorf("Allows(%q) = true", h)
		}
	}
}

// What no resolver should see is refused whatever the patterns.
func TestEgressRefusesHostileHosts(t *testing.T) {
	t.Parallel()
	all, err := ctxutil.NewEgress("*")
	if err != nil {
		t.Fatal(err)
	}
	if !all.Allows("example.com:443") || !all.Allows("8.8.8.8") || !all.Allows("[2001:db8::1]:443") {
		t.Error(`"*" does not allow every host`)
	}
	for _, h := range []string{
		"", ":80", ".", "..", "a..b", ".internal", "inventory..",
		"user@inventory", "user:secret@inventory:80", "http://inventory@example.com/", "inventory@example.com",
		"inventory ", " inventory", "inven tory", "inventory\r\nX-Evil:1", "inventory\x00", "inventory\t", "\x1b[31m",
		"inventory/path", "inventory?x", "inventory#x", "inventory\\x", "inventory,example.com", "*", "*.internal", "%31",
		"zürich", "\xff\xfe", "ınternal",
		"inventory:", "inventory:x", "inventory:-1", "inventory:999999", "inventory:80:80", "[::1", "[::1]80", "[::1]:", "[inventory]", "[]:80", "::1]",
		"127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "010.0.0.1", "10.0.0.256", "1.2.3.4.5", "10.0.0.1.", "0x", "internal.0x1",
		strings.Repeat("a", 64), strings.Repeat("a.", 127) + "ab", strings.Repeat("a", 1<<20), "fe80::1%" + strings.Repeat("z", 1<<20),
		"unix://", "unix:", "unix:///a b", "dns:///", "dns://inventory", "://", "http://", "consul:///a/b",
	} {
		if all.Allows(h) {
			t.Errorf("Allows(%.60q) = true", h)
		}
	}
}

func TestEgressPatterns(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		patterns []string
		allowed  []string
		refused  []string
	}{
		{"none", nil, nil, []string{"localhost", "127.0.0.1", "unix:///x.sock"}},
		{"exact name", []string{"API.example.com."}, []string{"api.example.com", "api.EXAMPLE.com:443", "api.example.com."}, []string{"x.api.example.com", "example.com", "xapi.example.com"}},
		{"suffix", []string{"*.example.com"}, []string{"api.example.com", "a.b.example.com:1"}, []string{"example.com", "badexample.com", "example.com.evil.org"}},
		{"address", []string{"203.0.113.7"}, []string{"203.0.113.7:80", "[::ffff:203.0.113.7]"}, []string{"203.0.113.8"}},
		{"IPv6 address", []string{"2001:db8::7"}, []string{"[2001:db8::7]:80", "2001:DB8:0::7"}, []string{"[2001:db8::8]:80"}},
		{"IPv6 address in brackets", []string{"[2001:db8::7]"}, []string{"[2001:db8::7]:80"}, []string{"inventory"}},
		{"prefix", []string{"203.0.113.9/24"}, []string{"203.0.113.1"}, []string{"203.0.114.1"}},
		{"internal and one more", []string{ctxutil.Internal, "api.partner.com"}, []string{"inventory", "10.0.0.1", "api.partner.com"}, []string{"partner.com"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e, err := ctxutil.NewEgress(tc.patterns...)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range tc.allowed {
				if !e.Allows(h) {
					t.Errorf("Allows(%q) = false", h)
				}
			}
			for _, h := range tc.refused {
				if e.Allows(h) {
					t.Errorf("Allows(%q) = true", h)
				}
			}
		})
	}
	if (*ctxutil.Egress)(nil).Allows("localhost") {
		t.Error("a nil Egress allows")
	}
}

func TestNewEgressRefuses(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"", "*.", "*.*", "a*", "*a.com", "example.com:443", "http://example.com", "10.0.0.0/33", "10.1", "10.0.0.256", "user@host", "a b", "<external>", "2001:db8::g",
	} {
		e, err := ctxutil.NewEgress("ok.example.com", p)
		if err == nil || e != nil || !strings.HasPrefix(err.Error(), "ctxutil: NewEgress: pattern ") {
			t.Errorf("NewEgress(%q) = %v, %v; want an error", p, e, err)
		}
	}
}

func TestEgressCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := ctxutil.InternalHosts()
	hosts := []string{
		"inventory", "Inventory:8080", "inventory.prod.svc.cluster.local:8080", "api.example.com:443",
		"10.0.0.1:80", "[::1]:80", "dns:///inventory:8080", "consul:///inventory?ns=prod",
	}
	n := testing.AllocsPerRun(100, func() {
		for _, h := range hosts {
			e.Allows(h)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestIngressString(t *testing.T) {
	t.Parallel()
	var zero ctxutil.Ingress
	if zero != ctxutil.Trusted || zero.String() != "trusted" || ctxutil.Public.String() != "public" || ctxutil.Ingress(9).String() != "unknown" {
		t.Error("names of the ingress choices")
	}
}
