// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

func get(t *testing.T, h http.Handler) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	return w.Code, body
}

func TestReadyz(t *testing.T) {
	down := errors.New("connection refused by 10.0.0.7")
	for _, tc := range []struct {
		name  string
		check health.Check
		opts  []health.Option
		code  int
		state string
	}{
		{"ok", func(context.Context) error { return nil }, nil, 200, "ok"},
		{"error", func(context.Context) error { return down }, nil, 503, "error"},
		{"optional error", func(context.Context) error { return down }, []health.Option{health.Optional()}, 200, "error"},
		{"timeout", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, nil, 503, "timeout"},
		{"panic", func(context.Context) error { panic("boom") }, nil, 503, "error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := health.NewSet()
				if err := s.Add("db", tc.check, tc.opts...); err != nil {
					t.Fatal(err)
				}
				code, body := get(t, s.Readyz())
				if code != tc.code || body["db"] != tc.state {
					t.Errorf("got %d, db %v; want %d, %v", code, body["db"], tc.code, tc.state)
				}
				if tc.state == "timeout" && body["db_ping_ms"] != 1000.0 {
					t.Errorf("db_ping_ms = %v, want 1000", body["db_ping_ms"])
				}
				if text := fmt.Sprint(body); strings.Contains(text, "10.0.0.7") || strings.Contains(text, "boom") {
					t.Errorf("the body tells what the check said: %s", text)
				}
			})
		})
	}
}

func TestResultIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		s := health.NewSet()
		if err := s.Add("db", func(context.Context) error { runs++; return nil }, health.WithMaxAge(5*time.Second)); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			s.Ready(t.Context())
		}
		if runs != 1 {
			t.Errorf("%d runs for 100 probes, want 1", runs)
		}
		time.Sleep(5 * time.Second)
		s.Ready(t.Context())
		if runs != 2 {
			t.Errorf("%d runs after the result was too old, want 2", runs)
		}
	})
}

func TestStop(t *testing.T) {
	s := health.NewSet()
	s.Stop()
	if code, _ := get(t, s.Readyz()); code != 503 {
		t.Errorf("readyz of a stopping process: %d, want 503", code)
	}
	if code, _ := get(t, s.Livez()); code != 200 {
		t.Errorf("livez of a stopping process: %d, want 200", code)
	}
}

func TestAddRefuses(t *testing.T) {
	s := health.NewSet()
	ok := func(context.Context) error { return nil }
	if err := s.Add("db", ok); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		check health.Check
		opt   health.Option
		want  string
	}{
		{"db", ok, nil, "already"},
		{"status", ok, nil, "reserved"},
		{"", ok, nil, "empty"},
		{"x", nil, nil, "nil check"},
		{"x", ok, health.WithTimeout(0), "WithTimeout: 0s is not positive"},
		{"x", ok, health.WithMaxAge(-1), "WithMaxAge: -1ns is not positive"},
	} {
		var opts []health.Option
		if tc.opt != nil {
			opts = append(opts, tc.opt)
		}
		if err := s.Add(tc.name, tc.check, opts...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Add(%q) = %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}

func ExampleSet() {
	s := health.NewSet()
	_ = s.Add("db", func(context.Context) error { return nil })
	_ = s.Add("redis", func(context.Context) error { return errors.New("no route") }, health.Optional())
	for _, r := range s.Results(context.Background()) {
		fmt.Println(r.Name, r.State)
	}
	fmt.Println("ready:", s.Ready(context.Background()))
	// Output:
	// db ok
	// redis error
	// ready: true
}
