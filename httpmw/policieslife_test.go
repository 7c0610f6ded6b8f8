// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestPoliciesBesideEachOther: many requests at once, with answers of all kinds, leave
// nothing behind.
func TestPoliciesBesideEachOther(t *testing.T) {
	var n atomic.Int32
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			base, plain := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				switch n.Add(1) % 5 {
				case 0:
					w.WriteHeader(503)
				case 1:
					panic(http.ErrAbortHandler)
				case 2:
					w.WriteHeader(404)
				default:
					_, _ = io.WriteString(w, "ok")
				}
			}), http2)
			svc := service(policies.Retry(retry.WithBackoff(1, 1), retry.WithPerTryTimeout(time.Minute)), policies.NoBudget(), policies.Bulkhead(8, bulkhead.WithQueue(100, time.Minute)))
			c := &http.Client{Transport: httpmw.PoliciesTransport(svc)(plain.Transport)}
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					var body io.Reader = strings.NewReader("body")
					if i%2 == 0 {
						body = &stream{Reader: body}
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					r, _ := http.NewRequestWithContext(ctx, http.MethodPut, base, body)
					resp, err := c.Do(r)
					if err != nil {
						return
					}
					if i%3 == 0 {
						cancel()
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				})
			}
			wg.Wait()
			waitFor(t, "all slots to be free", func() bool { return svc.Client().Bulkhead.Snapshot().InFlight == 0 })
		})
	}
}

// hooks is a context that counts who waits for its end.
type hooks struct {
	context.Context
	done    chan struct{}
	waiting atomic.Int32
}

func (h *hooks) Done() <-chan struct{} { return h.done }

func (h *hooks) AfterFunc(func()) func() bool {
	h.waiting.Add(1)
	return func() bool { h.waiting.Add(-1); return true }
}

// TestNothingWaitsOn: a context that lives on, as that of a whole process does, is left
// as it was by each request made with it, and its requests as they were.
func TestNothingWaitsOn(t *testing.T) {
	for name, on := range map[string]httpmw.Transport{
		"bulkhead":   httpmw.BulkheadTransport(newBulkhead(1)),
		"time limit": httpmw.RetryTransport(retryPolicy(retry.WithPerTryTimeout(time.Hour))),
		"hedge":      httpmw.HedgeTransport(hedgePolicy(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			h := &hooks{Context: t.Context(), done: make(chan struct{})}
			r, _ := http.NewRequestWithContext(h, http.MethodGet, "http://payment/", nil)
			var attempt context.Context
			resp, err := on(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				attempt = r.Context()
				return answers(200, io.NopCloser(strings.NewReader("ok"))).RoundTrip(r)
			})).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if h.waiting.Load() != 1 || attempt.Err() != nil {
				t.Errorf("while the answer is read %d wait, and the attempt's context has %v", h.waiting.Load(), attempt.Err())
			}
			resp.Body.Close()
			if h.waiting.Load() != 0 || name != "bulkhead" && attempt.Err() == nil {
				t.Errorf("after it %d wait, and the attempt's context has %v", h.waiting.Load(), attempt.Err())
			}
		})
	}
}

// TestRecordsWaitNoLonger: neither does what records attempts, which shows as a
// goroutine that is left (see TestMain).
func TestRecordsWaitNoLonger(t *testing.T) {
	g := newRig(t)
	h := &hooks{Context: t.Context(), done: make(chan struct{})}
	resp, err := g.roundTrip(h, httpmw.AttemptTransport(g.recorder)(answers(200, io.NopCloser(strings.NewReader("ok")))))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if h.waiting.Load() != 0 {
		t.Errorf("%d wait", h.waiting.Load())
	}
}

// TestObserverPanics: what an attempt held is given back also if somebody who is told of
// it panics.
func TestObserverPanics(t *testing.T) {
	no := func() { panic("no") }
	tell := resilience.Observer{
		Attempted:    func(context.Context, resilience.Attempt) { no() },
		Rejected:     func(context.Context, *resilience.RejectedError) { no() },
		StateChanged: func(context.Context, resilience.StateChange) { no() },
	}
	for name, opt := range map[string]policies.ClientOption{
		"of attempts": policies.Retry(retry.WithObserver(tell), retry.WithPerTryTimeout(time.Hour)),
		"of states":   policies.Breaker(breaker.WithMinCalls(1), breaker.WithObserver(tell)),
		"of refusals": policies.RateLimit(rate.Every(time.Hour), 1, ratelimit.WithObserver(tell)),
	} {
		t.Run(name, func(t *testing.T) {
			svc := service(policies.Bulkhead(1), policies.Breaker(), opt)
			if l := svc.Client().RateLimit; l != nil {
				_ = l.Wait(t.Context())
			}
			var attempt context.Context
			answer := &stream{Reader: strings.NewReader("sorry")}
			sent := &stream{Reader: strings.NewReader("body")}
			rt := httpmw.PoliciesTransport(svc)(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				attempt = r.Context()
				_ = r.Body.Close()
				return answers(503, answer).RoundTrip(r)
			}))
			wantPanic(t, "no", func() { _, _ = rt.RoundTrip(newRequest(t, http.MethodPut, "http://payment/", sent)) })
			if n := svc.Client().Bulkhead.Snapshot().InFlight; n != 0 {
				t.Errorf("%d slots in use", n)
			}
			if n := sent.closes.Load(); n != 1 {
				t.Errorf("the request's body was closed %d times", n)
			}
			if attempt != nil && answer.closes.Load() != 1 {
				t.Errorf("the answer's body was closed %d times", answer.closes.Load())
			}
			if name == "of attempts" && attempt.Err() == nil {
				t.Error("the attempt goes on")
			}
		})
	}
}
