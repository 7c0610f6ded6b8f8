// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/health"
)

func get(t testing.TB, h http.Handler, target string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
		t.Errorf("%s: Content-Length %s of %d bytes", target, got, w.Body.Len())
	}
	return w.Code, w.Body.String()
}

// started returns a set with one check of each kind, five seconds after its start.
func started(t *testing.T) *health.Set {
	t.Helper()
	s := exact(t, health.WithDamping(1, 1))
	add(t, s, "db", func(context.Context) error { time.Sleep(12 * ms); return nil })
	add(t, s, "redis", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	add(t, s, "cache", func(context.Context) error { time.Sleep(1500 * time.Microsecond); return errDown }, health.Optional)
	b, err := s.Watch("consumer", 4*sec)
	if err != nil {
		t.Fatal(err)
	}
	b.Pause()
	s.Start()
	time.Sleep(4 * sec)
	return s
}

// TestBody holds the form of the body: others parse it.
func TestBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t)
		mux := http.NewServeMux()
		mux.Handle("GET /livez", s.Livez())
		mux.Handle("GET /readyz", s.Readyz())
		mux.Handle("GET /readyz/{check}", s.Readyz())
		mux.Handle("GET /healthz", s.Healthz(health.WithErrors()))
		const ready = `{"status":"starting","timestamp":"2000-01-01T00:00:04Z","failing":["redis"],"db":"ok","db_ping_ms":12,"redis":"timeout","redis_ping_ms":1000,"cache":"error","cache_ping_ms":1.5,"consumer":"ok"`
		for _, tc := range []struct {
			target string
			code   int
			body   string
		}{
			{"/livez", 200, `{"status":"ok","timestamp":"2000-01-01T00:00:04Z"}`},
			{"/readyz", 503, ready + "}"},
			{"/healthz", 503, ready + "}"},
			{"/readyz?verbose", 503, ready + `,"checks":{` +
				`"db":{"state":"ok","passing":true,"criticality":"critical","failures":0,"since":"2000-01-01T00:00:00.012Z","checked":"2000-01-01T00:00:00.012Z","ping_ms":12},` +
				`"redis":{"state":"timeout","passing":false,"criticality":"critical","failures":1,"since":"2000-01-01T00:00:01.01Z","checked":"2000-01-01T00:00:01.01Z","ping_ms":1000},` +
				`"cache":{"state":"error","passing":false,"criticality":"optional","failures":1,"since":"2000-01-01T00:00:00.0215Z","checked":"2000-01-01T00:00:00.0215Z","ping_ms":1.5},` +
				`"consumer":{"state":"ok","passing":true,"criticality":"critical","failures":0,"since":"2000-01-01T00:00:01.03Z","checked":"2000-01-01T00:00:03.03Z"}}}`},
			{"/readyz/db", 200, `{"status":"ok","timestamp":"2000-01-01T00:00:04Z","db":"ok","db_ping_ms":12}`},
			{"/readyz/redis", 503, `{"status":"failing","timestamp":"2000-01-01T00:00:04Z","redis":"timeout","redis_ping_ms":1000}`},
			{"/readyz/cache", 503, `{"status":"failing","timestamp":"2000-01-01T00:00:04Z","cache":"error","cache_ping_ms":1.5}`},
			{"/readyz/nothing", 404, `{"status":"unknown"}`},
		} {
			code, body := get(t, mux, tc.target)
			if diff := cmp.Diff(tc.body+"\n", body); code != tc.code || diff != "" {
				t.Errorf("%s: %d, want %d; body (-want +got):\n%s", tc.target, code, tc.code, diff)
			}
		}
		_, body := get(t, mux, "/healthz?verbose")
		if !strings.Contains(body, `"error":"connection refused by 10.0.0.7"`) {
			t.Errorf("with errors: %s", body)
		}
		s.Stop()
		if code, body := get(t, mux, "/readyz/db"); code != 200 {
			t.Errorf("a check of a process that drains: %d %s", code, body)
		}
		if code, body := get(t, mux, "/readyz"); code != 503 || !strings.Contains(body, `"status":"draining"`) {
			t.Errorf("draining: %d %s", code, body)
		}
	})
}

func TestHeadersAndMethods(t *testing.T) {
	s := exact(t)
	s.Start()
	for method, code := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405, "OPTIONS": 405} {
		for name, h := range map[string]http.Handler{"livez": s.Livez(), "readyz": s.Readyz(), "healthz": s.Healthz()} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
			if w.Code != code || (w.Body.Len() > 0) != (method == "GET") {
				t.Errorf("%s %s: %d with %d bytes, want %d", method, name, w.Code, w.Body.Len(), code)
			}
			if code == 405 {
				if got := w.Header().Get("Allow"); got != "GET, HEAD" {
					t.Errorf("%s %s: Allow %q", method, name, got)
				}
				continue
			}
			want := http.Header{
				"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
				"Content-Length": w.Header()["Content-Length"],
			}
			if diff := cmp.Diff(want, w.Header()); diff != "" {
				t.Errorf("%s %s: headers (-want +got):\n%s", method, name, diff)
			}
		}
	}
}

// FuzzReadyz: whatever a prober asks, it gets JSON with nothing in it that it brought
// along, and nothing that a check said.
func FuzzReadyz(f *testing.F) {
	f.Add("/readyz", "verbose")
	f.Add("/readyz/db", "verbose=1&verbose=2;x")
	f.Add("/readyz/%00", "%zz&&==&verbose%")
	f.Add("/readyz/\"}<script>", "check=db&error=1")
	f.Add("/readyz/..%2fdb", "VERBOSE")
	s := exact(f)
	add(f, s, "db", passes)
	add(f, s, "redis", func(context.Context) error { return errDown })
	s.Start()
	if err := s.Ready(canceled()); err == nil {
		f.Fatal("ready without redis")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path, r.URL.RawQuery = path, query
		check, _ := strings.CutPrefix(path, "/readyz/")
		r.SetPathValue("check", check)
		w := httptest.NewRecorder()
		s.Readyz().ServeHTTP(w, r)
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%q: %v", w.Body, err)
		}
		allowed := map[string]bool{"status": true, "timestamp": true, "failing": true, "checks": true, "db": true, "db_ping_ms": true, "redis": true, "redis_ping_ms": true}
		for key := range body {
			if !allowed[key] {
				t.Errorf("key %q in %s", key, w.Body)
			}
		}
		if strings.Contains(w.Body.String(), "10.0.0.7") {
			t.Errorf("what a check said: %s", w.Body)
		}
		known := check == "" || check == "db" || check == "redis"
		if (w.Code == http.StatusNotFound) == known {
			t.Errorf("%q: %d", check, w.Code)
		}
		if w.Body.Len() > 2000 {
			t.Errorf("%d bytes", w.Body.Len())
		}
	})
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
