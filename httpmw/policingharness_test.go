// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// must returns the policy that a constructor made.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// retryPolicy is one without waits and without a bound on retries, for tests that
// are about something else.
func retryPolicy(opts ...retry.Option) *retry.Policy {
	return must(retry.New("payment", append([]retry.Option{retry.WithBackoff(1, 1), retry.WithoutBudget()}, opts...)...))
}

func hedgePolicy(delay time.Duration, opts ...hedge.Option) *hedge.Policy {
	return must(hedge.New("payment", append([]hedge.Option{hedge.WithDelay(delay), hedge.WithoutBudget()}, opts...)...))
}

func newBreaker(opts ...breaker.Option) *breaker.Breaker {
	return must(breaker.New("payment", append([]breaker.Option{breaker.WithMinCalls(5), breaker.WithJitter(0)}, opts...)...))
}

func newBulkhead(most int, opts ...bulkhead.Option) *bulkhead.Bulkhead {
	return must(bulkhead.New("payment", most, opts...))
}

// service returns the policies of one service.
func service(opts ...policies.ClientOption) *policies.Service {
	set := must(policies.New(policies.WithDefaults(policies.NoRetry(), policies.NoBreaker()), policies.WithService("payment", opts...)))
	return set.Service("payment")
}

// attempted collects what a policy tells of its attempts.
type attempted struct {
	mu     sync.Mutex
	events []resilience.Attempt
}

func (a *attempted) observer() resilience.Observer {
	return resilience.Observer{Attempted: func(_ context.Context, e resilience.Attempt) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.events = append(a.events, e)
	}}
}

// last returns the last event.
func (a *attempted) last() resilience.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.events) == 0 {
		return resilience.Attempt{}
	}
	return a.events[len(a.events)-1]
}

// waits returns the sum of all backoffs.
func (a *attempted) waits() (sum time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		sum += e.Backoff
	}
	return sum
}

// seen is one request as the server got it.
type seen struct {
	method, body  string
	err           error // of reading the body
	header        http.Header
	contentLength int64
	transfer      []string
	trailer       http.Header
}

// scripted is a server over loopback that answers each request by the next step, and
// the last one again, after it has read its body.
type scripted struct {
	url    string
	client *http.Client // trusts it, without policies
	conns  atomic.Int32 // connections made

	mu    sync.Mutex
	steps []http.HandlerFunc
	got   []seen
}

func serveSteps(t testing.TB, http2 bool, steps ...http.HandlerFunc) *scripted {
	t.Helper()
	s := &scripted{steps: steps}
	srv := httptest.NewUnstartedServer(s)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	if srv.EnableHTTP2 = http2; http2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	s.url, s.client = srv.URL, srv.Client()
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// ServeHTTP implements [http.Handler].
func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	step := s.steps[min(len(s.got), len(s.steps)-1)]
	s.got = append(s.got, seen{})
	at := len(s.got) - 1
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	s.got[at] = seen{
		method: r.Method, body: string(body), err: err, header: r.Header.Clone(), contentLength: r.ContentLength,
		transfer: r.TransferEncoding, trailer: r.Trailer.Clone(),
	}
	s.mu.Unlock()
	step(w, r)
}

// requests returns what came so far.
func (s *scripted) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.got...)
}

// with returns a client of the server with these transports.
func (s *scripted) with(ts ...httpmw.Transport) *http.Client {
	return &http.Client{Transport: httpmw.ChainTransport(s.client.Transport, ts...)}
}

// status is a step that answers with a status and a body that says so.
func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		if code >= 200 && code != http.StatusNoContent && code != http.StatusNotModified {
			fmt.Fprintf(w, "answer %d", code)
		}
	}
}

// hangUp is a step that cuts the connection, or the stream, without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func newRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stream is a body that net/http knows nothing of: no length, no GetBody.
type stream struct {
	io.Reader
	closes atomic.Int32
}

func (s *stream) Close() error { s.closes.Add(1); return nil }
