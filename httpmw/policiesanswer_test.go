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

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

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
		{"4 KiB of unknown length", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, strings.Repeat("x", 4<<10))
		}, 1},
		{"4 MiB are not read", tooLong, 2},
	} {
		t.Run(tc.name+" HTTP/2", func(t *testing.T) {
			s := serveSteps(t, true, tc.step, status(200))
			got := get(t, s.with(httpmw.RetryTransport(retryPolicy())), s.url)
			if n := s.conns.Load(); got.text != "answer 200" || n != 1 {
				t.Errorf("%q over %d connections, want 1", got.text, n)
			}
		})
		t.Run(tc.name+" HTTP/1.1", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the rest has to come soon
				var n, conns atomic.Int32
				ln := servePipe(t, func(w http.ResponseWriter, r *http.Request) {
					if n.Add(1) == 1 {
						tc.step(w, r)
						return
					}
					status(200)(w, r)
				})
				c := newClient(t, httpmw.WithPlaintext(), httpmw.WithTransports(httpmw.RetryTransport(retryPolicy())),
					httpmw.WithDialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
						conns.Add(1)
						return ln.dial(ctx, network, addr)
					}))
				if got := get(t, c, "http://payment/"); got.text != "answer 200" || conns.Load() != tc.conns {
					t.Errorf("%q over %d connections, want %d", got.text, conns.Load(), tc.conns)
				}
			})
		})
	}
}

// TestFailedAnswersAreClosed: each of them, once, and the last one by the caller.
func TestFailedAnswersAreClosed(t *testing.T) {
	for name, on := range map[string]httpmw.Transport{
		"retried": httpmw.RetryTransport(retryPolicy(retry.WithMaxAttempts(2))), "hedged": httpmw.HedgeTransport(hedgePolicy(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			body := &stream{Reader: strings.NewReader("sorry")}
			resp, err := on(answers(503, body)).RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
			if err != nil || body.closes.Load() != 1 {
				t.Errorf("%v; %d bodies closed, want the first attempt's", err, body.closes.Load())
			}
			resp.Body.Close()
			if body.closes.Load() != 2 {
				t.Error("the last one cannot be closed")
			}
		})
	}
}

// TestFailedAnswerIsReadToItsEnd: of one of 4 KiB, the end is seen, without which its
// connection is not free.
func TestFailedAnswerIsReadToItsEnd(t *testing.T) {
	for size, want := range map[int]bool{4 << 10: true, 4<<10 + 1: false} {
		ended := false
		body := &stream{Reader: io.MultiReader(strings.NewReader(strings.Repeat("x", size)), readerFunc(func([]byte) (int, error) {
			ended = true
			return 0, io.EOF
		}))}
		rt := httpmw.RetryTransport(retryPolicy(retry.WithMaxAttempts(2)))(answers(503, body))
		if _, err := rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil)); err != nil || ended != want {
			t.Errorf("%v; of %d bytes, the end was seen: %v, want %v", err, size, ended, want)
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

// TestAnswerWithoutRequest: of a transport that does not say which request an answer is
// to, CheckResponse knows the attempts all the same.
func TestAnswerWithoutRequest(t *testing.T) {
	resp, err := httpmw.RetryTransport(retryPolicy())(roundTripperFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody}, nil
	})).RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
	if err != nil || retryReason(httpmw.CheckResponse(resp)) != retry.ReasonExhausted {
		t.Errorf("%v, %v", err, httpmw.CheckResponse(resp))
	}
}
