// SPDX-License-Identifier: Apache-2.0

package dns_test

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/dns"
)

// nameserver is a DNS server on loopback that knows a few records, and answers all else
// with NXDOMAIN, or with a failure if it is told to.
type nameserver struct {
	mu    sync.Mutex
	a     map[string][]net.IP
	fail  bool
	asked map[string]bool
}

func (n *nameserver) serve(conn net.PacketConn) {
	buf := make([]byte, 512)
	for {
		size, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := n.answer(buf[:size]); answer != nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

const typeA = 1

// answer follows RFC 1035, section 4.
func (n *nameserver) answer(q []byte) []byte {
	if len(q) < 17 {
		return nil
	}
	var labels []string
	i := 12
	for q[i] != 0 {
		labels = append(labels, string(q[i+1:i+1+int(q[i])]))
		i += 1 + int(q[i])
	}
	name, kind, end := strings.Join(labels, ".")+".", binary.BigEndian.Uint16(q[i+1:]), i+5
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[name] = true
	records := n.a[name]
	rcode := byte(0)
	switch {
	case n.fail:
		rcode, records = 2, nil // SERVFAIL
	case records == nil:
		rcode = 3 // NXDOMAIN
	case kind != typeA:
		records = nil
	}
	out := append([]byte{q[0], q[1], 0x81, 0x80 | rcode, 0, 1, 0, byte(len(records)), 0, 0, 0, 0}, q[12:end]...)
	for _, ip := range records {
		out = append(out, 0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 5, 0, 4)
		out = append(out, ip.To4()...)
	}
	return out
}

// TestRealResolver asks a server on loopback with Go's own resolver.
func TestRealResolver(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameserver{a: map[string][]net.IP{"order.prod.test.": {net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 2)}}, asked: map[string]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() { n.serve(conn) })
	defer wg.Wait()
	defer conn.Close()

	c, err := dns.New("{service}.{namespace}.test", dns.WithPort(8443), dns.WithInterval(10*time.Millisecond), dns.WithResolver(&net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, conn.LocalAddr().String())
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Watch(t.Context(), orders)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := next(t, s); got != "10.0.0.1:8443*1 10.0.0.2:8443*1" {
		t.Errorf("got %q", got)
	}
	n.mu.Lock()
	n.fail = true
	n.mu.Unlock()
	if u, err := s.Next(t.Context()); err == nil {
		t.Errorf("a server that fails: %+v", u)
	}
	n.mu.Lock()
	n.fail = false
	delete(n.a, "order.prod.test.")
	n.mu.Unlock()
	if got := next(t, s); got != "" {
		t.Errorf("a name that does not exist any more: %q", got)
	}
	other, err := c.Watch(t.Context(), discovery.Query{Namespace: "prod2", Service: "order"})
	if err != nil {
		t.Fatal(err)
	}
	if got := next(t, other); got != "" {
		t.Errorf("another namespace: %q", got)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.asked {
		if name != "order.prod.test." && name != "order.prod2.test." {
			t.Errorf("asked for %s: the search list must not be used", name)
		}
	}
}
