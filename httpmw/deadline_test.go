// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
)

func budget(t testing.TB, opts ...ctxutil.BudgetOption) ctxutil.Budget {
	t.Helper()
	b, err := ctxutil.NewBudget(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// untilDone is a handler that works until its request ends, and says nothing.
func untilDone(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// limited serves h with the server's usual chain and a cap of one minute.
func (g *rig) limited(h http.HandlerFunc, opts ...httpmw.DeadlineOption) http.Handler {
	b := budget(g.t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(time.Minute))
	return httpmw.Chain(handle("GET /", h), httpmw.Record(g.recorder), httpmw.Recovery(), httpmw.Deadline(b, opts...))
}

// TestWhoEndedIt: span, metrics and log line say whether the caller gave up, the
// caller's time was over, or a limit of ours was.
func TestWhoEndedIt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		header  string        // the caller's time in ms
		cancel  time.Duration // when the caller gives up
		status  int
		outcome string
		level   string
		after   time.Duration
		left    any // of the caller's deadline, in ms
		cause   error
	}{
		{name: "the caller gives up", header: "3600000", cancel: time.Second,
			status: 499, outcome: "canceled", level: "INFO", after: time.Second, left: 3599000.0, cause: context.Canceled},
		{name: "the caller's deadline", header: "5000",
			status: 504, outcome: "caller_deadline", level: "WARN", after: 5 * time.Second, left: 0.0, cause: ctxutil.ErrCallerDeadline},
		{name: "our limit", header: "3600000",
			status: 504, outcome: "timeout", level: "WARN", after: time.Minute, left: 3540000.0, cause: ctxutil.ErrTimeout},
		{name: "our limit, no deadline",
			status: 504, outcome: "timeout", level: "WARN", after: time.Minute, cause: ctxutil.ErrTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				h := g.limited(func(w http.ResponseWriter, r *http.Request) {
					untilDone(w, r)
					if got := context.Cause(r.Context()); got != tc.cause {
						t.Errorf("the cause is %v, want %v", got, tc.cause)
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.cancel > 0 {
					time.AfterFunc(tc.cancel, cancel)
				}
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
				if tc.header != "" {
					r.Header.Set("X-Request-Timeout-Ms", tc.header)
				}
				w := direct(h, r)
				if tc.status == 504 && (w.Code != 504 || !strings.Contains(w.Body.String(), "Gateway Timeout")) {
					t.Errorf("answered %d %s", w.Code, w.Body)
				}
				server := g.server()
				wantSpan(t, server, map[string]any{"http.response.status_code": int64(tc.status)})
				wantLine(t, g.line(server), map[string]any{
					"outcome": tc.outcome, "level": tc.level, "deadline_left_ms": tc.left,
					"duration_ms": float64(tc.after) / float64(time.Millisecond),
				})
			})
		})
	}
}

// TestDeadlineOfRequest: what a handler gets for which headers.
func TestDeadlineOfRequest(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers map[string]string
		want    time.Duration
	}{
		{"none", nil, time.Minute},
		{"shorter than the cap", map[string]string{"X-Request-Timeout-Ms": "1500"}, 1500 * time.Millisecond},
		{"longer than the cap", map[string]string{"X-Request-Timeout-Ms": "99999999"}, time.Minute},
		{"gRPC's", map[string]string{"Grpc-Timeout": "2S"}, 2 * time.Second},
		{"both", map[string]string{"X-Request-Timeout-Ms": "3000", "Grpc-Timeout": "2S"}, 2 * time.Second},
		{"not a number", map[string]string{"X-Request-Timeout-Ms": "soon"}, time.Minute},
		{"negative", map[string]string{"X-Request-Timeout-Ms": "-5"}, time.Minute},
		{"too long", map[string]string{"X-Request-Timeout-Ms": "123456789"}, time.Minute},
		{"with a unit", map[string]string{"X-Request-Timeout-Ms": "5ms"}, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, got := newRig(t), time.Duration(-1)
				h := g.limited(func(_ http.ResponseWriter, r *http.Request) { got, _ = ctxutil.Remaining(r.Context()) })
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				for k, v := range tc.headers {
					r.Header.Set(k, v)
				}
				if w := direct(h, r); w.Code != http.StatusOK {
					t.Errorf("answered %d", w.Code)
				}
				if got != tc.want {
					t.Errorf("the handler has %v, want %v", got, tc.want)
				}
			})
		})
	}
}

// TestSpentBudget: a request that cannot be answered in time is not handled.
func TestSpentBudget(t *testing.T) {
	page := httpmw.HTMLPage(template.Must(template.New("").Parse(`<h1>{{.Status}}</h1>`)))
	for _, tc := range []struct {
		name, header string
		budget       []ctxutil.BudgetOption
	}{
		{"no time", "0", []ctxutil.BudgetOption{ctxutil.WithReserve(0)}},
		{"less than the reserve", "20", []ctxutil.BudgetOption{ctxutil.WithReserve(20 * time.Millisecond)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			h := httpmw.Chain(handle("GET /", func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }),
				httpmw.Record(g.recorder), httpmw.Deadline(budget(t, tc.budget...), httpmw.WithErrorPage(page)))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("X-Request-Timeout-Ms", tc.header)
			r.Header.Set("Accept", "text/html")
			if w := direct(h, r); w.Code != 504 || w.Body.String() != "<h1>504</h1>" {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			wantLine(t, g.line(g.server()), map[string]any{
				"outcome": "rejected", "http.response.status_code": 504.0, "error.type": "504",
			})
		})
	}
}

// TestHandlerThatIgnoresTheDeadline: it is waited for. What it then answers
// counts, and if it does not answer it is too late for a 200.
func TestHandlerThatIgnoresTheDeadline(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answer  int // 0: none
		status  int
		outcome any
	}{
		{"and answers", 201, 201, nil},
		{"and says nothing", 0, 504, "timeout"},
		{"and says so itself", 504, 504, "timeout"},
		{"and fails", 500, 500, "server_fault"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				w := direct(g.limited(func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(2 * time.Minute)
					if tc.answer != 0 {
						w.WriteHeader(tc.answer)
					}
				}), httptest.NewRequest(http.MethodGet, "/", nil))
				if w.Code != tc.status {
					t.Errorf("answered %d, want %d", w.Code, tc.status)
				}
				wantLine(t, g.line(g.server()), map[string]any{
					"http.response.status_code": float64(tc.status), "outcome": tc.outcome, "duration_ms": 120_000.0,
				})
			})
		})
	}
}

// TestDeadlineAlone: it works without a record, and with a writer of its own.
func TestDeadlineAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := httpmw.Deadline(budget(t, ctxutil.WithMaxTimeout(time.Second)))(http.HandlerFunc(untilDone))
		if w := direct(h, httptest.NewRequest(http.MethodGet, "/", nil)); w.Code != 504 {
			t.Errorf("answered %d, want 504", w.Code)
		}
	})
}

// TestDeadlineWithoutLimit changes nothing.
func TestDeadlineWithoutLimit(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	h := httpmw.Deadline(ctxutil.Budget{})(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
		if got != r {
			t.Error("the request was replaced for nothing")
		}
	}))
	direct(h, r)
}
