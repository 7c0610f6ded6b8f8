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
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func TestNilPolicies(t *testing.T) {
	wantPanic(t, "httpmw: PoliciesTransport: nil service", func() { httpmw.PoliciesTransport(nil) })
	wantPanic(t, "httpmw: RetryTransport: nil policy", func() { httpmw.RetryTransport(nil) })
	wantPanic(t, "httpmw: HedgeTransport: nil policy", func() { httpmw.HedgeTransport(nil) })
	wantPanic(t, "httpmw: BreakerTransport: nil breaker", func() { httpmw.BreakerTransport(nil) })
	wantPanic(t, "httpmw: RateLimitTransport: nil limiter", func() { httpmw.RateLimitTransport(nil) })
	wantPanic(t, "httpmw: BulkheadTransport: nil bulkhead", func() { httpmw.BulkheadTransport(nil) })
	wantPanic(t, "httpmw: AttemptTransport: nil recorder", func() { httpmw.AttemptTransport(nil) })
}

// TestWhatABreakerCounts: by status, error and end of the caller, over the wire
// (PAINS 13 among them).
func TestWhatABreakerCounts(t *testing.T) {
	for _, tc := range []struct {
		name  string
		step  http.HandlerFunc
		n     int
		open  bool
		count string // successes/failures
	}{
		{"answers", status(200), 10, false, "10/0"},
		{"100 client faults", status(400), 100, false, "100/0"},
		{"not found", status(404), 10, false, "10/0"},
		{"500 is about a request", status(500), 10, false, "0/0"},
		{"502 is about one behind", status(502), 10, false, "0/0"},
		{"429", status(429), 5, true, ""},
		{"503", status(503), 5, true, ""},
		{"504 with time left", status(504), 5, true, ""},
		{"cut connections", hangUp, 5, true, ""},
		{"answers that break off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, 10, false, "10/0"},
	} {
		for proto, http2 := range protocols {
			t.Run(tc.name+" "+proto, func(t *testing.T) {
				s := serveSteps(t, http2, tc.step)
				b := newBreaker()
				c := s.with(httpmw.BreakerTransport(b))
				for range tc.n {
					resp, err := c.Do(newRequest(t, http.MethodPost, s.url, nil))
					if err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				}
				got := b.Snapshot()
				if open := got.State == resilience.StateOpen; open != tc.open || !open && fmt.Sprintf("%d/%d", got.Successes, got.Failures) != tc.count {
					t.Fatalf("%+v, want open: %v, %s", got, tc.open, tc.count)
				}
				if !tc.open {
					return
				}
				sent := len(s.requests())
				resp, err := c.Do(newRequest(t, http.MethodPost, s.url, nil))
				e, ok := errors.AsType[*resilience.RejectedError](err)
				if resp != nil || !ok || e.Remote || e.Name != "payment" || !errors.Is(err, gobreaker.ErrOpenState) || !errors.Is(err, resilience.ErrOpen) || len(s.requests()) != sent {
					t.Errorf("%v, %v; want a refusal, and nothing sent", resp, err)
				}
			})
		}
	}
}

// TestCanceledNeverCounts: gobreaker by itself opens at six canceled calls.
func TestCanceledNeverCounts(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			var hangUp atomic.Pointer[context.CancelFunc]
			base, plain := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				(*hangUp.Load())()
				untilDone(w, r)
			}), http2)
			b := newBreaker()
			c := &http.Client{Transport: httpmw.BreakerTransport(b)(plain.Transport)}
			for range 6 {
				ctx, cancel := context.WithCancel(t.Context())
				hangUp.Store(&cancel)
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
				if _, err := c.Do(r); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			}
			if got := b.Snapshot(); got.State != resilience.StateClosed || got.Failures != 0 || got.Successes != 0 {
				t.Errorf("%+v, want nothing counted", got)
			}
		})
	}
}

// TestOpenForAsLongAsAsked: Retry-After becomes the open time, in each of its forms.
func TestOpenForAsLongAsAsked(t *testing.T) {
	for _, tc := range []struct {
		name    string
		code    int
		headers []string
		want    time.Duration
	}{
		{"not asked", 503, nil, breaker.DefaultOpenTime},
		{"seconds", 429, []string{"Retry-After", "17"}, 17 * time.Second},
		{"milliseconds", 503, []string{"X-Retry-Pushback-Ms", "12345"}, 12345 * time.Millisecond},
		{"do not retry", 503, []string{"X-Retry-Pushback-Ms", "-1"}, breaker.DefaultOpenTime},
		{"do not retry, and leave me alone", 503, []string{"X-Retry-Pushback-Ms", "-1", "Retry-After", "17"}, 17 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := servePipe(t, status(tc.code, tc.headers...))
				b := newBreaker()
				c := newClient(t, httpmw.WithPlaintext(), httpmw.WithDialContext(ln.dial), httpmw.WithTransports(httpmw.BreakerTransport(b)))
				for range 5 {
					get(t, c, "http://payment/")
				}
				if got := b.Snapshot(); got.State != resilience.StateOpen || got.OpenFor != tc.want {
					t.Errorf("%v for %v, want open for %v", got.State, got.OpenFor, tc.want)
				}
			})
		})
	}
}

// TestProbesComeBack: a probe that is canceled, panics, ends its goroutine or is
// refused further in gives its place back, and the breaker closes when the service is
// well again.
func TestProbesComeBack(t *testing.T) {
	ruined := map[string]func(t *testing.T, send func(ctx context.Context) error, below *atomic.Pointer[func()]){
		"canceled": func(t *testing.T, send func(context.Context) error, below *atomic.Pointer[func()]) {
			ctx, cancel := context.WithCancel(t.Context())
			stop := func() { cancel(); <-ctx.Done() }
			below.Store(&stop)
			if err := send(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want Canceled", err)
			}
		},
		"panic": func(t *testing.T, send func(context.Context) error, below *atomic.Pointer[func()]) {
			boom := func() { panic("no") }
			below.Store(&boom)
			wantPanic(t, "no", func() { _ = send(t.Context()) })
		},
		"goexit": func(t *testing.T, send func(context.Context) error, below *atomic.Pointer[func()]) {
			exit := runtime.Goexit
			below.Store(&exit)
			var wg sync.WaitGroup
			wg.Go(func() { _ = send(t.Context()) })
			wg.Wait()
		},
	}
	for name, ruin := range ruined {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var code atomic.Int32
				code.Store(503)
				var below atomic.Pointer[func()]
				b := newBreaker()
				rt := httpmw.ChainTransport(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
					if f := below.Load(); f != nil {
						(*f)()
					}
					if err := context.Cause(r.Context()); err != nil {
						return nil, err
					}
					return &http.Response{StatusCode: int(code.Load()), Header: http.Header{}, Body: http.NoBody, Request: r}, nil
				}), httpmw.RetryTransport(retryPolicy(retry.WithMaxAttempts(1), retry.WithPerTryTimeout(time.Hour))), httpmw.BreakerTransport(b))
				send := func(ctx context.Context) error {
					r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://payment/", nil)
					_, err := rt.RoundTrip(r)
					return err
				}
				for range 5 {
					_ = send(t.Context())
				}
				time.Sleep(breaker.DefaultOpenTime)
				for range 10 { // there are three places
					ruin(t, send, &below)
				}
				below.Store(nil)
				if got := b.Snapshot(); got.State != resilience.StateHalfOpen || got.Probes != 0 {
					t.Fatalf("%+v, want half-open with no probe under way", got)
				}
				code.Store(200)
				for range 3 {
					if err := send(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if got := b.State(); got != resilience.StateClosed {
					t.Errorf("%v, want closed", got)
				}
			})
		})
	}
}

// TestOrderOfPolicies: who refuses first, and what those before it and after it have
// had of the request.
func TestOrderOfPolicies(t *testing.T) {
	for _, tc := range []struct {
		name    string
		breaker bool // open
		tokens  int
		slots   int
		policy  resilience.Policy
		left    float64 // tokens
		inUse   int     // slots, with the answer open
		sent    int32
	}{
		{"all allow", false, 1, 1, "", 0, 1, 1},
		{"the breaker is asked first", true, 1, 1, resilience.PolicyBreaker, 1, 0, 0},
		{"then the rate limit", false, 0, 1, resilience.PolicyRateLimit, 0, 0, 0},
		{"then the bulkhead", false, 1, 0, resilience.PolicyBulkhead, 0, 0, 0},
		{"all refuse", true, 0, 0, resilience.PolicyBreaker, 0, 0, 0},
		{"limit and bulkhead refuse", false, 0, 0, resilience.PolicyRateLimit, 0, 0, 0},
	} {
		for _, fused := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fused %v", tc.name, fused), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					svc := service(policies.Retry(retry.WithBackoff(1, 1)), policies.Breaker(), policies.RateLimit(rate.Every(time.Hour), 1), policies.Bulkhead(1))
					p := svc.Client()
					if tc.breaker {
						p.Breaker.ForceOpen(t.Context())
					}
					if tc.tokens == 0 {
						_ = p.RateLimit.Allow(t.Context())
					}
					if tc.slots == 0 {
						slot := must(p.Bulkhead.Allow(t.Context()))
						defer slot.Done()
					}
					taken := p.Bulkhead.Snapshot().InFlight
					var sent atomic.Int32
					ts := []httpmw.Transport{httpmw.PoliciesTransport(svc)}
					if !fused {
						ts = []httpmw.Transport{
							httpmw.RetryTransport(p.Retry), httpmw.BreakerTransport(p.Breaker), httpmw.RateLimitTransport(p.RateLimit), httpmw.BulkheadTransport(p.Bulkhead),
						}
					}
					rt := httpmw.ChainTransport(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
						sent.Add(1)
						return answers(200, io.NopCloser(strings.NewReader("ok"))).RoundTrip(r)
					}), ts...)
					resp, err := rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
					e, _ := errors.AsType[*resilience.RejectedError](err)
					if e == nil {
						e = &resilience.RejectedError{}
					}
					if (err == nil) != (tc.policy == "") || e.Policy != tc.policy {
						t.Errorf("%v, want a refusal by %q", err, tc.policy)
					}
					if tokens := p.RateLimit.Snapshot().Tokens; tokens != tc.left {
						t.Errorf("%v tokens left, want %v", tokens, tc.left)
					}
					if n := p.Bulkhead.Snapshot().InFlight - taken; n != tc.inUse {
						t.Errorf("%d slots in use, want %d", n, tc.inUse)
					}
					if got := p.Breaker.Snapshot(); got.Failures != 0 || got.Successes != int(tc.sent) || sent.Load() != tc.sent {
						t.Errorf("sent %d; the breaker has %+v", sent.Load(), got)
					}
					if resp != nil {
						resp.Body.Close()
					}
					if n := p.Bulkhead.Snapshot().InFlight - taken; n != 0 {
						t.Errorf("%d slots in use when the answer is closed", n)
					}
				})
			})
		}
	}
}

// TestRefusedProbeComesBack: a probe that the rate limit or the bulkhead refuses has
// told nobody anything.
func TestRefusedProbeComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := service(policies.Breaker(breaker.WithMinCalls(1)), policies.Bulkhead(1))
		p := svc.Client()
		rt := httpmw.PoliciesTransport(svc)(answers(503, http.NoBody))
		_, _ = rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
		time.Sleep(time.Minute)
		slot := must(p.Bulkhead.Allow(t.Context()))
		defer slot.Done()
		for range 10 {
			if _, err := rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil)); !errors.Is(err, resilience.ErrOverloaded) {
				t.Fatalf("%v, want the bulkhead's refusal", err)
			}
		}
		if got := p.Breaker.Snapshot(); got.State != resilience.StateHalfOpen || got.Probes != 0 {
			t.Errorf("%+v, want half-open with no probe under way", got)
		}
	})
}

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

// TestMethodsHaveTheirOwn: a pattern's policies are those of the requests it matches,
// and the service's breaker is everybody's.
func TestMethodsHaveTheirOwn(t *testing.T) {
	svc := service(
		policies.Retry(retry.WithMaxAttempts(3), retry.WithBackoff(1, 1)), policies.Breaker(breaker.WithMinCalls(100)), policies.NoBudget(),
		policies.Method("GET /orders/{id}", policies.Retry(retry.WithMaxAttempts(2))),
		policies.Method("GET /orders/{id}/items/", policies.NoRetry()),
		policies.Method("PUT /orders/{id}", policies.NoRetry()),
		policies.Method("/shop.Orders/Get", policies.NoRetry()))
	s := serveSteps(t, false, status(503))
	c := s.with(httpmw.PoliciesTransport(svc))
	total := 0
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/orders/7", 2},
		{"HEAD", "/orders/7", 2}, // as in a ServeMux
		{"GET", "/orders/7?full=1", 2},
		{"GET", "/orders//7", 2},
		{"GET", "/orders/7/items/", 1},
		{"GET", "/orders/7/items/1", 1},
		{"PUT", "/orders/7", 1},
		{"DELETE", "/orders/7", 3},
		{"GET", "/orders", 3},
		{"GET", "", 3},
		{"GET", "/shop.Orders/Get", 3}, // gRPC's
	} {
		before := len(s.requests())
		send(t, c, newRequest(t, tc.method, s.url+tc.path, nil))
		n := len(s.requests()) - before
		if n != tc.want {
			t.Errorf("%s %s: %d attempts, want %d", tc.method, tc.path, n, tc.want)
		}
		total += n
	}
	if got := svc.Breaker().Snapshot(); got.Failures != total {
		t.Errorf("the breaker has %d failures of %d requests", got.Failures, total)
	}
}

// TestBreakerStopsRetries: one that opens in the middle of a request ends it.
func TestBreakerStopsRetries(t *testing.T) {
	s := serveSteps(t, false, status(503))
	b := newBreaker(breaker.WithMinCalls(2))
	_, err := s.with(httpmw.RetryTransport(retryPolicy()), httpmw.BreakerTransport(b)).Do(newRequest(t, http.MethodGet, s.url, nil))
	e, ok := errors.AsType[*resilience.AttemptsError](err)
	if !errors.Is(err, gobreaker.ErrOpenState) || !ok || e.Attempts != 3 || len(s.requests()) != 2 {
		t.Errorf("%v after %d requests, want the breaker's refusal of the third", err, len(s.requests()))
	}
}

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
