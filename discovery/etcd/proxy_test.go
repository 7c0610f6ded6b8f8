// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy stands between a client and a server, and does to connections what networks do.
type proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex
	conns   map[*net.TCPConn]struct{}
	stalled bool
	delay   time.Duration
	changed chan struct{}
}

// newProxy returns a proxy for an endpoint.
func newProxy(t testing.TB, endpoint string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, target, _ := strings.Cut(endpoint, "://")
	p := &proxy{target: target, listener: l, conns: map[*net.TCPConn]struct{}{}, changed: make(chan struct{})}
	p.done.Go(p.serve)
	t.Cleanup(func() {
		_ = l.Close()
		p.stall(false)
		p.cut(false)
		p.done.Wait()
	})
	return p
}

func (p *proxy) endpoint() string { return "http://" + p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = conn.Close()
			continue
		}
		a, b := conn.(*net.TCPConn), up.(*net.TCPConn)
		p.mu.Lock()
		p.conns[a], p.conns[b] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.done.Go(func() { p.copy(a, b) })
		p.done.Go(func() { p.copy(b, a) })
	}
}

func (p *proxy) copy(to, from *net.TCPConn) {
	defer func() {
		_, _ = to.Close(), from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, to)
		delete(p.conns, from)
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.pass()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass waits for as long as bytes have to wait.
func (p *proxy) pass() {
	p.mu.Lock()
	stalled, changed, delay := p.stalled, p.changed, p.delay
	p.mu.Unlock()
	if delay > 0 {
		<-time.After(delay)
	}
	if stalled {
		<-changed
	}
}

// stall lets nothing through, or what there is.
func (p *proxy) stall(stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = stalled
	close(p.changed)
	p.changed = make(chan struct{})
}

// slow lets everything through later.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// cut ends all connections, with a reset if that is wanted.
func (p *proxy) cut(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if reset {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
}

// count returns how many connections there are.
func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2 // each has two ends
}
