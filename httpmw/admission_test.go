// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

func newLimiter(t testing.TB, limit rate.Limit, burst int, opts ...ratelimit.LimiterOption) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New("db-of-inventory", limit, burst, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newConcurrency(t testing.TB, n int, opts ...ratelimit.ConcurrencyOption) *ratelimit.Concurrency {
	t.Helper()
	l, err := ratelimit.NewConcurrency("db-of-inventory", n, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newShedder(t testing.TB, n int, opts ...shed.Option) *shed.Shedder {
	t.Helper()
	s, err := shed.New("db-of-inventory", shed.WithMinLimit(n), shed.WithInitialLimit(n), shed.WithMaxLimit(n),
		shed.WithoutCPU(), shed.WithRetryAfter(0), shed.Options(opts...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// limiterFunc is a limiter of somebody's.
type limiterFunc func(context.Context) error

func (f limiterFunc) Allow(ctx context.Context) error { return f(ctx) }

type keyedFunc func(context.Context, ratelimit.Key) error

func (f keyedFunc) Allow(ctx context.Context, key ratelimit.Key) error { return f(ctx, key) }

// noSlots refuses every request.
type noSlots struct{}

func (noSlots) Allow(context.Context) (ratelimit.Permit, error) {
	return ratelimit.Permit{}, &resilience.RejectedError{Policy: resilience.PolicyConcurrency}
}

// prioritized gives requests a priority, as a middleware that knows its clients may.
func prioritized(p shed.Priority) httpmw.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(shed.ContextWithPriority(r.Context(), p)))
		})
	}
}

// admission is the chains that a policy stands in: with a record, and on its own.
func (g *rig) admission(h http.Handler, mw httpmw.Middleware) map[string]http.Handler {
	return map[string]http.Handler{
		"recorded": httpmw.Chain(h, httpmw.Record(g.recorder), httpmw.Recovery(), mw),
		"alone":    mw(h),
	}
}

// checkRejected wants the record of one request of several to say that it was refused.
func (g *rig) checkRejected(code int) {
	g.t.Helper()
	n := 0
	for _, l := range g.settle().Logs().All() {
		if outcome, _ := l.Attr("outcome"); outcome == "rejected" {
			n++
			wantLine(g.t, l, map[string]any{"http.response.status_code": float64(code)})
			if l.Level != "WARN" {
				g.t.Errorf("level %v, want WARN", l.Level)
			}
		}
	}
	if n != 1 {
		g.t.Errorf("%d lines of rejected requests, want 1: %v", n, g.settle().Logs().All())
	}
}

// TestHealthIsNotLimited: by default, by the user's rule, and by what a middleware
// before it says.
func TestHealthIsNotLimited(t *testing.T) {
	refusing := limiterFunc(func(context.Context) error { return &resilience.RejectedError{Policy: resilience.PolicyRateLimit} })
	ping := httpmw.WithPriorities(func(_ context.Context, path string) shed.Priority {
		if path == "/ping" {
			return shed.PriorityHealth
		}
		return shed.PriorityCritical
	})
	for _, tc := range []struct {
		name     string
		mws      []httpmw.Middleware
		admitted string // of these paths
	}{
		{"by default", []httpmw.Middleware{httpmw.RateLimit(refusing)}, "/livez /readyz /healthz"},
		{"by nil", []httpmw.Middleware{httpmw.RateLimit(refusing, httpmw.WithPriorities(nil))}, "/livez /readyz /healthz"},
		{"by a rule", []httpmw.Middleware{httpmw.RateLimit(refusing, ping)}, "/ping"},
		{"by context", []httpmw.Middleware{prioritized(shed.PriorityHealth), httpmw.RateLimit(refusing)}, "/livez /readyz /healthz /ping /orders/livez /livez/"},
		{"not by context", []httpmw.Middleware{prioritized(shed.PriorityCritical), httpmw.RateLimit(refusing)}, ""},
		{"keyed", []httpmw.Middleware{httpmw.KeyedRateLimit(keyedFunc(func(ctx context.Context, _ ratelimit.Key) error { return refusing(ctx) }), nil)}, "/livez /readyz /healthz"},
		{"concurrency", []httpmw.Middleware{httpmw.Concurrency(noSlots{})}, "/livez /readyz /healthz"},
		{"concurrency by a rule", []httpmw.Middleware{httpmw.Concurrency(noSlots{}, ping)}, "/ping"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := httpmw.Chain(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), tc.mws...)
			var admitted []string
			for _, path := range []string{"/livez", "/readyz", "/healthz", "/ping", "/orders/livez", "/livez/"} {
				switch w := direct(h, httptest.NewRequest(http.MethodGet, path, nil)); w.Code {
				case http.StatusOK:
					admitted = append(admitted, path)
				case http.StatusTooManyRequests:
				default:
					t.Errorf("%s: status %d", path, w.Code)
				}
			}
			if got := strings.Join(admitted, " "); got != tc.admitted {
				t.Errorf("admitted %s, want %s", got, tc.admitted)
			}
		})
	}
}

// TestBodyOfARefusedRequest: the answer arrives whether or not the body was sent, and
// a short one leaves the connection usable.
func TestBodyOfARefusedRequest(t *testing.T) {
	refuse := httpmw.RateLimit(limiterFunc(func(context.Context) error {
		return &resilience.RejectedError{Policy: resilience.PolicyRateLimit}
	}))
	for name, http2 := range protocols {
		for _, size := range []int{1, 10 << 10, 8 << 20} {
			t.Run(fmt.Sprint(name, "/", size), func(t *testing.T) {
				var mu sync.Mutex
				connections := map[string]bool{}
				url, client := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					connections[r.RemoteAddr] = true
					mu.Unlock()
					refuse(http.NotFoundHandler()).ServeHTTP(w, r)
				}), http2)
				for range 2 {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(strings.Repeat("a", size)))
					if err != nil {
						t.Fatal(err)
					}
					got := send(t, client, r)
					if got.StatusCode != http.StatusTooManyRequests || !strings.Contains(got.text, `"policy":"rate_limit"`) {
						t.Errorf("got %d %s", got.StatusCode, got.text)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if size <= 10<<10 && len(connections) != 1 {
					t.Errorf("%d connections for two requests, want 1", len(connections))
				}
			})
		}
	}
}

// TestPageOfARefusal: for people with a browser.
func TestPageOfARefusal(t *testing.T) {
	page := httpmw.WithErrorPage(func(w io.Writer, _ *http.Request, p httpmw.Problem) error {
		_, err := io.WriteString(w, "<p>"+p.Detail)
		return err
	})
	full := newShedder(t, 1)
	lease, err := full.Allow(t.Context(), shed.PriorityNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	refusing := limiterFunc(func(context.Context) error { return &resilience.RejectedError{Policy: resilience.PolicyRateLimit} })
	for want, mw := range map[string]httpmw.Middleware{
		"<p>rate limited":              httpmw.RateLimit(refusing, page),
		"<p>too many requests at once": httpmw.Concurrency(noSlots{}, page),
		"<p>overloaded":                httpmw.Shed(full, page),
	} {
		r := request()
		r.Header.Set("Accept", "text/html")
		if w := direct(mw(http.NotFoundHandler()), r); w.Body.String() != want {
			t.Errorf("got %q, want %q", w.Body, want)
		}
	}
}

// TestLimiterOfSomebodys: every error refuses, and of its text the peer learns nothing.
func TestLimiterOfSomebodys(t *testing.T) {
	const text = "no quota in redis at 10.0.0.7"
	for _, tc := range []struct {
		name   string
		err    error
		code   int
		policy string
	}{
		{"an error", errors.New(text), 429, "rate_limit"},
		{"a refusal in an error", errors.Join(errors.New(text), &resilience.RejectedError{Policy: resilience.PolicyShed, Err: errors.New(text)}), 503, "shed"},
		{"a context's, while ours is alive", context.DeadlineExceeded, 429, "rate_limit"},
	} {
		for _, chain := range []string{"recorded", "alone"} {
			t.Run(tc.name+"/"+chain, func(t *testing.T) {
				g := newRig(t)
				limit := httpmw.RateLimit(limiterFunc(func(context.Context) error { return tc.err }))
				w := direct(g.admission(http.NotFoundHandler(), limit)[chain], request())
				if w.Code != tc.code || !strings.Contains(w.Body.String(), `"policy":"`+tc.policy+`"`) || strings.Contains(w.Body.String(), "10.0.0.7") {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				if chain == "recorded" {
					g.checkRejected(tc.code)
				}
			})
		}
	}
}

func TestNilAdmission(t *testing.T) {
	wantPanic(t, "httpmw: RateLimit: nil limiter", func() { httpmw.RateLimit(nil) })
	wantPanic(t, "httpmw: KeyedRateLimit: nil limiter", func() { httpmw.KeyedRateLimit(nil, nil) })
	wantPanic(t, "httpmw: Concurrency: nil limiter", func() { httpmw.Concurrency(nil) })
	wantPanic(t, "httpmw: Shed: nil shedder", func() { httpmw.Shed(nil) })
}
