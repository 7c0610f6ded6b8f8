// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// schemes are the values of url_scheme.
var schemes = [...]string{"http", "https", Other}

func scheme(v string) string {
	switch v {
	case "http", "HTTP", "":
		return schemes[0]
	case "https", "HTTPS":
		return schemes[1]
	}
	return Other
}

// extraStatuses is how many statuses that Go has no name for are admitted, such
// as a proxy's 499 or 520; the rest are Other.
const extraStatuses = 20

// statuses bounds the values of http_response_status_code: a peer chooses them.
type statuses struct {
	extra    atomic.Int32
	admitted [1000]atomic.Bool
}

// otherStatus stands for the statuses that are not admitted.
const otherStatus = -1

// normal returns status if it may be a label value, 0 for "none was sent", and
// otherStatus for the rest.
func (s *statuses) normal(status int) int {
	switch {
	case status == 0 || http.StatusText(status) != "":
		return status
	case status < 100 || status > 999:
		return otherStatus
	case s.admitted[status].Load():
		return status
	case s.extra.Load() >= extraStatuses:
		return otherStatus
	}
	if s.extra.Add(1) > extraStatuses {
		return otherStatus
	}
	s.admitted[status].Store(true)
	return status
}

func statusLabel(normal int) string {
	switch normal {
	case 0:
		return ""
	case otherStatus:
		return Other
	}
	return strconv.Itoa(normal)
}

// httpKey is what tells the children of one HTTPServer or HTTPClient apart.
type httpKey struct {
	route, errorType string
	status           int
}

// httpSeries is the children of one duration metric for one method and scheme
// and, for a client, one server.
type httpSeries struct {
	set      *Set
	children cache[httpKey, *Histogram]
	make     func(httpKey) *Histogram
}

func (h *httpSeries) observe(route string, status int, errorType string, d time.Duration, ex Exemplar) {
	k := httpKey{route: route, errorType: errorType, status: h.set.statuses.normal(status)}
	c, ok := h.children.load(k)
	if !ok {
		c = h.child(k)
	}
	c.observeDuration(d, ex)
}

func (h *httpSeries) child(k httpKey) *Histogram {
	k.route, k.errorType = h.set.routes.Value(k.route), h.set.errorType(k.errorType)
	if c, ok := h.children.load(k); ok {
		return c
	}
	if c, ok := h.children.loadOrStore(k, func() *Histogram { return h.make(k) }); ok {
		return c
	}
	return h.make(k)
}

type httpServerSide struct {
	request *family
	active  *prometheus.GaugeVec
}

type httpServerKey struct{ method, scheme string }

func (s *Set) newHTTPServer() httpServerSide {
	return httpServerSide{
		request: s.family(&httpServerRequestDuration, s.cfg.buckets, "http_response_status_code"),
		active:  s.gauges(&httpServerActiveRequests),
	}
}

// HTTPServer returns the instruments for incoming requests of a method over a
// scheme, "http" or "https". Unknown methods and schemes become [Other]. It costs
// two lookups and no allocation.
func (s *Set) HTTPServer(method, urlScheme string) *HTTPServer {
	if s == nil {
		return nil
	}
	k := httpServerKey{s.cfg.methods.Name(method), scheme(urlScheme)}
	if h, ok := s.httpServers.load(k); ok {
		return h
	}
	h, _ := s.httpServers.loadOrStore(k, func() *HTTPServer {
		h := &HTTPServer{}
		h.active, _ = s.httpServer.active.GetMetricWithLabelValues(k.method, k.scheme)
		h.requests.set = s
		h.requests.children.limit = s.cfg.seriesCap
		h.requests.make = func(c httpKey) *Histogram {
			return s.httpServer.request.child(k.method, k.scheme, c.route, statusLabel(c.status), c.errorType)
		}
		return h
	})
	return h
}

// HTTPServer is the instruments for incoming requests of one method and scheme.
// Its methods are safe for concurrent use; for a route and status seen before they
// make one lookup and allocate nothing but an exemplar that is kept. On a nil
// *HTTPServer they do nothing.
type HTTPServer struct {
	active   prometheus.Gauge
	requests httpSeries
}

// Begin counts a request as in progress. Each Begin needs one [HTTPServer.End].
func (h *HTTPServer) Begin() {
	if h != nil {
		h.active.Inc()
	}
}

// End counts a request as finished after d. route is the pattern that matched,
// never a path: empty if there is no routing, [Other] if nothing matched. status
// is 0 if none was sent. errorType is empty unless the request failed on this
// side: usually the status for 5xx, or something of few values that says more.
func (h *HTTPServer) End(route string, status int, errorType string, d time.Duration, ex Exemplar) {
	if h == nil {
		return
	}
	h.active.Dec()
	h.requests.observe(route, status, errorType, d, ex)
}
