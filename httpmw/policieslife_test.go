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

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
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
