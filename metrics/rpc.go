// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// Side is the end of a call that is measured.
type Side uint8

// The sides.
const (
	Server Side = iota
	Client
)

// RPCType is the kind of a gRPC method. It is a label only of the metrics that
// [WithGRPCMiddlewareNames] adds; messages are counted for streams alone.
type RPCType uint8

// The types.
const (
	Unary RPCType = iota
	ClientStream
	ServerStream
	BidiStream
)

var rpcTypes = [...]string{"unary", "client_stream", "server_stream", "bidi_stream"}

// String returns the value of the label grpc_type.
func (t RPCType) String() string {
	if int(t) < len(rpcTypes) {
		return rpcTypes[t]
	}
	return Other
}

// RPCKey says whose instruments are asked for.
type RPCKey struct {
	// Side is the end that is measured.
	Side Side
	// Method is "pkg.Service/Method", with or without a leading slash. A server
	// gives [Other] for a method it has not registered.
	Method string
	// Type is the kind of the method.
	Type RPCType
	// ServerAddress is, for [Client], the logical name that was dialled: never the
	// address a resolver chose. Empty leaves the label out; [Server] ignores it.
	ServerAddress string
	// ServerPort is the port that belongs to it; 0 leaves the label out.
	ServerPort int
}

// rpcSide is the collectors of one side, nil if not wanted, and its methods.
type rpcSide struct {
	keys cache[RPCKey, *RPCMethod]
	// others holds what is handed out past the cap of keys: method and server are
	// Other.
	others             cache[RPCKey, *RPCMethod]
	call, attempt, old *family
	active             *prometheus.GaugeVec
	received, sent     *prometheus.CounterVec
	middleware         *middlewareSide
}

func (s *Set) newRPCServer() *rpcSide {
	return s.newRPCSide(&rpcServerCallDuration, nil, &oldRPCServerDuration, &rpcServerActiveCalls,
		&rpcServerMessagesReceived, &rpcServerMessagesSent, &middlewareServer)
}

func (s *Set) newRPCClient() *rpcSide {
	return s.newRPCSide(&rpcClientCallDuration, &rpcClientAttemptDuration, &oldRPCClientDuration, &rpcClientActiveCalls,
		&rpcClientMessagesReceived, &rpcClientMessagesSent, &middlewareClient)
}

func (s *Set) newRPCSide(call, attempt, old, active, received, sent *Metric, m *middlewareNames) *rpcSide {
	const status = "rpc_response_status_code"
	side := &rpcSide{active: s.gauges(active), received: s.counters(received), sent: s.counters(sent)}
	side.keys.limit, side.others.limit = s.cfg.seriesCap, len(rpcTypes)*2
	if s.cfg.mode.New() {
		side.call = s.family(call, s.cfg.buckets, status)
	}
	if attempt != nil { // has no old name
		side.attempt = s.family(attempt, s.cfg.buckets, status)
	}
	if s.cfg.mode.Old() {
		side.old = s.family(old, milliseconds(s.cfg.buckets), "rpc_grpc_status_code")
	}
	if s.cfg.middleware {
		side.middleware = s.newMiddlewareSide(m)
	}
	return side
}

func milliseconds(seconds []float64) []float64 {
	ms := make([]float64, len(seconds))
	for i, v := range seconds {
		ms[i] = v * 1000
	}
	return ms
}

// RPC returns the instruments of a method. The caller may keep them for as long
// as the Set lives; asking again costs one lookup and no allocation. Past the caps
// it returns those of [Other].
func (s *Set) RPC(k RPCKey) *RPCMethod {
	if s == nil {
		return nil
	}
	k.Method = semconv.RPCMethod(k.Method)
	if k.Side != Client {
		k.Side, k.ServerAddress, k.ServerPort = Server, "", 0
	}
	if m, ok := s.rpc[k.Side].keys.load(k); ok {
		return m
	}
	return s.newRPC(k)
}

func (s *Set) newRPC(k RPCKey) *RPCMethod {
	side := s.rpc[k.Side]
	k.Method = s.methods.Value(k.Method)
	if k.Type > BidiStream {
		k.Type = BidiStream
	}
	address, port := s.server(k.ServerAddress, k.ServerPort)
	k.ServerAddress, k.ServerPort = address, 0
	if port != "" {
		k.ServerPort, _ = strconv.Atoi(port)
	}
	if m, ok := side.keys.load(k); ok {
		return m
	}
	if m, ok := side.keys.loadOrStore(k, func() *RPCMethod { return s.makeRPC(k, address, port) }); ok {
		return m
	}
	k.Method = Other
	if k.ServerAddress != "" {
		k.ServerAddress = Other
	}
	k.ServerPort = 0
	m, _ := side.others.loadOrStore(k, func() *RPCMethod { return s.makeRPC(k, k.ServerAddress, "") })
	return m
}

func (s *Set) makeRPC(k RPCKey, address, port string) *RPCMethod {
	side := s.rpc[k.Side]
	m := &RPCMethod{typ: k.Type}
	m.active, _ = side.active.GetMetricWithLabelValues(semconv.RPCSystemGRPC, k.Method)
	if k.Type != Unary {
		m.received = &lazyCounter{vec: side.received, values: []string{semconv.RPCSystemGRPC, k.Method}}
		m.sent = &lazyCounter{vec: side.sent, values: []string{semconv.RPCSystemGRPC, k.Method}}
	}
	if side.middleware != nil {
		m.middleware = side.middleware.method(k)
	}
	series := rpcSeries{set: s, method: k.Method, server: k.Side == Server, address: address, port: port}
	m.calls, m.attempts = series, series
	m.calls.family, m.calls.old, m.calls.middleware = side.call, side.old, m.middleware
	m.attempts.family = side.attempt
	m.calls.slots, m.attempts.slots = new([grpcSlots]atomic.Pointer[rpcChild]), new([grpcSlots]atomic.Pointer[rpcChild])
	return m
}

// RPCMethod is the instruments of one method, on one side and, for a client, of
// one server. Its methods are safe for concurrent use and, once a code was seen,
// take no lock, make no lookup and allocate nothing but an exemplar that is kept.
// On a nil *RPCMethod they do nothing.
type RPCMethod struct {
	typ             RPCType
	active          prometheus.Gauge
	received, sent  *lazyCounter
	middleware      *middlewareMethod
	calls, attempts rpcSeries
}

// Begin counts a call as in progress. Each Begin needs one [RPCMethod.End].
func (m *RPCMethod) Begin(ex Exemplar) {
	if m == nil {
		return
	}
	m.active.Inc()
	if m.middleware != nil {
		m.middleware.started.Inc(ex)
	}
}

// End counts a call as finished after d: what the caller saw, attempts and waits
// between them included. code is the gRPC status code; errorType is empty unless
// this side counts the outcome as an error: a client every code but OK, a server
// those that are its own fault. It is the code's name, or something of few values
// that says more.
func (m *RPCMethod) End(code uint32, errorType string, d time.Duration, ex Exemplar) {
	if m == nil {
		return
	}
	m.active.Dec()
	m.calls.observe(code, errorType, d, ex)
}

// Attempt counts one attempt of a client's call that took d. A call that needed
// no second one has one attempt; servers have none.
func (m *RPCMethod) Attempt(code uint32, errorType string, d time.Duration, ex Exemplar) {
	if m == nil || m.attempts.family == nil {
		return
	}
	m.attempts.observe(code, errorType, d, ex)
}

// Received counts a message that arrived. Of unary calls, where there is nothing
// to learn from it, it counts only under the names of [WithGRPCMiddlewareNames].
func (m *RPCMethod) Received() {
	if m == nil {
		return
	}
	m.received.inc()
	if m.middleware != nil {
		m.middleware.received.inc()
	}
}

// Sent counts a message that was sent, as [RPCMethod.Received] does.
func (m *RPCMethod) Sent() {
	if m == nil {
		return
	}
	m.sent.inc()
	if m.middleware != nil {
		m.middleware.sent.inc()
	}
}
