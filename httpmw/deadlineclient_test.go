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
)

// pipeClient is a client of h over memory, inside a bubble, with records and
// deadlines.
func (g *rig) pipeClient(h http.HandlerFunc, b ctxutil.Budget) *http.Client {
	ln := servePipe(g.t, h)
	c := newClient(g.t, httpmw.WithPlaintext(), httpmw.WithoutTimeout(), httpmw.WithDialContext(ln.dial))
	return g.clientOf(c, "", httpmw.DeadlineTransport(b))
}

func TestTimeoutHeader(t *testing.T) {
	for _, tc := range []struct {
		name    string
		timeout time.Duration // of the caller; 0 is none
		budget  []ctxutil.BudgetOption
		header  string
	}{
		{"no deadline", 0, nil, ""},
		{"the default reserve", 2 * time.Second, nil, "1990"},
		{"a tenth of a short one", 50 * time.Millisecond, nil, "45"},
		{"no reserve", 2 * time.Second, []ctxutil.BudgetOption{ctxutil.WithReserve(0)}, "2000"},
		{"own cap", time.Hour, []ctxutil.BudgetOption{ctxutil.WithMaxTimeout(3 * time.Second)}, "3000"},
		{"own default", 0, []ctxutil.BudgetOption{ctxutil.WithDefaultTimeout(4 * time.Second)}, "4000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, got := newRig(t), "none"
				client := g.pipeClient(func(_ http.ResponseWriter, r *http.Request) {
					got = r.Header.Get("X-Request-Timeout-Ms")
				}, budget(t, tc.budget...))
				ctx := t.Context()
				if tc.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.timeout)
					defer cancel()
				}
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop/", nil)
				send(t, client, req)
				if got != tc.header {
					t.Errorf("X-Request-Timeout-Ms %q, want %q", got, tc.header)
				}
				if len(req.Header) != 0 {
					t.Errorf("the caller's request was changed: %v", req.Header)
				}
			})
		})
	}
}

// TestRefusedBeforeSending: nothing reaches the server, and the error says why.
func TestRefusedBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		client := g.pipeClient(func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") },
			budget(t, ctxutil.WithReserve(time.Second)))
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		body := &closeRecorder{Reader: strings.NewReader("body")}
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://shop/", body)
		_, err := client.Do(req)
		if !errors.Is(err, ctxutil.ErrBudgetExhausted) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want ErrBudgetExhausted and DeadlineExceeded", err)
		}
		if e, ok := errors.AsType[*ctxutil.BudgetError](err); !ok || e.Left != 900*time.Millisecond || e.Reserve != time.Second {
			t.Errorf("err = %#v", err)
		}
		if !body.closed.Load() {
			t.Error("the request's body was not closed")
		}
		wantSpan(t, g.client(), map[string]any{"error.type": "rejected", "http.response.status_code": nil})
		wantLine(t, g.line(g.client()), map[string]any{"outcome": "rejected", "level": "WARN", "deadline_left_ms": 900.0})
	})
}

// TestDeadlineEndsClientCall: whose limit it was that ended a call, before the
// answer and in the middle of its body.
func TestDeadlineEndsClientCall(t *testing.T) {
	stall := map[string]http.HandlerFunc{
		"before the answer": untilDone,
		"in the body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	}
	for _, tc := range []struct {
		name    string
		timeout time.Duration // of the caller
		cancel  time.Duration
		reason  string
		outcome string
		after   time.Duration
		end     ctxutil.End
	}{
		{"our limit", time.Hour, 0, "timeout", "timeout", 10 * time.Second, ctxutil.EndTimeout},
		{"our limit, no deadline", 0, 0, "timeout", "timeout", 10 * time.Second, ctxutil.EndTimeout},
		{"the caller's deadline, less the reserve", 5 * time.Second, 0, "timeout", "caller_deadline", 4990 * time.Millisecond, ctxutil.EndCallerDeadline},
		{"the caller gives up", time.Hour, time.Second, "canceled", "canceled", time.Second, ctxutil.EndCallerCanceled},
	} {
		for when, handler := range stall {
			t.Run(tc.name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig(t)
					client := g.pipeClient(handler, budget(t, ctxutil.WithMaxTimeout(10*time.Second)))
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if tc.timeout > 0 {
						ctx, cancel = context.WithTimeout(ctx, tc.timeout)
						defer cancel()
					}
					if tc.cancel > 0 {
						time.AfterFunc(tc.cancel, cancel)
					}
					start := time.Now()
					req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop/", nil)
					resp, err := client.Do(req)
					code := any(nil)
					if err == nil {
						code = 200.0
						_, err = io.ReadAll(resp.Body)
						_ = resp.Body.Close()
					}
					if err == nil {
						t.Error("no error")
					}
					expectAfter(t, start, tc.after)
					wantLine(t, g.line(g.client()), map[string]any{
						"error.type": tc.reason, "outcome": tc.outcome, "http.response.status_code": code,
						"duration_ms": float64(tc.after) / float64(time.Millisecond),
					})
				})
			})
		}
	}
}

// TestServerLearnsOfTheDeadline: both ends of a hop agree about the deadline,
// over a real connection.
func TestServerLearnsOfTheDeadline(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newRig(t)
			var left atomic.Int64
			base, plain := listen(t, g.limited(func(_ http.ResponseWriter, r *http.Request) {
				d, _ := ctxutil.Remaining(r.Context())
				left.Store(int64(d))
			}), http2)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
			send(t, g.clientOf(plain, "", httpmw.DeadlineTransport(ctxutil.Budget{})), req)
			if d := time.Duration(left.Load()); d <= 15*time.Second || d > 20*time.Second-ctxutil.DefaultReserve {
				t.Errorf("the handler has %v of 20s less the reserve", d)
			}
		})
	}
}

// TestCallerDisconnects: a connection that breaks ends the handler's context,
// and the record says that the caller went away, not that the server failed.
func TestCallerDisconnects(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		status int64
	}{
		{"no answer", func(http.ResponseWriter) {}, 499},
		{"an error for nobody", func(w http.ResponseWriter) { w.WriteHeader(500) }, 499},
		{"a client fault", func(w http.ResponseWriter) { w.WriteHeader(404) }, 404},
	} {
		for proto, http2 := range protocols {
			t.Run(tc.name+" "+proto, func(t *testing.T) {
				g := newRig(t)
				ctx, hangUp := context.WithCancel(t.Context())
				base, plain := listen(t, g.served(handle("GET /", func(w http.ResponseWriter, r *http.Request) {
					hangUp()
					untilDone(w, r)
					tc.answer(w)
				})), http2)
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
				if _, err := g.clientOf(plain, "").Do(req); !errors.Is(err, context.Canceled) {
					t.Errorf("err = %v, want Canceled", err)
				}
				wantSpan(t, g.server(), map[string]any{"http.response.status_code": tc.status, "error.type": nil})
				if tc.status == 499 {
					wantLine(t, g.line(g.server()), map[string]any{"outcome": "canceled", "level": "INFO", "error": "caller went away"})
				}
				wantLine(t, g.line(g.client()), map[string]any{"outcome": "canceled", "error.type": "canceled", "level": "INFO"})
			})
		}
	}
}
