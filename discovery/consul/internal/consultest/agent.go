// SPDX-License-Identifier: Apache-2.0

package consultest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Node is the name of the agent's node.
const Node = "node1"

// Agent is a Consul agent. Use [New]. It is safe for concurrent use.
type Agent struct {
	server    *http.Server
	listener  *listener
	transport *http.Transport
	serving   sync.WaitGroup // the server, and requests
	stop      context.CancelFunc

	mu       sync.Mutex
	records  map[place]*record
	indexes  map[string]uint64 // by name in lower case
	index    uint64
	epoch    uint64        // how often indexes began anew
	changed  chan struct{} // closed when anything changes
	faults   faults
	requests []string
	waiting  int
}

// New returns an agent that answers on [Agent.Transport]. It runs until [Agent.Close].
func New() *Agent {
	a := &Agent{
		records: map[place]*record{}, indexes: map[string]uint64{}, index: firstIndex, changed: make(chan struct{}),
		faults: faults{answers: map[string]answer{}}, listener: newListener(),
	}
	a.transport = &http.Transport{DialContext: a.dial, MaxIdleConnsPerHost: 16, DisableCompression: true}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.server = &http.Server{
		Handler: http.HandlerFunc(a.serve), ReadHeaderTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	a.serving.Go(func() { _ = a.server.Serve(a.listener) })
	return a
}

// Transport returns what reaches the agent, whatever the address.
func (a *Agent) Transport() *http.Transport { return a.transport }

// Close ends the agent and its connections.
func (a *Agent) Close() {
	a.stop()
	_ = a.server.Close()
	a.transport.CloseIdleConnections()
	a.serving.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.records {
		r.stop()
	}
}

// Requests returns the methods and URLs of all requests so far.
func (a *Agent) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.requests...)
}

// Waiting returns how many queries wait for a change.
func (a *Agent) Waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting
}

// Connections returns how many connections are open.
func (a *Agent) Connections() int { return a.listener.open() }

// serve is every request.
func (a *Agent) serve(w http.ResponseWriter, r *http.Request) {
	a.serving.Add(1)
	defer a.serving.Done()
	a.mu.Lock()
	a.requests = append(a.requests, r.Method+" "+r.URL.RequestURI())
	a.mu.Unlock()
	a.delay(r)
	if !a.pass(w, r) {
		return
	}
	for prefix, handler := range map[string]http.HandlerFunc{
		"/v1/agent/service/register":    a.register,
		"/v1/agent/service/deregister/": a.deregister,
		"/v1/agent/check/update/":       a.update,
		"/v1/health/service/":           a.health,
		"/v1/catalog/services":          a.services,
		"/v1/agent/self":                a.self,
		"/v1/txn":                       a.txn,
	} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			handler(w, r)
			return
		}
	}
	if strings.HasPrefix(r.URL.Path, "/v1/agent/service/") {
		a.service(w, r)
		return
	}
	http.NotFound(w, r)
}

// dial makes a connection, as long as the agent is there.
func (a *Agent) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if a.present().down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return a.listener.dial(ctx)
}

// listener is connections in memory.
type listener struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once

	mu    sync.Mutex
	conns map[*conn]struct{}
}

func newListener() *listener {
	return &listener{incoming: make(chan net.Conn), closed: make(chan struct{}), conns: map[*conn]struct{}{}}
}

// conn is the agent's end of a connection.
type conn struct {
	net.Conn
	listener *listener
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	c := &conn{server, l}
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	select {
	case l.incoming <- c:
		return client, nil
	case <-l.closed:
	case <-ctx.Done():
	}
	_ = c.Close()
	return nil, net.ErrClosed
}

// cut closes all connections.
func (l *listener) cut() {
	l.mu.Lock()
	var all []*conn
	for c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

func (l *listener) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "consultest" }
