// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

var soup = httpmw.Reply{Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("soup")}

func newFallback(t testing.TB, reply httpmw.Reply, opts ...fallback.Option) *fallback.Fallback[httpmw.Reply] {
	t.Helper()
	f, err := fallback.New("menu", fallback.Value(reply), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// trip is a transport of a test's.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// watched is a body that says what became of it.
type watched struct {
	io.Reader
	closed int
}

func (w *watched) Close() error { w.closed++; return nil }

// TestFallback: a request that fails, by a server or by a policy of ours, is answered
// by the stand-in, and its record says so.
func TestFallback(t *testing.T) {
	for _, tc := range []struct {
		name string
		code int
		err  error
	}{
		{"429", 429, nil},
		{"500", 500, nil},
		{"503", 503, nil},
		{"the server's limit", 504, nil},
		{"no connection", 0, errors.New("connection refused")},
		{"a refusal of ours", 0, &resilience.RejectedError{Policy: resilience.PolicyBreaker}},
		{"a budget of ours", 0, &ctxutil.BudgetError{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			body := &watched{Reader: strings.NewReader("half an answer")}
			rt := httpmw.ChainTransport(trip(func(r *http.Request) (*http.Response, error) {
				if tc.err != nil {
					return nil, tc.err
				}
				return &http.Response{StatusCode: tc.code, Header: http.Header{}, Body: body, Request: r}, nil
			}), httpmw.RecordTransport(g.recorder, "kitchen"), httpmw.FallbackTransport(newFallback(t, soup)))
			for range 2 { // the reply is not used up
				r := request()
				resp, err := rt.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				want := http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"4"}, "X-Degraded": {"true"}}
				if resp.StatusCode != 200 || resp.Status != "200 OK" || string(text) != "soup" || err != nil || resp.ContentLength != 4 || resp.Request == nil || !cmp.Equal(resp.Header, want) {
					t.Errorf("got %+v, %q, %v", resp, text, err)
				}
				resp.Header.Set("Content-Type", "changed by the caller")
			}
			if tc.err == nil && body.closed != 2 {
				t.Errorf("the body was closed %d times, want once for each request", body.closed)
			}
			for _, l := range g.settle().Logs().All() {
				wantLine(t, l, map[string]any{"http.response.status_code": 200.0, "degraded": "menu", "outcome": nil})
			}
		})
	}
}

// TestFallbackLeavesAlone what is not its business.
func TestFallbackLeavesAlone(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(-time.Second), ctxutil.ErrCallerDeadline)
	defer cancel()
	down := errors.New("connection refused")
	for _, tc := range []struct {
		name string
		ctx  context.Context
		code int
		err  error
		f    *fallback.Fallback[httpmw.Reply]
	}{
		{"success", t.Context(), 200, nil, newFallback(t, soup)},
		{"a redirect", t.Context(), 302, nil, newFallback(t, soup)},
		{"the client's fault", t.Context(), 404, nil, newFallback(t, soup)},
		{"a caller who gave up", gone, 0, context.Canceled, newFallback(t, soup)},
		{"503 for a caller who gave up", gone, 503, nil, newFallback(t, soup)},
		{"the caller's deadline", late, 0, context.DeadlineExceeded, newFallback(t, soup)},
		{"what was not asked for", t.Context(), 503, nil, newFallback(t, soup, fallback.WithOutcomes(resilience.OutcomeOverload))},
		{"an error that was not asked for", t.Context(), 0, down, newFallback(t, soup, fallback.WithOutcomes(resilience.OutcomeOverload))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := &watched{Reader: strings.NewReader("the answer")}
			rt := httpmw.FallbackTransport(tc.f)(trip(func(r *http.Request) (*http.Response, error) {
				if tc.err != nil {
					return nil, tc.err
				}
				return &http.Response{StatusCode: tc.code, Header: http.Header{}, Body: body, Request: r}, nil
			}))
			resp, err := rt.RoundTrip(request().WithContext(tc.ctx))
			if tc.err != nil {
				if err != tc.err { //nolint:errorlint // the very same
					t.Errorf("err = %v, want %v", err, tc.err)
				}
				return
			}
			text, _ := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.code || string(text) != "the answer" || body.closed != 0 || len(resp.Header) != 0 {
				t.Errorf("got %+v, %q, %v", resp, text, err)
			}
		})
	}
}

// TestFallbackKnowsWhy: it is given the refusal that an answer tells of, and an answer
// that it does not stand in for is as it was.
func TestFallbackKnowsWhy(t *testing.T) {
	problem := `{"type":"tag:fairlead-go.github.io,2026:rejected","policy":"breaker","reason":"open"}` + strings.Repeat(" ", 100<<10) + "end"
	for _, tc := range []struct {
		name, body string
		known      bool
	}{
		{"a problem", problem[:200], true},
		{"more than is read", problem, false},
		{"broken", `{"type":`, false},
		{"empty", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got error
			f, err := fallback.New("menu", func(_ context.Context, err error) (httpmw.Reply, error) {
				got = err
				return httpmw.Reply{}, errors.New("no soup")
			})
			if err != nil {
				t.Fatal(err)
			}
			body := &watched{Reader: strings.NewReader(tc.body)}
			resp, err := httpmw.FallbackTransport(f)(trip(func(*http.Request) (*http.Response, error) {
				resp := refusalAnswer(503, "", nil)
				resp.Body = body
				return resp, nil
			})).RoundTrip(request())
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			if string(text) != tc.body || err != nil || body.closed != 0 {
				t.Errorf("the body is %d bytes, %v, want %d", len(text), err, len(tc.body))
			}
			_ = resp.Body.Close()
			if body.closed != 1 {
				t.Errorf("the body was closed %d times", body.closed)
			}
			if e, ok := errors.AsType[*httpmw.StatusError](got); !ok || e.StatusCode != 503 || errors.Is(got, gobreaker.ErrOpenState) != tc.known {
				t.Errorf("given %v", got)
			}
		})
	}
	t.Run("no body", func(t *testing.T) {
		resp, err := httpmw.FallbackTransport(newFallback(t, soup))(trip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 503}, nil
		})).RoundTrip(request())
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}

// TestFallbackThatFails: the error is the request's, and says of the other.
func TestFallbackThatFails(t *testing.T) {
	down, missing := errors.New("connection refused"), errors.New("no soup")
	f, err := fallback.New("menu", func(context.Context, error) (httpmw.Reply, error) { return httpmw.Reply{}, missing })
	if err != nil {
		t.Fatal(err)
	}
	_, err = httpmw.FallbackTransport(f)(trip(func(*http.Request) (*http.Response, error) { return nil, down })).RoundTrip(request())
	if !errors.Is(err, down) || !errors.Is(err, missing) {
		t.Errorf("err = %v, want both", err)
	}
}

// TestReply: what becomes of a Reply.
func TestReply(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reply  httpmw.Reply
		method string
		status string
		length int64
		text   string
	}{
		{"nothing", httpmw.Reply{}, "GET", "200 OK", 0, ""},
		{"a status", httpmw.Reply{Status: 204}, "GET", "204 No Content", 0, ""},
		{"a status without a name", httpmw.Reply{Status: 299}, "GET", "299", 0, ""},
		{"an error", httpmw.Reply{Status: 404, Body: []byte("no")}, "POST", "404 Not Found", 2, "no"},
		{"HEAD", httpmw.Reply{Body: []byte("soup")}, "HEAD", "200 OK", 4, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := httpmw.FallbackTransport(newFallback(t, tc.reply))(trip(func(*http.Request) (*http.Response, error) { return nil, errors.New("x") }))
			resp, err := rt.RoundTrip(httptest.NewRequest(tc.method, "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			if resp.Status != tc.status || resp.ContentLength != tc.length || string(text) != tc.text || resp.Header.Get("X-Degraded") != "true" {
				t.Errorf("got %+v, %q", resp, text)
			}
		})
	}
	for _, code := range []int{-1, 1, 199, 600} {
		for _, inner := range []trip{
			func(*http.Request) (*http.Response, error) { return nil, gobreaker.ErrOpenState },
			func(*http.Request) (*http.Response, error) {
				return refusalAnswer(503, `{"type":"tag:fairlead-go.github.io,2026:rejected","policy":"breaker"}`, nil), nil
			},
		} {
			_, err := httpmw.FallbackTransport(newFallback(t, httpmw.Reply{Status: code}))(inner).RoundTrip(request())
			if err == nil || !strings.Contains(err.Error(), `httpmw: fallback "menu": status `) || !errors.Is(err, gobreaker.ErrOpenState) {
				t.Errorf("status %d: %v", code, err)
			}
		}
	}
}

// TestFallbackByPattern: as a server's mux has it.
func TestFallbackByPattern(t *testing.T) {
	rt := httpmw.FallbackTransport(newFallback(t, soup), "GET /menu/{day}", "POST kitchen/orders/", "/any")(
		trip(func(*http.Request) (*http.Response, error) { return nil, errors.New("down") }))
	for _, tc := range []struct {
		method, url string
		want        bool
	}{
		{"GET", "http://kitchen:8080/menu/monday?x=1", true},
		{"", "http://kitchen/menu/monday", true},
		{"HEAD", "http://kitchen/menu/monday", true},
		{"POST", "http://kitchen/menu/monday", false},
		{"GET", "http://kitchen/menu/", false},
		{"GET", "http://kitchen", false},
		{"POST", "http://kitchen:8080/orders/7", true},
		{"POST", "http://elsewhere/orders/7", false},
		{"DELETE", "http://kitchen/any", true},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tc.method, tc.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Method, r.Host = tc.method, "" // as of requests that are made by hand
		if _, err := rt.RoundTrip(r); (err == nil) != tc.want {
			t.Errorf("%s %s: %v", tc.method, tc.url, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	httpmw.FallbackTransport(newFallback(t, soup), "GET")
}

func TestNilFallback(t *testing.T) {
	wantPanic(t, "httpmw: FallbackTransport: nil fallback", func() { httpmw.FallbackTransport(nil) })
}

// TestDegradedAnswer: a server whose client fell back says so, if that is known when
// the header goes out, and if it answers at all.
func TestDegradedAnswer(t *testing.T) {
	g := newRig(t)
	client := &http.Client{Transport: httpmw.ChainTransport(trip(func(*http.Request) (*http.Response, error) { return nil, errors.New("down") }),
		httpmw.RecordTransport(g.recorder, "kitchen"), httpmw.FallbackTransport(newFallback(t, soup)))}
	ask := func(ctx context.Context) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://kitchen/", nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	}
	for _, tc := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"then says nothing", func(_ http.ResponseWriter, r *http.Request) { ask(r.Context()) }, "true"},
		{"then writes", func(w http.ResponseWriter, r *http.Request) { ask(r.Context()); _, _ = io.WriteString(w, "x") }, "true"},
		{"then writes a status", func(w http.ResponseWriter, r *http.Request) { ask(r.Context()); w.WriteHeader(201) }, "true"},
		{"then flushes", func(w http.ResponseWriter, r *http.Request) {
			ask(r.Context())
			_ = http.NewResponseController(w).Flush()
		}, "true"},
		{"then copies", func(w http.ResponseWriter, r *http.Request) {
			ask(r.Context())
			_, _ = io.Copy(w, strings.NewReader("x"))
		}, "true"},
		{"after a hint", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			ask(r.Context())
			w.WriteHeader(200)
		}, "true"},
		{"on another goroutine", func(w http.ResponseWriter, r *http.Request) {
			var wg sync.WaitGroup
			wg.Go(func() { ask(r.Context()) })
			w.Header().Set("X-Other", "1")
			wg.Wait()
		}, "true"},
		{"by a mark of the handler's", func(_ http.ResponseWriter, r *http.Request) { record.Degrade(r.Context(), "cache") }, "true"},
		{"then fails", func(w http.ResponseWriter, r *http.Request) { ask(r.Context()); w.WriteHeader(500) }, ""},
		{"too late", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "x"); ask(r.Context()) }, ""},
		{"not at all", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, client := listen(t, g.served(tc.h), false)
			if got := get(t, client, url).Header.Get("X-Degraded"); got != tc.want {
				t.Errorf("X-Degraded: %q, want %q", got, tc.want)
			}
		})
	}
}

// TestFallbackOfOurLimit: the stand-in takes the place of a request that our deadline
// ended, while the caller waits.
func TestFallbackOfOurLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit, err := ctxutil.NewBudget(ctxutil.WithMaxTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		rt := httpmw.ChainTransport(trip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), httpmw.FallbackTransport(newFallback(t, soup)), httpmw.DeadlineTransport(limit))
		resp, err := rt.RoundTrip(request())
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}
