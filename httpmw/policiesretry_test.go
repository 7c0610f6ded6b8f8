// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestWhichStatusIsRetried: every status over the wire, for a request that may be
// sent again and for one that may not.
func TestWhichStatusIsRetried(t *testing.T) {
	retried := map[int]bool{
		425: true, // too early
		429: true, 503: true,
		500: true, 502: true, // of a request that may be repeated
		504: true, // with time left, it is the server's own limit
	}
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			var code atomic.Int32
			s := serveSteps(t, http2, func(w http.ResponseWriter, r *http.Request) { status(int(code.Load()))(w, r) })
			var events attempted
			c := s.with(httpmw.RetryTransport(retryPolicy(retry.WithMaxAttempts(2), retry.WithObserver(events.observer()))))
			c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			for i := 200; i < 600; i++ {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					code.Store(int32(i))
					before := len(s.requests())
					got := send(t, c, newRequest(t, method, s.url, nil))
					if got.StatusCode != i {
						t.Errorf("%s: %d, want the answer of the last attempt, %d", method, got.StatusCode, i)
					}
					want, reason := 1, ""
					switch {
					case httpmw.OutcomeOf(i) == resilience.OutcomeOK:
					case retried[i] && method == http.MethodGet:
						want, reason = 2, retry.ReasonExhausted
					case retried[i] && httpmw.OutcomeOf(i) != resilience.OutcomeServerFault && i != 504:
						reason = httpmw.ReasonNotIdempotent
					default:
						reason = retry.ReasonNotRetryable
					}
					if n := len(s.requests()) - before; n != want || events.last().Reason != reason {
						t.Errorf("%s %d: %d attempts, %q; want %d, %q", method, i, n, events.last().Reason, want, reason)
					}
				}
			}
		})
	}
}

// TestWhichRequestIsRepeated: by method, key and option.
func TestWhichRequestIsRepeated(t *testing.T) {
	for _, tc := range []struct {
		name   string
		method string
		key    string
		value  []string
		opts   []httpmw.PolicingOption
		want   bool
		sent   []string // values of the key at the server
	}{
		{name: "GET", method: "GET", want: true},
		{name: "no method is GET", method: "", want: true},
		{name: "HEAD", method: "HEAD", want: true},
		{name: "OPTIONS", method: "OPTIONS", want: true},
		{name: "TRACE", method: "TRACE", want: true},
		{name: "PUT", method: "PUT", want: true},
		{name: "DELETE", method: "DELETE", want: true},
		{name: "POST", method: "POST"},
		{name: "PATCH", method: "PATCH"},
		{name: "another", method: "PURGE"},
		{name: "case matters", method: "get"},
		{name: "a key", method: "POST", key: "Idempotency-Key", value: []string{"order-7"}, want: true, sent: []string{"order-7"}},
		{name: "the other key", method: "PATCH", key: "X-Idempotency-Key", value: []string{"order-7"}, want: true, sent: []string{"order-7"}},
		{name: "a key without a value is not sent", method: "POST", key: "Idempotency-Key", want: true},
		{name: "another header", method: "POST", key: "X-Request-Id", value: []string{"7"}, sent: []string{"7"}},
		{name: "allowed", method: "POST", opts: []httpmw.PolicingOption{httpmw.WithRepeatable("REPORT"), httpmw.WithRepeatable("POST")}, want: true},
		{name: "something else allowed", method: "POST", opts: []httpmw.PolicingOption{httpmw.WithRepeatable("REPORT")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serveSteps(t, false, status(503), status(200))
			r := newRequest(t, tc.method, s.url, nil)
			r.Method = tc.method
			if tc.key != "" {
				r.Header[tc.key] = tc.value
			}
			got := send(t, s.with(httpmw.RetryTransport(retryPolicy(), tc.opts...)), r)
			if again := got.StatusCode == 200 && len(s.requests()) == 2; again != tc.want {
				t.Errorf("%d after %d requests, want a second attempt: %v", got.StatusCode, len(s.requests()), tc.want)
			}
			for _, r := range s.requests() {
				if diff := cmp.Diff(tc.sent, r.header.Values(tc.key)); tc.key != "" && diff != "" {
					t.Errorf("%s at the server (-want +got):\n%s", tc.key, diff)
				}
			}
			err := httpmw.CheckResponse(got.Response)
			if e, ok := errors.AsType[*resilience.AttemptsError](err); !tc.want && (!ok || e.Reason != httpmw.ReasonNotIdempotent || e.Attempts != 1 || retry.DoNotRetry(err)) {
				t.Errorf("%v, want %q, which the caller may retry", err, httpmw.ReasonNotIdempotent)
			}
		})
	}
}

// TestNeverSentIsAlwaysRetried: what cannot have reached the server is sent again
// whatever it is, and what may have reached it is not.
func TestNeverSentIsAlwaysRetried(t *testing.T) {
	s := serveSteps(t, false, status(200))
	dialed := func(first error) httpmw.Transport {
		return func(http.RoundTripper) http.RoundTripper {
			var n atomic.Int32
			tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if n.Add(1) == 1 {
					if first != nil {
						return nil, first
					}
					addr = strings.TrimPrefix(refused(t), "http://")
				}
				return new(net.Dialer).DialContext(ctx, network, addr)
			}}
			t.Cleanup(tr.CloseIdleConnections)
			return tr
		}
	}
	failing := func(first error) httpmw.Transport {
		return func(next http.RoundTripper) http.RoundTripper {
			var n atomic.Int32
			return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				if n.Add(1) == 1 {
					_ = r.Body.Close()
					return nil, first
				}
				return next.RoundTrip(r)
			})
		}
	}
	refusal := &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Name: "payment", Reason: "rate limited"}
	for _, tc := range []struct {
		name  string
		below httpmw.Transport
		opts  []retry.Option
		want  bool
	}{
		{"nobody listens", dialed(nil), nil, true},
		{"no such host", dialed(&net.DNSError{Err: "no such host", Name: "payment", IsNotFound: true}), nil, true},
		{"no way to the proxy", failing(&net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Err: io.EOF}}), nil, true},
		{"refused here", failing(refusal), []retry.Option{retry.WithRetryOn(resilience.OutcomeRejected)}, true},
		{"refused here, and that is final", failing(refusal), nil, false},
		{"broken while it was sent", failing(&net.OpError{Op: "write", Err: io.ErrClosedPipe}), nil, false},
		{"broken while it was answered", failing(&net.OpError{Op: "read", Err: io.ErrUnexpectedEOF}), nil, false},
		{"of several attempts, the last could not dial", failing(&resilience.AttemptsError{Attempts: 2, Last: &net.OpError{Op: "dial", Err: io.EOF}}), nil, false},
		{"refused over there", failing(&resilience.RejectedError{Policy: resilience.PolicyShed, Remote: true}), nil, false},
	} {
		for kind, body := range map[string]func() io.Reader{
			"GetBody":     func() io.Reader { return strings.NewReader("charge 7 EUR") },
			"no GetBody":  func() io.Reader { return &stream{Reader: strings.NewReader("charge 7 EUR")} },
			"not limited": func() io.Reader { return &stream{Reader: strings.NewReader("charge 7 EUR")} },
		} {
			t.Run(tc.name+" "+kind, func(t *testing.T) {
				before := len(s.requests())
				c := s.with(httpmw.RetryTransport(retryPolicy(tc.opts...)), tc.below)
				resp, err := c.Do(newRequest(t, http.MethodPost, s.url, body()))
				got := s.requests()[before:]
				if !tc.want {
					if err == nil || len(got) != 0 {
						t.Fatalf("%v, %v after %d requests; want the first attempt's error", resp, err, len(got))
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if len(got) != 1 || got[0].body != "charge 7 EUR" {
					t.Errorf("the server got %+v, want the whole request once", got)
				}
			})
		}
	}
}

// TestAttemptsAreNumbered: on the wire, and a service that is being retried does not
// retry in turn.
func TestAttemptsAreNumbered(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			inner := serveSteps(t, http2, status(503))
			innerClient := inner.with(httpmw.RetryTransport(retryPolicy()))
			g := newRig(t)
			middle := httpmw.Record(g.recorder)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, inner.url, nil)
				resp, err := innerClient.Do(req)
				if err == nil {
					defer resp.Body.Close()
					err = httpmw.CheckResponse(resp)
				}
				httpmw.WriteError(w, r, err)
			}))
			var answers []string
			outer := serveSteps(t, http2, func(w http.ResponseWriter, r *http.Request) {
				middle.ServeHTTP(w, r)
				answers = append(answers, w.Header().Get("X-Retry-Pushback-Ms"))
			})
			// The caller retries what it is asked not to, as others may.
			c := outer.with(httpmw.RetryTransport(retryPolicy()), func(next http.RoundTripper) http.RoundTripper {
				return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(r)
					if err == nil {
						resp.Header.Del("X-Retry-Pushback-Ms")
					}
					return resp, err
				})
			})
			req := newRequest(t, http.MethodGet, outer.url, nil)
			req.Header.Set("Accept", "application/json")
			send(t, c, req)
			if len(req.Header) != 1 {
				t.Errorf("the caller's request has the header %v now", req.Header)
			}
			numbers := func(rs []seen) (out []string) {
				for _, r := range rs {
					out = append(out, r.header.Get("X-Previous-Attempts"))
				}
				return out
			}
			if diff := cmp.Diff([]string{"", "1", "2"}, numbers(outer.requests())); diff != "" {
				t.Errorf("at the first hop (-want +got):\n%s", diff)
			}
			// Three attempts at the first request, and one at each of the two retries.
			if diff := cmp.Diff([]string{"", "1", "2", "1", "2"}, numbers(inner.requests())); diff != "" {
				t.Errorf("at the second hop (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"-1", "", ""}, answers); diff != "" {
				t.Errorf("push-back of the middle (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBudgetBounds: retries end when their share of the traffic is used up.
func TestBudgetBounds(t *testing.T) {
	s := serveSteps(t, false, status(503))
	b := must(retry.NewBudget(retry.WithShare(0.1), retry.WithFloor(0), retry.WithWindow(time.Hour)))
	c := s.with(httpmw.RetryTransport(retryPolicy(retry.WithBudget(b))))
	var last reply
	for range 100 {
		last = get(t, c, s.url)
	}
	if n := len(s.requests()); n != 110 {
		t.Errorf("%d requests for 100 calls, want 110", n)
	}
	if e, _ := errors.AsType[*resilience.AttemptsError](httpmw.CheckResponse(last.Response)); e == nil || (e.Reason != retry.ReasonBudget && e.Attempts == 1) {
		t.Errorf("%+v, want %q", e, retry.ReasonBudget)
	}
}

// TestRedirectsAndRetries: each hop is retried by itself, and one that left the origin
// is nobody's business here.
func TestRedirectsAndRetries(t *testing.T) {
	_, clientTLS := testTLS()
	away := catchHeaders(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	var n atomic.Int32
	home := catchHeaders(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case n.Add(1)%2 == 1: // every first attempt
			w.WriteHeader(503)
		case r.URL.Path == "/":
			http.Redirect(w, r, "/next", http.StatusFound)
		default:
			http.Redirect(w, r, away.URL, http.StatusFound)
		}
	})
	b := newBreaker(breaker.WithMinCalls(100))
	c := newClient(t, httpmw.WithTLS(clientTLS), httpmw.WithTransports(httpmw.RetryTransport(retryPolicy()), httpmw.BreakerTransport(b)))
	resp, err := c.Get(home.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || home.calls.Load() != 4 || away.calls.Load() != 1 {
		t.Errorf("%d after %d requests at home and %d away, want 503 after 2 for each of 2 hops, and 1", resp.StatusCode, home.calls.Load(), away.calls.Load())
	}
	if s := b.Snapshot(); s.Failures != 2 || s.Successes != 2 {
		t.Errorf("the breaker counts %+v, want what happened at home", s)
	}
}
