// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

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

// TestLimitPassesWithTheAnswer: an answer whose attempt ran out of time just then cannot
// be read any longer, and is given up.
func TestLimitPassesWithTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &stream{Reader: strings.NewReader("too late")}
		b := newBreaker()
		rt := httpmw.ChainTransport(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return answers(200, body).RoundTrip(r)
		}), httpmw.RetryTransport(retryPolicy(retry.WithMaxAttempts(2), retry.WithPerTryTimeout(time.Second))), httpmw.BreakerTransport(b))
		_, err := rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
		if !errors.Is(err, ctxutil.ErrTimeout) || retryReason(err) != retry.ReasonExhausted || body.closes.Load() != 2 {
			t.Errorf("%v; %d answers closed, want ErrTimeout and 2", err, body.closes.Load())
		}
	})
}

// TestAttemptsEndBeforeTheNext: the context of an attempt that is given up has ended
// when the next one begins, and that of one that panics has when the panic goes on.
func TestAttemptsEndBeforeTheNext(t *testing.T) {
	var ctxs []context.Context
	rt := httpmw.RetryTransport(retryPolicy(retry.WithPerTryTimeout(time.Hour)))(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		for i, ctx := range ctxs {
			if ctx.Err() == nil {
				t.Errorf("attempt %d goes on while there is another", i+1)
			}
		}
		if ctxs = append(ctxs, r.Context()); len(ctxs) == 3 {
			panic("no")
		}
		return answers(503, http.NoBody).RoundTrip(r)
	}))
	wantPanic(t, "no", func() { _, _ = rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil)) })
	if len(ctxs) != 3 || ctxs[2].Err() == nil {
		t.Errorf("%d attempts, and the last goes on after its panic", len(ctxs))
	}
}
