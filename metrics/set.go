// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// Set is the metrics of one process, or of one service in it: RPC and HTTP, as
// server and as client, and what Fairlead says of itself. Ask it for the
// instruments of a method, keep them, and observe.
//
// There is one Set per registry; whatever records calls shares it. It is safe for
// concurrent use. A nil *Set hands out nil instruments, which observe nothing.
type Set struct {
	cfg        *config
	collectors []prometheus.Collector

	methods, routes, servers, errorTypes, sources *Guard

	statuses statuses

	rpc [2]*rpcSide

	httpServer  httpServerSide
	httpClient  httpClientSide
	httpServers cache[httpServerKey, *HTTPServer]
	httpClients cache[httpClientKey, *HTTPClient]

	panics      *prometheus.CounterVec
	panicCounts cache[string, *Counter]

	policies   *policies
	discovery  *discoveries
	registries *registries
	balancers  *balancers
	checks     *checks
	drained    *prometheus.CounterVec

	descOverflow, descValues, descDropped *prometheus.Desc

	mu     sync.Mutex
	guards []*Guard
	drops  []drop
}

// New makes a Set and registers all of it, or none of it, with reg. It fails if
// an option is invalid, or if reg has metrics of these names already: then there
// is a Set for it, and that one is to be shared, unless reg is told apart by
// prometheus.WrapRegistererWith.
func New(reg prometheus.Registerer, opts ...Option) (*Set, error) {
	if reg == nil {
		return nil, errors.New("metrics: New: nil registerer")
	}
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	s := newSet(c)
	if err := reg.Register(s); err != nil {
		if are := (prometheus.AlreadyRegisteredError{}); errors.As(err, &are) {
			return nil, errors.New("metrics: New: the registry has a Set already: share that one")
		}
		return nil, fmt.Errorf("metrics: New: register: %w", err)
	}
	return s, nil
}

func newSet(c *config) *Set {
	s := &Set{
		cfg:          c,
		methods:      newGuard(LabelMethod, c.caps[LabelMethod]),
		routes:       newGuard(LabelRoute, c.caps[LabelRoute]),
		servers:      newGuard(LabelServer, c.caps[LabelServer]),
		errorTypes:   newGuard(LabelErrorType, c.caps[LabelErrorType]),
		sources:      newGuard(LabelSource, c.caps[LabelSource]),
		panics:       newCounterVec(&panicsTotal),
		descOverflow: newDesc(&labelOverflowTotal),
		descValues:   newDesc(&labelValues),
		descDropped:  newDesc(&droppedTotal),
	}
	s.guards = []*Guard{s.methods, s.routes, s.servers, s.errorTypes, s.sources}
	s.policies = s.newPolicies()
	s.discovery = s.newDiscoveries()
	s.registries = s.newRegistries()
	s.balancers = s.newBalancers()
	s.checks = s.newChecks()
	s.drained = s.counters(&drainRequestsTotal)
	for _, g := range s.guards {
		for _, v := range c.known[g.label] {
			g.Allow(normal(g.label, v))
		}
	}
	s.httpServers.limit = c.methods.Len() * len(schemes)
	s.httpClients.limit = (c.caps[LabelServer] + 1) * c.methods.Len() * len(schemes)
	s.panicCounts.limit = c.caps[LabelSource] + 1
	s.rpc[Server] = s.newRPCServer()
	s.rpc[Client] = s.newRPCClient()
	s.httpServer = s.newHTTPServer()
	s.httpClient = s.newHTTPClient()
	s.collectors = append(s.collectors, s.panics)
	return s
}

// normal returns a value of WithKnown in the form in which calls will bring it.
func normal(label, v string) string {
	switch label {
	case LabelMethod:
		return semconv.RPCMethod(v)
	case LabelServer:
		return strings.ToLower(v)
	}
	return v
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range s.collectors {
		c.Describe(ch)
	}
	ch <- s.descOverflow
	ch <- s.descValues
	ch <- s.descDropped
	s.policies.describe(ch)
	for _, d := range s.states() {
		ch <- d.desc
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(ch chan<- prometheus.Metric) {
	states := s.lookUp() // before the counters that it adds to
	for _, c := range s.collectors {
		c.Collect(ch)
	}
	s.collectGuards(ch)
	s.collectDrops(ch)
	s.collectPolicies(ch)
	states.collect(ch)
}

// family makes a duration metric that is part of s.
func (s *Set) family(m *Metric, bounds []float64, status string) *family {
	f := newFamily(s.cfg, m, bounds, status)
	s.collectors = append(s.collectors, f.vec)
	s.guards = append(s.guards, f.guard)
	return f
}

func (s *Set) counters(m *Metric) *prometheus.CounterVec {
	v := newCounterVec(m)
	s.collectors = append(s.collectors, v)
	return v
}

func (s *Set) gauges(m *Metric) *prometheus.GaugeVec {
	v := newGaugeVec(m)
	s.collectors = append(s.collectors, v)
	return v
}

// server returns the address and the port that may be label values for a server
// that a client calls.
func (s *Set) server(address string, port int) (string, string) {
	if address == "" {
		return "", ""
	}
	if len(address) > MaxValueBytes {
		return s.servers.refuse(address), ""
	}
	address = strings.ToLower(sanitize(address))
	if port <= 0 || port > 65535 {
		return s.servers.Value(address), ""
	}
	digits := strconv.Itoa(port)
	if s.servers.Value(net.JoinHostPort(address, digits)) == Other {
		return Other, ""
	}
	return strings.Clone(address), digits
}

// errorType returns what may be the error_type of a value the caller chose.
func (s *Set) errorType(v string) string {
	if boundedErrorType(v) {
		return strings.Clone(v)
	}
	return s.errorTypes.Value(v)
}

// boundedErrorType reports whether v is the name of a gRPC code or an HTTP error
// status that has a name: there are few of those.
func boundedErrorType(v string) bool {
	for code := range uint32(semconv.GRPCCodes) {
		if v == semconv.GRPCCode(code) {
			return true
		}
	}
	if len(v) != 3 {
		return false
	}
	n, err := strconv.Atoi(v)
	return err == nil && n >= 400 && http.StatusText(n) != ""
}
