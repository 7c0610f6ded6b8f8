// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

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

// TestPatientCallersCount: a service that hangs is noticed by the deadlines of callers
// that gave it time. What a request waited for its turn was not the service's.
func TestPatientCallersCount(t *testing.T) {
	for _, tc := range []struct {
		name     string
		timeout  time.Duration
		wait     time.Duration
		failures int
	}{
		{"patient", breaker.DefaultPatience, 0, 1},
		{"impatient", breaker.DefaultPatience - 1, 0, 0},
		{"patient, but not with the service", 2*breaker.DefaultPatience - 1, breaker.DefaultPatience, 0},
		{"patient after all", 2 * breaker.DefaultPatience, breaker.DefaultPatience, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				svc := service(policies.Breaker(), policies.RateLimit(rate.Every(breaker.DefaultPatience), 1))
				if tc.wait > 0 {
					_ = svc.Client().RateLimit.Allow(t.Context())
				}
				ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
				defer cancel()
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://payment/", nil)
				_, err := httpmw.PoliciesTransport(svc)(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				})).RoundTrip(r)
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, resilience.ErrRateLimited) {
					t.Fatal(err)
				}
				if got := svc.Breaker().Snapshot(); got.Failures != tc.failures || got.Successes != 0 {
					t.Errorf("%+v, want %d failures", got, tc.failures)
				}
			})
		})
	}
}
