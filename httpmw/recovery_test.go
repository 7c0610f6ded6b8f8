// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"

	"github.com/fairlead-go/fairlead/httpmw"
)

const secret = "s3cret of the database"

// ends are the ways in which a handler does not return.
var ends = map[string]func(http.ResponseWriter){
	"panic before the first byte": func(http.ResponseWriter) { panic(secret) },
	"panic after the first byte": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(secret)
	},
	"panic with an error": func(http.ResponseWriter) { panic(errors.New(secret)) },
	"panic with nil":      func(http.ResponseWriter) { panic(nil) }, //nolint:govet // people do
	"abort":               func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	"abort after the first byte": func(w http.ResponseWriter) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	},
	"goexit":                           func(http.ResponseWriter) { runtime.Goexit() },
	"a hint, and then a panic":         func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints); panic(secret) },
	"panic in the middle of ReadFrom":  func(w http.ResponseWriter) { _, _ = io.Copy(w, panicking{}) },
	"a status net/http does not allow": func(w http.ResponseWriter) { w.WriteHeader(7) },
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic(secret) }

// TestUnreturned: how each end is answered and recorded, with Recovery and
// without.
func TestUnreturned(t *testing.T) {
	const cut = 0 // no answer: the connection is cut
	for _, tc := range []struct {
		end       string
		recovery  bool
		answer    int // the status the peer sees, or cut
		errorType any
		status    any // as recorded
		level     string
		panicked  bool
	}{
		{"panic before the first byte", true, 500, "panic", 500, "ERROR", true},
		{"panic before the first byte", false, cut, "panic", nil, "ERROR", true},
		{"panic after the first byte", true, cut, "panic", 200, "ERROR", true},
		{"panic after the first byte", false, cut, "panic", 200, "ERROR", true},
		{"panic with an error", true, 500, "panic", 500, "ERROR", true},
		{"panic with nil", true, 500, "panic", 500, "ERROR", true},
		{"abort", true, cut, "aborted", nil, "ERROR", false},
		{"abort", false, cut, "aborted", nil, "ERROR", false},
		{"abort after the first byte", true, cut, "aborted", 200, "ERROR", false},
		{"goexit", true, cut, "aborted", nil, "ERROR", false},
		{"goexit", false, cut, "aborted", nil, "ERROR", false},
		{"a hint, and then a panic", true, 500, "panic", 500, "ERROR", true},
		{"panic in the middle of ReadFrom", true, cut, "panic", 200, "ERROR", true},
		{"a status net/http does not allow", true, 500, "panic", 500, "ERROR", true},
	} {
		for proto, http2 := range protocols {
			t.Run(fmt.Sprint(tc.end, ", recovery ", tc.recovery, ", ", proto), func(t *testing.T) {
				g, tc := newRig(t), tc
				if http2 && tc.end == "panic in the middle of ReadFrom" {
					tc.answer, tc.status = 500, 500 // there is no ReadFrom, and nothing was written yet
				}
				mws := []httpmw.Middleware{httpmw.Record(g.recorder)}
				if tc.recovery {
					mws = append(mws, httpmw.Recovery())
				}
				base, plain := listen(t, httpmw.Chain(handle("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) {
					ends[tc.end](w)
				}), mws...), http2)
				answer, text := outcomeOf(t, plain, base+"/orders/1")
				if answer != tc.answer {
					t.Errorf("the peer sees status %d, want %d", answer, tc.answer)
				}
				if strings.Contains(text, "s3cret") || strings.Contains(text, "goroutine") {
					t.Errorf("the peer is told %q", text)
				}

				server := g.server()
				if n, isInt := tc.status.(int); isInt {
					wantSpan(t, server, map[string]any{"http.response.status_code": int64(n)})
				} else {
					wantSpan(t, server, map[string]any{"http.response.status_code": nil})
				}
				wantSpan(t, server, map[string]any{"error.type": tc.errorType, "http.route": "/orders/{id}"})
				if server.Status != codes.Error {
					t.Errorf("span status %v, want error", server.Status)
				}
				wantLine(t, g.line(server), map[string]any{"level": tc.level, "error.type": tc.errorType, "outcome": "server_fault"})
				g.wantPanic(t, tc.panicked)
				if v := g.metrics("http_server_active_requests")[0].GetGauge().GetValue(); v != 0 {
					t.Errorf("%v requests in progress", v)
				}
			})
		}
	}
}

// outcomeOf returns the status and the body the peer sees; 0 if the connection
// was cut before the end.
func outcomeOf(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, string(b)
	}
	return resp.StatusCode, string(b)
}

// wantPanic checks that a panic is on the span, in the line and counted, or none.
func (g *rig) wantPanic(t *testing.T, want bool) {
	t.Helper()
	server := g.server()
	events := 0
	for _, e := range server.Events {
		if e.Name == "exception" {
			events++
		}
	}
	line := g.line(server)
	value, logged := line.Attr("panic")
	stack, _ := line.Attr("stack")
	counted := 0.0
	for _, m := range g.metrics("fairlead_panics_total") {
		counted += m.GetCounter().GetValue()
	}
	if want != (events == 1) || want != logged || want != (counted == 1) {
		t.Errorf("%d events, logged %v (%v), %v counted, want all or none: %v", events, logged, value, counted, want)
	}
	if s, _ := stack.(string); want && !strings.Contains(s, "recovery_test.go") {
		t.Errorf("the stack does not lead to the handler: %s", s)
	}
}

// TestRecoveryAnswers: the options decide what the peer sees of a panic.
func TestRecoveryAnswers(t *testing.T) {
	page := httpmw.HTMLPage(template.Must(template.New("").Parse(`<h1>{{.Status}}</h1><p>{{.TraceID}}</p>`)))
	for _, tc := range []struct {
		name, accept string
		opts         []httpmw.RecoveryOption
		contentType  string
		contains     string
	}{
		{"JSON", "application/json", nil, "application/problem+json", `"status":500`},
		{"nothing said", "", nil, "application/problem+json", `"title":"Internal Server Error"`},
		{"browser", "text/html", nil, "text/plain; charset=utf-8", "500 Internal Server Error"},
		{"browser, own page", "text/html", []httpmw.RecoveryOption{httpmw.WithErrorPage(page)}, "text/html; charset=utf-8", "<h1>500</h1>"},
		{"JSON, own page", "application/json", []httpmw.RecoveryOption{httpmw.WithErrorPage(page)}, "application/problem+json", `"status":500`},
		{"own answer", "text/html", []httpmw.RecoveryOption{
			httpmw.WithErrorPage(page),
			httpmw.WithPanicAnswer(func(w http.ResponseWriter, _ *http.Request, value any) {
				w.Header().Set("Content-Type", "text/x-own")
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprintf(w, "%d bytes", len(fmt.Sprint(value)))
			}),
		}, "text/x-own", fmt.Sprintf("%d bytes", len(secret))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			h := httpmw.Chain(handle("GET /", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "br") // of the answer that is not to be
				panic(secret)
			}), httpmw.Record(g.recorder), httpmw.Recovery(tc.opts...))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tc.accept != "" {
				r.Header.Set("Accept", tc.accept)
			}
			w := direct(h, r)
			if w.Code != 500 || w.Header().Get("Content-Type") != tc.contentType || !strings.Contains(w.Body.String(), tc.contains) {
				t.Errorf("answered %d %s %s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			if tc.name != "own answer" && !strings.Contains(w.Body.String(), g.server().TraceID()) {
				t.Errorf("the answer does not have the trace id: %s", w.Body)
			}
			if strings.Contains(w.Body.String(), "s3cret") {
				t.Errorf("the answer tells %q", w.Body)
			}
		})
	}
}

// TestPanicInThePanicAnswer: it is not recovered twice, and the first value counts.
func TestPanicInThePanicAnswer(t *testing.T) {
	g := newRig(t)
	h := httpmw.Chain(handle("GET /", func(http.ResponseWriter, *http.Request) { panic("first") }),
		httpmw.Record(g.recorder),
		httpmw.Recovery(httpmw.WithPanicAnswer(func(http.ResponseWriter, *http.Request, any) { panic("second") })))
	wantPanic(t, "second", func() { direct(h, httptest.NewRequest(http.MethodGet, "/", nil)) })
	wantLine(t, g.line(g.server()), map[string]any{"panic": "first", "error.type": "panic", "http.response.status_code": nil})
}

// TestRecoveryAlone logs the panic itself.
func TestRecoveryAlone(t *testing.T) {
	var log bytes.Buffer
	h := httpmw.Recovery(httpmw.WithPanicLogger(slog.New(slog.NewTextHandler(&log, nil))))(
		handle("GET /", func(http.ResponseWriter, *http.Request) { panic(secret) }))
	w := direct(h, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "s3cret") {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "recovery_test.go") {
		t.Errorf("logged %s", log.String())
	}
}

var _ httpmw.RecoveryOption = httpmw.ProblemOption(nil)
var _ httpmw.DeadlineOption = httpmw.ProblemOption(nil)
