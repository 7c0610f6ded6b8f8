// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestLimiterMakesWait: a token for each attempt, in its time, and the next hop is told
// of the time that is left after it.
func TestLimiterMakesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		var left []string
		ln := servePipe(t, func(w http.ResponseWriter, r *http.Request) {
			left = append(left, r.Header.Get("X-Request-Timeout-Ms"))
			if n.Add(1)%2 == 1 {
				status(503, "X-Retry-Pushback-Ms", "0")(w, r)
			}
		})
		l := must(ratelimit.New("payment", 2, 1))
		c := newClient(t, httpmw.WithPlaintext(), httpmw.WithDialContext(ln.dial), httpmw.WithTransports(
			httpmw.DeadlineTransport(budget(t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(5*time.Second))),
			httpmw.RetryTransport(retryPolicy()), httpmw.RateLimitTransport(l)))
		start := time.Now()
		get(t, c, "http://payment/")
		if d := time.Since(start); d != 500*time.Millisecond {
			t.Errorf("two attempts after %v, want 500ms", d)
		}
		get(t, c, "http://payment/")
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("four attempts after %v, want 1.5s", d)
		}
		if got := strings.Join(left, " "); got != "5000 4500 4500 4000" {
			t.Errorf("left: %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 499*time.Millisecond)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://payment/", nil)
		start = time.Now()
		if _, err := c.Do(r); !errors.Is(err, resilience.ErrRateLimited) || n.Load() != 4 {
			t.Errorf("%v after %d requests, want a refusal", err, n.Load())
		}
		expectAfter(t, start, 0)
	})
}

// TestRefusalSaysWhenToComeBack: where refusals of this process are retried, that is
// after the time that they name.
func TestRefusalSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := must(ratelimit.New("payment", rate.Every(3*time.Second), 1, ratelimit.WithMaxWait(time.Millisecond)))
		_ = l.Allow(t.Context())
		rt := httpmw.ChainTransport(answers(200, http.NoBody),
			httpmw.RetryTransport(retryPolicy(retry.WithRetryOn(resilience.OutcomeRejected))), httpmw.RateLimitTransport(l))
		start := time.Now()
		if _, err := rt.RoundTrip(newRequest(t, http.MethodPost, "http://payment/", nil)); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < 3*time.Second || d > 3*time.Second+1 { // the jitter is up to 1ns
			t.Errorf("after %v, want 3s", d)
		}
	})
}

// TestSlotIsKeptWithTheBody: and comes back however that ends.
func TestSlotIsKeptWithTheBody(t *testing.T) {
	for name, end := range map[string]func(resp *http.Response, cancel func()){
		"read to its end": func(resp *http.Response, _ func()) { _, _ = io.ReadAll(resp.Body) },
		"closed":          func(resp *http.Response, _ func()) { resp.Body.Close() },
		"canceled":        func(_ *http.Response, cancel func()) { cancel() },
		"all of them": func(resp *http.Response, cancel func()) {
			_, _ = io.ReadAll(resp.Body)
			resp.Body.Close()
			cancel()
		},
	} {
		for proto, http2 := range protocols {
			for _, perTry := range []time.Duration{0, time.Hour} {
				t.Run(fmt.Sprintf("%s %s %v", name, proto, perTry), func(t *testing.T) {
					s := serveSteps(t, http2, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1<<20)) })
					b := newBulkhead(1)
					c := s.with(httpmw.RetryTransport(retryPolicy(retry.WithPerTryTimeout(perTry))), httpmw.BulkheadTransport(b))
					for range 3 {
						ctx, cancel := context.WithCancel(t.Context())
						r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
						resp, err := c.Do(r)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := c.Do(newRequest(t, http.MethodGet, s.url, nil)); !errors.Is(err, resilience.ErrOverloaded) {
							t.Errorf("%v while the answer is read, want a refusal", err)
						}
						end(resp, cancel)
						waitFor(t, "the slot to be free", func() bool { return b.Snapshot().InFlight == 0 })
						cancel()
						resp.Body.Close()
					}
				})
			}
		}
	}
}

// waitFor waits for what another goroutine is about to do.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for !done() {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain for %s", what)
		}
		runtime.Gosched()
	}
}

// TestSlotIsFreeBetweenAttempts: no slot is held during a backoff, nor by an answer that
// has no body or an attempt that has no answer.
func TestSlotIsFreeBetweenAttempts(t *testing.T) {
	for name, rt := range map[string]http.RoundTripper{
		"a failed answer": answers(503, io.NopCloser(strings.NewReader("sorry"))),
		"no body":         answers(503, nil),
		"no answer":       fails(io.ErrUnexpectedEOF),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkhead(1)
			var inUse []int
			p := retryPolicy(retry.WithObserver(resilience.Observer{Attempted: func(context.Context, resilience.Attempt) {
				inUse = append(inUse, b.Snapshot().InFlight)
			}}))
			resp, err := httpmw.ChainTransport(rt, httpmw.RetryTransport(p), httpmw.BulkheadTransport(b)).RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
			if len(inUse) != 3 {
				t.Fatalf("%d attempts, %v", len(inUse), err)
			}
			if err == nil && resp.Body != nil {
				resp.Body.Close()
			}
			if n := b.Snapshot().InFlight; n != 0 {
				t.Errorf("%d slots in use", n)
			}
		})
	}
}

// TestBulkheadQueue: a request waits for a slot, and a caller that gives up meanwhile
// gets its own error.
func TestBulkheadQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(1, bulkhead.WithQueue(1, time.Second))
		rt := httpmw.BulkheadTransport(b)(answers(200, io.NopCloser(strings.NewReader("ok"))))
		slot := must(b.Allow(t.Context()))
		time.AfterFunc(300*time.Millisecond, slot.Done)
		start := time.Now()
		resp, err := rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
		if err != nil {
			t.Fatal(err)
		}
		expectAfter(t, start, 300*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://payment/", nil)
		if _, err := rt.RoundTrip(r); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, resilience.ErrOverloaded) {
			t.Errorf("%v, want the deadline", err)
		}
		resp.Body.Close()
	})
}

// TestSwitchedProtocolsAreLeftAlone: a connection that is the caller's from now on works
// as without policies, and holds nothing of theirs.
func TestSwitchedProtocolsAreLeftAlone(t *testing.T) {
	base, plain := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, strings.ToUpper(line))
	}), false)
	b := newBulkhead(1)
	c := &http.Client{Transport: httpmw.ChainTransport(plain.Transport,
		httpmw.RetryTransport(retryPolicy(retry.WithPerTryTimeout(time.Minute))), httpmw.BreakerTransport(newBreaker()), httpmw.BulkheadTransport(b))}
	r := newRequest(t, http.MethodGet, base, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n := b.Snapshot().InFlight; n != 0 {
		t.Errorf("%d slots in use", n)
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if _, half := resp.Body.(interface{ CloseWrite() error }); !ok || !half {
		t.Fatalf("the body is a %T", resp.Body)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HELLO\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

// TestWaitingLeavesTheRequestAlone: the time that is left is told in a copy.
func TestWaitingLeavesTheRequestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := must(ratelimit.New("payment", 2, 1))
		_ = l.Allow(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://payment/", nil)
		r.Header.Set("X-Request-Timeout-Ms", "5000")
		var told string
		_, err := httpmw.RateLimitTransport(l)(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			told = r.Header.Get("X-Request-Timeout-Ms")
			return answers(200, http.NoBody).RoundTrip(r)
		})).RoundTrip(r)
		if err != nil || told != "4500" || r.Header.Get("X-Request-Timeout-Ms") != "5000" {
			t.Errorf("%v; told %q, the caller's is %q", err, told, r.Header.Get("X-Request-Timeout-Ms"))
		}
	})
}
