// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestHedgedRequest: the second attempt is the answer, whole and after its return, and
// the first one ends.
func TestHedgedRequest(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			var n atomic.Int32
			ended := make(chan error, 1)
			var mu sync.Mutex
			var got []string
			base, plain := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				got = append(got, string(b)+r.Header.Get("X-Previous-Attempts"))
				mu.Unlock()
				if n.Add(1) == 1 {
					untilDone(w, r)
					ended <- r.Context().Err()
					return
				}
				for range 5 {
					_, _ = io.WriteString(w, "part ")
					_ = http.NewResponseController(w).Flush()
				}
			}), http2)
			var events attempted
			svc := newBulkhead(2)
			b := newBreaker()
			c := &http.Client{Transport: httpmw.ChainTransport(plain.Transport,
				httpmw.HedgeTransport(hedgePolicy(20*time.Millisecond, hedge.WithObserver(events.observer()))), httpmw.BreakerTransport(b), httpmw.BulkheadTransport(svc))}
			r := newRequest(t, http.MethodPut, base, strings.NewReader("body"))
			r.Header.Set("Accept", "text/plain")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the first attempt ended with %v", err)
			}
			text, err := io.ReadAll(resp.Body) // after the race is over
			resp.Body.Close()
			if string(text) != strings.Repeat("part ", 5) || err != nil {
				t.Errorf("%q, %v", text, err)
			}
			slices.Sort(got)
			if diff := cmp.Diff([]string{"body", "body1"}, got); diff != "" || len(r.Header) != 1 {
				t.Errorf("%v; (-want +got):\n%s", r.Header, diff)
			}
			if e := events.last(); e.Reason != hedge.ReasonLost || !errors.Is(e.Err, ctxutil.ErrHedgeLost) {
				t.Errorf("the loser is told as %+v", e)
			}
			if s := b.Snapshot(); s.Successes != 1 || s.Failures != 0 {
				t.Errorf("the breaker has %+v, want the winner alone", s)
			}
			waitFor(t, "all slots to be free", func() bool { return svc.Snapshot().InFlight == 0 })
		})
	}
}

// TestWhatIsHedged: nothing that must not be handled twice, or whose body may not be
// there twice.
func TestWhatIsHedged(t *testing.T) {
	for _, tc := range []struct {
		name, method string
		body         io.Reader
		length       int64
		want         int32
	}{
		{"GET", http.MethodGet, nil, 0, 2},
		{"POST", http.MethodPost, strings.NewReader("body"), 4, 1},
		{"PUT with GetBody", http.MethodPut, strings.NewReader("body"), 4, 2},
		{"PUT of a known length", http.MethodPut, &stream{Reader: strings.NewReader("body")}, 4, 2},
		{"PUT of an unknown length", http.MethodPut, &stream{Reader: strings.NewReader("body")}, -1, 1},
		{"PUT of too much", http.MethodPut, &stream{Reader: strings.NewReader(strings.Repeat("x", 64<<10+1))}, 64<<10 + 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				rt := httpmw.PoliciesTransport(service(policies.Hedge(hedge.WithDelay(time.Second))))(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
					if n.Add(1) == 1 {
						select {
						case <-time.After(time.Minute):
						case <-r.Context().Done():
						}
					}
					if r.Body != nil {
						_, _ = io.Copy(io.Discard, r.Body)
						_ = r.Body.Close()
					}
					if err := context.Cause(r.Context()); err != nil {
						return nil, err
					}
					return answers(200, http.NoBody).RoundTrip(r)
				}))
				r := newRequest(t, tc.method, "http://payment/", tc.body)
				r.ContentLength = tc.length
				if _, err := rt.RoundTrip(r); err != nil || n.Load() != tc.want {
					t.Errorf("%v after %d attempts, want %d", err, n.Load(), tc.want)
				}
			})
		})
	}
}

// TestHedgesOfFailures: an answer that another attempt may better does not end the
// request while there is one; the last one is the answer.
func TestHedgesOfFailures(t *testing.T) {
	for _, tc := range []struct {
		name     string
		steps    []http.HandlerFunc
		want     int
		attempts int
		reason   string
	}{
		{"503, then fine", []http.HandlerFunc{status(503), status(200)}, 200, 2, ""},
		{"500, then fine", []http.HandlerFunc{status(500), status(200)}, 200, 2, ""},
		{"cut, then fine", []http.HandlerFunc{hangUp, status(200)}, 200, 2, ""},
		{"404 is the answer", []http.HandlerFunc{status(404), status(200)}, 404, 1, ""},
		{"429 is asked no more", []http.HandlerFunc{status(429), status(200)}, 429, 1, hedge.ReasonOverloaded},
		{"a wait is asked for", []http.HandlerFunc{status(503, "Retry-After", "1"), status(200)}, 503, 1, retry.ReasonPushback},
		{"503 for ever", []http.HandlerFunc{status(503)}, 503, 2, retry.ReasonExhausted},
	} {
		for proto, http2 := range protocols {
			t.Run(tc.name+" "+proto, func(t *testing.T) {
				s := serveSteps(t, http2, tc.steps...)
				svc := service(policies.Hedge(hedge.WithDelay(time.Minute)), policies.Bulkhead(2))
				got := get(t, s.with(httpmw.PoliciesTransport(svc)), s.url)
				if got.StatusCode != tc.want || got.text == "" || len(s.requests()) != tc.attempts {
					t.Errorf("%d %q after %d attempts, want %d after %d", got.StatusCode, got.text, len(s.requests()), tc.want, tc.attempts)
				}
				if reason := retryReason(httpmw.CheckResponse(got.Response)); reason != tc.reason {
					t.Errorf("reason %q, want %q", reason, tc.reason)
				}
				if n := svc.Client().Bulkhead.Snapshot().InFlight; n != 0 {
					t.Errorf("%d slots in use", n)
				}
			})
		}
	}
	s := serveSteps(t, false, hangUp)
	_, err := s.with(httpmw.HedgeTransport(hedgePolicy(time.Minute))).Do(newRequest(t, http.MethodGet, s.url, nil))
	if e, ok := errors.AsType[*resilience.AttemptsError](err); !ok || e.Attempts != 2 {
		t.Errorf("%v, want the error of two attempts", err)
	}
}

// TestHedgedPanic: a panic of one attempt is the request's, and the others end.
func TestHedgedPanic(t *testing.T) {
	var n atomic.Int32
	first := make(chan struct{})
	b := newBulkhead(2)
	rt := httpmw.ChainTransport(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		if n.Add(1) == 1 {
			<-r.Context().Done()
			close(first)
			return nil, context.Cause(r.Context())
		}
		panic("no")
	}), httpmw.HedgeTransport(hedgePolicy(time.Millisecond)), httpmw.BulkheadTransport(b))
	defer func() {
		if e, ok := recover().(*hedge.PanicError); !ok || e.Value != "no" {
			t.Errorf("panic %v", e)
		}
		<-first
		if n := b.Snapshot().InFlight; n != 0 {
			t.Errorf("%d slots in use", n)
		}
	}()
	_, _ = rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
}

// TestHedgedHeadersAreApart: attempts at the same time have a header each.
func TestHedgedHeadersAreApart(t *testing.T) {
	var n atomic.Int32
	var both sync.WaitGroup
	both.Add(2)
	r := newRequest(t, http.MethodGet, "http://payment/", nil)
	r.Header.Set("Accept", "text/plain")
	_, err := httpmw.HedgeTransport(hedgePolicy(time.Millisecond))(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Signature", strings.Repeat("x", int(n.Add(1)))) // which it should not
		both.Done()
		both.Wait()
		return answers(200, http.NoBody).RoundTrip(r)
	})).RoundTrip(r)
	if err != nil || len(r.Header) != 1 {
		t.Errorf("%v; the caller's header is %v", err, r.Header)
	}
}
