// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// endings is how a handler can end.
var endings = map[string]func(http.ResponseWriter){
	"well":               func(w http.ResponseWriter) { _, _ = w.Write([]byte("ok")) },
	"without a word":     func(http.ResponseWriter) {},
	"with an error":      func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
	"with a panic":       func(http.ResponseWriter) { panic("x") },
	"with an abort":      func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	"with its goroutine": func(http.ResponseWriter) { runtime.Goexit() },
}

// slots are places that a policy has, and how many are taken.
type slots struct {
	policy  httpmw.Middleware
	taken   func() int
	refusal string // of what is too much
}

// places returns policies with one place each: concurrency, both, shed.
func places(t *testing.T) []slots {
	t.Helper()
	const tooMany = `429 Content-Type: ["application/problem+json"] Retry-After: ["1"] X-Retry-Pushback-Ms: ["100"] ` +
		`{"detail":"too many requests at once","policy":"concurrency","reason":"too many calls at once","status":429,"title":"Too Many Requests","type":"tag:fairlead-go.github.io,2026:rejected"}`
	c, both := newConcurrency(t, 1), newConcurrency(t, 1)
	s := newShedder(t, 1)
	return []slots{
		{httpmw.Concurrency(c), func() int { return c.Snapshot().InFlight }, tooMany},
		{httpmw.Concurrency(ratelimit.NewBoth(newLimiter(t, 1000, 1000), both)), func() int { return both.Snapshot().InFlight }, tooMany},
		{httpmw.Shed(s), func() int { return s.Snapshot().InFlight },
			`503 Content-Type: ["application/problem+json"] ` +
				`{"detail":"overloaded","policy":"shed","reason":"overloaded","status":503,"title":"Service Unavailable","type":"tag:fairlead-go.github.io,2026:rejected"}`},
	}
}

// TestPlaceIsFreeAgain: however a handler ends, and one request is refused meanwhile.
func TestPlaceIsFreeAgain(t *testing.T) {
	for i, name := range []string{"concurrency", "both", "shed"} {
		for how, end := range endings {
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := places(t)[i]
					release := make(chan struct{})
					h := p.policy(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-release; end(w) }))
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						defer func() { _ = recover() }()
						direct(h, request())
					}()
					synctest.Wait()
					if p.taken() != 1 {
						t.Fatalf("%d places taken, want 1", p.taken())
					}
					if got := wire(direct(h, request())); got != p.refusal {
						t.Errorf("the peer got  %s\nwant          %s", got, p.refusal)
					}
					if p.taken() != 1 {
						t.Errorf("%d places taken after a refusal, want 1", p.taken())
					}
					close(release)
					<-ended
					if p.taken() != 0 {
						t.Errorf("%d places taken when the handler has ended, want none", p.taken())
					}
				})
			})
		}
	}
}

// TestWaitForASlot: who waits in the queue is admitted in its turn, and the end of
// its time is no refusal and tells nothing of what is inside.
func TestWaitForASlot(t *testing.T) {
	for _, chain := range []string{"recorded", "alone"} {
		for _, tc := range []struct {
			name    string
			wait    time.Duration
			timeout time.Duration // of the one who waits
			cancel  time.Duration
			code    int
			body    string
			logged  float64
			outcome any
		}{
			{"in time", time.Minute, time.Hour, 0, 200, "", 200, nil},
			{"deadline", time.Minute, time.Second, 0, 504, `"type":"about:blank"`, 504, "caller_deadline"},
			{"gives up", time.Minute, time.Hour, time.Second, 503, `"type":"about:blank"`, 499, "canceled"},
			{"too long", time.Second, time.Hour, 0, 429, `"reason":"no slot in time"`, 429, "rejected"},
		} {
			t.Run(chain+"/"+tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig(t)
					l := newConcurrency(t, 1, ratelimit.WithQueue(1, tc.wait))
					h := g.admission(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(5 * time.Second) }), httpmw.Concurrency(l))[chain]
					go direct(h, request())
					synctest.Wait()
					ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
					defer cancel()
					if tc.cancel > 0 {
						time.AfterFunc(tc.cancel, cancel)
					}
					w := direct(h, httptest.NewRequestWithContext(ctx, http.MethodPut, "/", nil))
					if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.body) || strings.Contains(fmt.Sprint(w.Header(), w.Body), "db-of-inventory") {
						t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
					}
					time.Sleep(time.Minute)
					if u := l.Snapshot(); u.InFlight != 0 || u.Queued != 0 {
						t.Errorf("left: %+v", u)
					}
					if chain != "recorded" {
						return
					}
					for _, line := range g.settle().Logs().All() {
						if method, _ := line.Attr("http.request.method"); method == "PUT" {
							wantLine(t, line, map[string]any{"http.response.status_code": tc.logged, "outcome": tc.outcome})
						}
					}
				})
			})
		}
	}
}

// TestBoth: the answer is that of the limiter that refused.
func TestBoth(t *testing.T) {
	slots := newConcurrency(t, 1)
	h := httpmw.Concurrency(ratelimit.NewBoth(newLimiter(t, 0.001, 1), slots))(http.NotFoundHandler())
	direct(h, request())
	w := direct(h, request())
	if !strings.Contains(w.Body.String(), `"policy":"rate_limit"`) || slots.Snapshot().InFlight != 0 {
		t.Errorf("got %s, and %+v; want a refusal by the rate, and no slot taken", w.Body, slots.Snapshot())
	}
}
