// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// middlewareNames are the metrics of one side under go-grpc-middleware's names.
type middlewareNames struct{ started, handled, received, sent, handling *Metric }

var (
	middlewareServer = middlewareNames{
		&grpcServerStarted, &grpcServerHandled, &grpcServerReceived, &grpcServerSent, &grpcServerHandling,
	}
	middlewareClient = middlewareNames{
		&grpcClientStarted, &grpcClientHandled, &grpcClientReceived, &grpcClientSent, &grpcClientHandling,
	}
)

// middlewareCodes are the names go-grpc-middleware gives the codes, which are
// those of Go's codes package.
var middlewareCodes = [semconv.GRPCCodes]string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded",
	"NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
	"FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal",
	"Unavailable", "DataLoss", "Unauthenticated",
}

type middlewareSide struct {
	started, handled, received, sent *prometheus.CounterVec
	handling                         *family
	interval                         time.Duration
}

func (s *Set) newMiddlewareSide(m *middlewareNames) *middlewareSide {
	return &middlewareSide{
		started:  s.counters(m.started),
		handled:  s.counters(m.handled),
		received: s.counters(m.received),
		sent:     s.counters(m.sent),
		handling: s.family(m.handling, prometheus.DefBuckets, ""),
		interval: s.cfg.exemplarInterval,
	}
}

// middlewareMethod is the children of one method.
type middlewareMethod struct {
	side           *middlewareSide
	values         [3]string
	started        *Counter
	received, sent *lazyCounter
}

func (m *middlewareSide) method(k RPCKey) *middlewareMethod {
	service, method, ok := strings.Cut(k.Method, "/")
	switch {
	case k.Method == Other:
		service, method = Other, Other
	case !ok:
		service, method = "unknown", "unknown"
	}
	mm := &middlewareMethod{side: m, values: [3]string{k.Type.String(), service, method}}
	values := mm.values[:]
	mm.started = m.counter(m.started, values)
	mm.received = &lazyCounter{vec: m.received, values: values}
	mm.sent = &lazyCounter{vec: m.sent, values: values}
	return mm
}

// handling returns the histogram of calls that ended, which all codes share.
func (m *middlewareMethod) handling() *Histogram {
	return m.side.handling.child(m.values[0], m.values[1], m.values[2])
}

// handled returns the counter of calls that ended with code.
func (m *middlewareMethod) handled(code uint32) *Counter {
	name := Other
	if code < uint32(semconv.GRPCCodes) {
		name = middlewareCodes[code]
	}
	return m.side.counter(m.side.handled, []string{m.values[0], m.values[1], m.values[2], name})
}

func (m *middlewareSide) counter(vec *prometheus.CounterVec, values []string) *Counter {
	c, err := vec.GetMetricWithLabelValues(values...)
	if err != nil {
		return nil
	}
	return newCounter(c, m.interval)
}
