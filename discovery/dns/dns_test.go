// SPDX-License-Identifier: Apache-2.0

package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/dns"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a resolver that works, and can be made not to.
type zone struct {
	mu    sync.Mutex
	ips   map[string][]netip.Addr
	srv   map[string][]*net.SRV
	fail  error
	hang  bool
	slow  time.Duration
	asked []string
}

func newZone() *zone { return &zone{ips: map[string][]netip.Addr{}, srv: map[string][]*net.SRV{}} }

func (z *zone) set(f func()) { z.mu.Lock(); defer z.mu.Unlock(); f() }

func (z *zone) gate(ctx context.Context, name string) error {
	z.mu.Lock()
	z.asked = append(z.asked, name)
	fail, hang, slow := z.fail, z.hang, z.slow
	z.mu.Unlock()
	if hang {
		slow = time.Hour
	}
	t := time.NewTimer(slow)
	defer t.Stop()
	select {
	case <-t.C:
		return fail
	case <-ctx.Done():
		return &net.DNSError{Err: ctx.Err().Error(), Name: name, IsTimeout: true, IsTemporary: true}
	}
}

func (z *zone) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if err := z.gate(ctx, host); err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if ips := z.ips[host]; len(ips) > 0 {
		return ips, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (z *zone) LookupSRV(ctx context.Context, _, _, name string) (string, []*net.SRV, error) {
	if err := z.gate(ctx, name); err != nil {
		return "", nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if records := z.srv[name]; len(records) > 0 {
		return name, records, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

const pattern = "{service}.{namespace}.svc.test"

func name(q discovery.Query) string { return q.Service + "." + string(q.Namespace) + ".svc.test." }

func TestConformance(t *testing.T) {
	errServer := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		z := newZone()
		c, err := dns.New(pattern, dns.WithPort(8443), dns.WithResolver(z), dns.WithInterval(100*time.Millisecond), dns.WithTimeout(time.Second))
		if err != nil {
			t.Fatalf("%v", err)
		}
		hide := func() (back func()) {
			z.mu.Lock()
			defer z.mu.Unlock()
			before := z.ips
			z.ips = map[string][]netip.Addr{}
			return func() { z.set(func() { z.ips = before }) }
		}
		return &discoverytest.Harness{
			Catalog: c, Lossy: true,
			Seed: func(q discovery.Query, instances []discovery.Instance) error {
				var ips []netip.Addr
				for _, in := range instances {
					ips = append(ips, netip.MustParseAddrPort(in.Address).Addr())
				}
				z.set(func() { z.ips[name(q)] = ips })
				return nil
			},
			Faults: map[discoverytest.Fault]discoverytest.Play{
				discoverytest.Outage: func(discoverytest.TB) func() {
					z.set(func() { z.fail = errServer })
					return func() { z.set(func() { z.fail = nil }) }
				},
				discoverytest.Hang: func(discoverytest.TB) func() {
					z.set(func() { z.hang = true })
					return func() { z.set(func() { z.hang = false }) }
				},
				discoverytest.Slow: func(discoverytest.TB) func() {
					z.set(func() { z.slow = 500 * time.Millisecond })
					return func() { z.set(func() { z.slow = 0 }) }
				},
				discoverytest.Empty: func(discoverytest.TB) func() { return hide() },
				discoverytest.Flap: func(discoverytest.TB) func() {
					back := hide()
					for n := range 6 {
						time.AfterFunc(time.Duration(n+1)*250*time.Millisecond, func() {
							if n%2 == 0 {
								back()
							} else {
								hide()
							}
						})
					}
					return func() { time.Sleep(2 * time.Second); back() }
				},
			},
		}
	}, discoverytest.InBubble())
}

var orders = discovery.Query{Namespace: "prod", Service: "order"}

// next returns the addresses and weights of the next update.
func next(t *testing.T, s discovery.Source) string {
	t.Helper()
	u, err := s.Next(t.Context())
	if err != nil || !u.Full {
		t.Fatalf("%+v, %v", u, err)
	}
	var out []string
	for _, in := range u.Put {
		out = append(out, fmt.Sprint(in.Address, "*", in.Weight))
	}
	return strings.Join(out, " ")
}

func source(t *testing.T, z *zone, pattern string, opts ...dns.Option) discovery.Source {
	t.Helper()
	c, err := dns.New(pattern, append(opts, dns.WithResolver(z))...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Watch(t.Context(), orders)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		addr := netip.MustParseAddr
		z.ips[name(orders)] = []netip.Addr{addr("10.0.0.2"), addr("::ffff:10.0.0.1"), addr("2001:db8::1"), addr("10.0.0.1"), addr("0.0.0.0")}
		s := source(t, z, pattern, dns.WithPort(80))
		start := time.Now()
		u, err := s.Next(t.Context())
		if err != nil || len(u.Put) != 3 || len(u.Malformed) != 1 || u.Malformed[0].Key != "order.prod.svc.test. 0.0.0.0:80" {
			t.Errorf("got %+v, %v", u, err)
		}
		// In another order, they are the same.
		z.set(func() { ips := z.ips[name(orders)]; ips[0], ips[2] = ips[2], ips[0] })
		time.AfterFunc(70*time.Second, func() { z.set(func() { z.ips[name(orders)] = z.ips[name(orders)][:1] }) })
		if got := next(t, s); got != "[2001:db8::1]:80*1" || time.Since(start) != 90*time.Second {
			t.Errorf("%q after %v", got, time.Since(start))
		}
		if len(z.asked) != 4 {
			t.Errorf("asked %d times, want 4", len(z.asked))
		}
	})
}

func TestServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		const srv = "_grpc._tcp.order.prod.test."
		z.srv[srv] = []*net.SRV{
			{Target: "backup.test.", Port: 1, Priority: 20}, {Target: "b.test.", Port: 8443, Priority: 10, Weight: 60},
			{Target: "A.test.", Port: 8443, Priority: 10}, {Target: "bad name.", Port: 1, Priority: 10}, {Target: "c.test.", Port: 0, Priority: 10},
		}
		s := source(t, z, "_grpc._tcp.{service}.{namespace}.test", dns.WithSRV())
		u, err := s.Next(t.Context())
		if err != nil || len(u.Put) != 2 || u.Put[0].Address != "a.test:8443" || u.Put[0].Weight != 1 || u.Put[1].Weight != 60 || len(u.Malformed) != 2 {
			t.Errorf("got %+v, %v", u, err)
		}
		z.set(func() { z.srv[srv] = []*net.SRV{{Target: ".", Port: 0}} })
		if got := next(t, s); got != "" {
			t.Errorf("expressly none is %q", got)
		}
	})
}

func TestErrorsAreNoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.ips[name(orders)] = []netip.Addr{netip.MustParseAddr("10.0.0.1")}
		s := source(t, z, pattern, dns.WithPort(80))
		next(t, s)
		for _, fail := range []error{
			&net.DNSError{Err: "server misbehaving", IsTemporary: true}, &net.DNSError{Err: "no such host", IsNotFound: true, IsTemporary: true}, errors.New("unreachable"),
		} {
			z.set(func() { z.fail = fail })
			if u, err := s.Next(t.Context()); !errors.Is(err, fail) {
				t.Errorf("got %+v, %v, want %v", u, err, fail)
			}
			z.set(func() { z.fail = nil })
			// At once, and all of it.
			start := time.Now()
			if got := next(t, s); got != "10.0.0.1:80*1" || time.Since(start) != 0 {
				t.Errorf("after an error: %q after %v", got, time.Since(start))
			}
		}
		z.set(func() { z.hang = true })
		start := time.Now()
		if _, err := s.Next(t.Context()); err == nil || time.Since(start) != 35*time.Second {
			t.Errorf("silence: %v after %v, want 30s and 5s", err, time.Since(start))
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		opts    []dns.Option
		want    string
	}{
		{"order.prod.test", []dns.Option{dns.WithPort(80)}, "must have {service} in it"},
		{"{service}.test", []dns.Option{dns.WithPort(80)}, "must have {namespace} in it"},
		{"{service}.{namespace}.test", []dns.Option{dns.WithPort(80), dns.WithNamespace("prod")}, "must have {namespace} in it, 0 times"},
		{"{service}-{namespace}.test", []dns.Option{dns.WithPort(80)}, "are labels of their own"},
		{"{service}..{namespace}", []dns.Option{dns.WithPort(80)}, "make a DNS name"},
		{"{service}.{namespace}.t est", []dns.Option{dns.WithPort(80)}, "make a DNS name"},
		{pattern, nil, "port 0: must be from 1 to 65535"},
		{pattern, []dns.Option{dns.WithPort(65536)}, "port 65536"},
		{pattern, []dns.Option{dns.WithPort(80), dns.WithSRV()}, "port 80: must not be set"},
		{pattern, []dns.Option{dns.WithSRV(), dns.WithInterval(0)}, `interval "0s": must be positive`},
		{pattern, []dns.Option{dns.WithSRV(), dns.WithTimeout(0)}, `timeout "0s": must be positive`},
		{"{service}.test", []dns.Option{dns.WithPort(80), dns.WithNamespace("Prod")}, `namespace "Prod"`},
	} {
		if _, err := dns.New(tc.pattern, tc.opts...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.pattern, err, tc.want)
		}
	}
}

func TestWatchRefuses(t *testing.T) {
	c, err := dns.New("{service}.test", dns.WithPort(80), dns.WithNamespace("prod"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Watch(t.Context(), discovery.Query{Namespace: "dev", Service: "order"}); !errors.Is(err, discovery.ErrForeignNamespace) {
		t.Errorf("got %v", err)
	}
	for _, service := range []string{"a.b", "Order", "a_b", ""} {
		if _, err := c.Watch(t.Context(), discovery.Query{Namespace: "prod", Service: service}); err == nil {
			t.Errorf("%q is taken", service)
		}
	}
}

func ExampleNew() {
	z := newZone()
	z.ips["order.prod.svc.test."] = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	catalog, err := dns.New("{service}.{namespace}.svc.test", dns.WithPort(8443), dns.WithResolver(z))
	if err != nil {
		fmt.Println(err)
		return
	}
	source, _ := catalog.Watch(context.Background(), discovery.Query{Namespace: "prod", Service: "order"})
	update, err := source.Next(context.Background())
	for _, in := range update.Put {
		fmt.Println(in.Address)
	}
	fmt.Println(err)
	// Output:
	// 10.0.0.1:8443
	// 10.0.0.2:8443
	// <nil>
}
