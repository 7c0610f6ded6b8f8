// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type httpClientSide struct {
	request, attempt *family
	active           *prometheus.GaugeVec
}

type httpClientKey struct {
	method, scheme, address string
	port                    int
}

func (s *Set) newHTTPClient() httpClientSide {
	const status = "http_response_status_code"
	return httpClientSide{
		request: s.family(&httpClientRequestDuration, s.cfg.buckets, status),
		attempt: s.family(&httpClientAttemptDuration, s.cfg.buckets, status),
		active:  s.gauges(&httpClientActiveRequests),
	}
}

// HTTPClient returns the instruments for requests of a method over a scheme,
// "http" or "https", to a server: the host of the URL, without its port, and the
// port, 0 if unknown. Unknown methods and schemes become [Other], and so does a
// server past its cap, which loses its port as well. It costs two lookups and, for
// a server that is admitted, no allocation.
func (s *Set) HTTPClient(method, urlScheme, address string, port int) *HTTPClient {
	if s == nil {
		return nil
	}
	k := httpClientKey{s.cfg.methods.Name(method), scheme(urlScheme), address, port}
	if h, ok := s.httpClients.load(k); ok {
		return h
	}
	address, digits := s.server(address, port)
	k.address, k.port = address, 0
	if digits != "" {
		k.port, _ = strconv.Atoi(digits)
	}
	if h, ok := s.httpClients.load(k); ok {
		return h
	}
	h, _ := s.httpClients.loadOrStore(k, func() *HTTPClient { return s.makeHTTPClient(k, digits) })
	return h
}

func (s *Set) makeHTTPClient(k httpClientKey, port string) *HTTPClient {
	h := &HTTPClient{}
	h.active, _ = s.httpClient.active.GetMetricWithLabelValues(k.method, k.scheme, k.address, port)
	series := func(h *httpSeries, f *family) {
		h.set = s
		h.children.limit = s.cfg.seriesCap
		h.make = func(c httpKey) *Histogram {
			return f.child(k.method, k.scheme, k.address, port, statusLabel(c.status), c.errorType)
		}
	}
	series(&h.requests, s.httpClient.request)
	series(&h.attempts, s.httpClient.attempt)
	return h
}

// HTTPClient is the instruments for requests of one method and scheme to one
// server. Its methods are safe for concurrent use; for a status seen before they
// make one lookup and allocate nothing but an exemplar that is kept. On a nil
// *HTTPClient they do nothing.
type HTTPClient struct {
	active             prometheus.Gauge
	requests, attempts httpSeries
}

// Begin counts a request as in progress. Each Begin needs one [HTTPClient.End].
func (h *HTTPClient) Begin() {
	if h != nil {
		h.active.Inc()
	}
}

// End counts a request as finished after d: what the caller saw, attempts and
// waits between them included. status is 0 if there was no response. errorType is
// empty unless the request failed: usually the status for 4xx and 5xx, and
// something of few values if there was no response.
func (h *HTTPClient) End(status int, errorType string, d time.Duration, ex Exemplar) {
	if h == nil {
		return
	}
	h.active.Dec()
	h.requests.observe("", status, errorType, d, ex)
}

// Attempt counts one attempt of a request that took d. A request that needed no
// second one has one attempt.
func (h *HTTPClient) Attempt(status int, errorType string, d time.Duration, ex Exemplar) {
	if h != nil {
		h.attempts.observe("", status, errorType, d, ex)
	}
}
