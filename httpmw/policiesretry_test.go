// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/ctxutil"
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

// TestLastAnswerIsReturned: when attempts are used up, the answer of the last one is
// the answer, whole, and its check says what became of the others.
func TestLastAnswerIsReturned(t *testing.T) {
	for proto, http2 := range protocols {
		for _, tc := range []struct {
			name       string
			step       http.HandlerFunc
			attempts   int
			reason     string
			doNotRetry bool
		}{
			{"exhausted", status(503), 3, retry.ReasonExhausted, true},
			{"do not retry", status(503, "X-Retry-Pushback-Ms", "-1"), 1, retry.ReasonPushback, true},
			{"nonsense is do not retry", status(503, "X-Retry-Pushback-Ms", "soon"), 1, retry.ReasonPushback, true},
			{"do not retry, and not at all for a while", status(503, "X-Retry-Pushback-Ms", "-1", "Retry-After", "1"), 1, retry.ReasonPushback, true},
			{"too long a wait, in seconds", status(503, "Retry-After", "31"), 1, retry.ReasonPushbackTooLong, true},
			{"too long a wait, as a date", status(429, "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), 1, retry.ReasonPushbackTooLong, true},
			{"too long a wait, in milliseconds", status(503, "X-Retry-Pushback-Ms", "30001"), 1, retry.ReasonPushbackTooLong, true},
			{"milliseconds count", status(503, "X-Retry-Pushback-Ms", "0", "Retry-After", "31"), 3, retry.ReasonExhausted, true},
			{"a date that is past", status(503, "Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"), 3, retry.ReasonExhausted, true},
		} {
			t.Run(proto+" "+tc.name, func(t *testing.T) {
				s := serveSteps(t, http2, tc.step)
				got := get(t, s.with(httpmw.RetryTransport(retryPolicy())), s.url)
				if n := len(s.requests()); n != tc.attempts {
					t.Errorf("%d requests, want %d", n, tc.attempts)
				}
				if got.text != "answer "+strconv.Itoa(got.StatusCode) || got.Header.Get("Content-Length") == "" {
					t.Errorf("%q with %v, want the answer as it is", got.text, got.Header)
				}
				err := httpmw.CheckResponse(got.Response)
				e, ok := errors.AsType[*resilience.AttemptsError](err)
				if !ok || e.Attempts != tc.attempts || e.Reason != tc.reason || e.Last == nil || !errors.Is(err, resilience.ErrAttemptsExhausted) {
					t.Fatalf("%v: %+v, want %d attempts, %q", err, e, tc.attempts, tc.reason)
				}
				if want := strconv.Itoa(got.StatusCode) + " " + http.StatusText(got.StatusCode); e.Last.Error() != want {
					t.Errorf("the last attempt's error is %q, want %q", e.Last, want)
				}
				if retry.DoNotRetry(err) != tc.doNotRetry {
					t.Errorf("DoNotRetry = %v", !tc.doNotRetry)
				}
			})
		}
	}
}

// TestLastErrorIsReturned: without an answer there is an error, and the attempts are
// in its chain.
func TestLastErrorIsReturned(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			s := serveSteps(t, http2, status(503), hangUp)
			resp, err := s.with(httpmw.RetryTransport(retryPolicy(retry.WithMaxAttempts(2)))).Do(newRequest(t, http.MethodGet, s.url, nil))
			e, ok := errors.AsType[*resilience.AttemptsError](err)
			if resp != nil || !ok || e.Attempts != 2 || e.Reason != retry.ReasonExhausted || !retry.DoNotRetry(err) {
				t.Errorf("%v, %v; want the error of two attempts", resp, err)
			}
		})
	}
	s := serveSteps(t, false, hangUp, status(200))
	_, err := s.with(httpmw.RetryTransport(retryPolicy())).Do(newRequest(t, http.MethodPost, s.url, strings.NewReader("charge")))
	if e, ok := errors.AsType[*resilience.AttemptsError](err); !ok || e.Reason != httpmw.ReasonNotIdempotent || len(s.requests()) != 1 {
		t.Errorf("%v after %d requests, want %q after one", err, len(s.requests()), httpmw.ReasonNotIdempotent)
	}
	// What nobody would have retried is as it was.
	away := errors.New("gone")
	_, err = httpmw.RetryTransport(retryPolicy(retry.WithMaxAttempts(1)))(fails(away)).RoundTrip(newRequest(t, http.MethodGet, s.url, nil))
	if err != away {
		t.Errorf("%v, want the transport's own error", err)
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

// TestConnectionsAreReused: an attempt that failed leaves its connection for the next.
func TestConnectionsAreReused(t *testing.T) {
	long := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		_, _ = io.WriteString(w, strings.Repeat("x", 4<<10-1))
	}
	chunked := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		for range 4 {
			_, _ = io.WriteString(w, "part ")
			_ = http.NewResponseController(w).Flush()
		}
	}
	tooLong := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		_, _ = io.WriteString(w, strings.Repeat("x", 4<<20))
	}
	for _, tc := range []struct {
		name  string
		step  http.HandlerFunc
		conns int32 // over HTTP/1
	}{
		{"short", status(503), 1},
		{"none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 1},
		{"4 KiB", long, 1},
		{"of unknown length", chunked, 1},
		{"4 MiB are not read", tooLong, 2},
	} {
		for proto, http2 := range protocols {
			t.Run(tc.name+" "+proto, func(t *testing.T) {
				s := serveSteps(t, http2, tc.step, status(200))
				if got := get(t, s.with(httpmw.RetryTransport(retryPolicy())), s.url); got.text != "answer 200" {
					t.Errorf("%q", got.text)
				}
				want := tc.conns
				if http2 {
					want = 1
				}
				if n := s.conns.Load(); n != want {
					t.Errorf("%d connections, want %d", n, want)
				}
			})
		}
	}
}

// TestSlowBodyOfAFailedAttempt: nobody waits for the rest of an answer that is not
// used.
func TestSlowBodyOfAFailedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		ln := servePipe(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				w.WriteHeader(503)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		})
		c := newClient(t, httpmw.WithPlaintext(), httpmw.WithDialContext(ln.dial),
			httpmw.WithTransports(httpmw.RetryTransport(retryPolicy())))
		start := time.Now()
		if got := get(t, c, "http://payment/"); got.StatusCode != 200 {
			t.Errorf("%d", got.StatusCode)
		}
		if d := time.Since(start); d < 50*time.Millisecond || d > 50*time.Millisecond+2 {
			t.Errorf("after %v, want 50ms", d)
		}
	})
}

// TestPushbackIsObeyed: the wait is as long as the server asked for.
func TestPushbackIsObeyed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers func() []string
		want    time.Duration
	}{
		{"seconds", func() []string { return []string{"Retry-After", "7"} }, 7 * time.Second},
		{"date", func() []string {
			return []string{"Retry-After", time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat)}
		}, 9 * time.Second},
		{"milliseconds", func() []string { return []string{"Retry-After", "1", "X-Retry-Pushback-Ms", "250"} }, 250 * time.Millisecond},
		{"at once", func() []string { return []string{"X-Retry-Pushback-Ms", "0"} }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				ln := servePipe(t, func(w http.ResponseWriter, r *http.Request) {
					if n.Add(1) == 1 {
						status(503, tc.headers()...)(w, r)
					}
				})
				c := newClient(t, httpmw.WithPlaintext(), httpmw.WithTimeout(time.Minute), httpmw.WithDialContext(ln.dial),
					httpmw.WithTransports(httpmw.RetryTransport(retryPolicy())))
				start := time.Now()
				if got := get(t, c, "http://payment/"); got.StatusCode != 200 {
					t.Errorf("%d", got.StatusCode)
				}
				if d := time.Since(start); d < tc.want || d > tc.want+1 { // the jitter is up to 1ns
					t.Errorf("after %v, want %v", d, tc.want)
				}
			})
		})
	}
}

// TestDeadlineTooNear: a retry that the deadline leaves no time for is not made, and
// the answer comes at once.
func TestDeadlineTooNear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := servePipe(t, status(503, "Retry-After", "5"))
		c := newClient(t, httpmw.WithPlaintext(), httpmw.WithTimeout(4*time.Second), httpmw.WithDialContext(ln.dial),
			httpmw.WithTransports(httpmw.RetryTransport(retryPolicy())))
		start := time.Now()
		got := get(t, c, "http://payment/")
		expectAfter(t, start, 0)
		e, _ := errors.AsType[*resilience.AttemptsError](httpmw.CheckResponse(got.Response))
		if got.StatusCode != 503 || e == nil || e.Reason != retry.ReasonDeadline || retry.DoNotRetry(e) {
			t.Errorf("%d, %+v; want %q", got.StatusCode, e, retry.ReasonDeadline)
		}
	})
}

// TestCanceledWhileWaiting: a caller that gives up during a backoff gets its own error
// at once.
func TestCanceledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := servePipe(t, status(503, "Retry-After", "5"))
		c := newClient(t, httpmw.WithPlaintext(), httpmw.WithoutTimeout(), httpmw.WithDialContext(ln.dial),
			httpmw.WithTransports(httpmw.RetryTransport(retryPolicy())))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(ctxutil.ErrShutdown) })
		start := time.Now()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://payment/", nil)
		resp, err := c.Do(req)
		expectAfter(t, start, time.Second)
		if e, ok := errors.AsType[*resilience.AttemptsError](err); resp != nil || !ok || e.Attempts != 1 || e.Reason != retry.ReasonEnded ||
			!errors.Is(err, context.Canceled) || !errors.Is(err, ctxutil.ErrShutdown) {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

// TestPerTryTimeout: a time limit of attempts is that of their header; the body of the
// answer is read in its own time (PAINS 15).
func TestPerTryTimeout(t *testing.T) {
	for _, tc := range []struct {
		name    string
		method  string
		handler func(n int32, w http.ResponseWriter, r *http.Request)
		after   time.Duration
		text    string
		outcome resilience.Outcome
	}{
		{"the second attempt is in time", "GET", func(n int32, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				untilDone(w, r)
			}
			_, _ = io.WriteString(w, "in time")
		}, time.Second, "in time", resilience.OutcomeOK},
		{"the body takes longer", "GET", func(_ int32, w http.ResponseWriter, r *http.Request) {
			for range 10 {
				_, _ = io.WriteString(w, "part ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(900 * time.Millisecond)
			}
		}, 9 * time.Second, strings.Repeat("part ", 10), resilience.OutcomeOK},
		{"none is in time", "GET", func(_ int32, w http.ResponseWriter, r *http.Request) { untilDone(w, r) }, 3 * time.Second, "", resilience.OutcomeTimeout},
		{"a request that may not be repeated", "POST", func(_ int32, w http.ResponseWriter, r *http.Request) { untilDone(w, r) }, time.Second, "", resilience.OutcomeTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				var n atomic.Int32
				ln := servePipe(t, func(w http.ResponseWriter, r *http.Request) { tc.handler(n.Add(1), w, r) })
				var events attempted
				pool := newClient(t, httpmw.WithPlaintext(), httpmw.WithoutTimeout(), httpmw.WithDialContext(ln.dial))
				c := g.clientOf(pool, "payment", httpmw.RetryTransport(retryPolicy(retry.WithPerTryTimeout(time.Second), retry.WithObserver(events.observer()))))
				start := time.Now()
				resp, err := c.Do(newRequest(t, tc.method, "http://payment/", nil))
				text := ""
				if err == nil {
					b, readErr := io.ReadAll(resp.Body)
					resp.Body.Close()
					text, err = string(b), readErr
				}
				if d := time.Since(start) - events.waits(); d != tc.after {
					t.Errorf("after %v, want %v", d, tc.after)
				}
				if text != tc.text || events.last().Outcome != tc.outcome {
					t.Errorf("%q, %v; want %q, %v", text, events.last().Outcome, tc.text, tc.outcome)
				}
				if tc.outcome != resilience.OutcomeOK {
					if !errors.Is(err, ctxutil.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%v, want ErrTimeout", err)
					}
					wantLine(t, g.line(g.client()), map[string]any{"error.type": "timeout", "outcome": "timeout"})
				} else if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestDeadlineHeaderIsRenewed: a later attempt tells what is left when it is sent.
func TestDeadlineHeaderIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		ln := servePipe(t, func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.Header.Get("X-Request-Timeout-Ms"))
			if len(got) == 1 {
				status(503, "X-Retry-Pushback-Ms", "1500")(w, r)
			}
		})
		c := newClient(t, httpmw.WithPlaintext(), httpmw.WithTimeout(10*time.Second), httpmw.WithDialContext(ln.dial), httpmw.WithTransports(
			httpmw.DeadlineTransport(budget(t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(8*time.Second))), httpmw.RetryTransport(retryPolicy())))
		get(t, c, "http://payment/")
		if len(got) != 2 || got[0] != "8000" || got[1] != "6500" && got[1] != "6499" { // the jitter is up to 1ns
			t.Errorf("%q, want 8000 and 6500", got)
		}
	})
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
