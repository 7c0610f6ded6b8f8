// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
)

func ok(http.ResponseWriter, *http.Request) {}

// replacing is a middleware that hands down another request, as most do.
func replacing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		type key struct{}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}

// mounted is a mux under /api whose own patterns do not know of that.
func mounted(mount func(prefix string, h http.Handler) http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/api/", mount("/api", handle("GET /users/{id}", ok)))
	return mux
}

func TestRoute(t *testing.T) {
	budget, err := ctxutil.NewBudget(ctxutil.WithMaxTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	sub := http.NewServeMux()
	sub.Handle("/api/", handle("GET /api/users/{id}", ok)) // not stripped: the same request goes on

	deep := http.NewServeMux()
	deep.Handle("/v1/", httpmw.Mount("/v1/", mounted(httpmw.Mount)))

	for _, tc := range []struct {
		name         string
		handler      http.Handler
		method, path string
		status       int
		route        string // "" is none
	}{
		{"pattern with method", handle("GET /users/{id}", ok), "GET", "/users/1", 200, "/users/{id}"},
		{"pattern without method", handle("/users/{id}", ok), "PUT", "/users/1", 200, "/users/{id}"},
		{"pattern with host", handle("GET example.com/users/{id}", ok), "GET", "/users/1", 200, "/users/{id}"},
		{"subtree", handle("/files/", ok), "GET", "/files/a/b/c", 200, "/files/"},
		{"rest of the path", handle("GET /files/{path...}", ok), "GET", "/files/a/b/c", 200, "/files/{path...}"},
		{"redirect to the clean path", handle("GET /users/", ok), "GET", "/users", 307, "/users/"},
		{"nothing matched", handle("GET /users/{id}", ok), "GET", "/elsewhere", 404, ""},
		{"wrong method", handle("GET /users/{id}", ok), "POST", "/users/1", 405, ""},
		{"no mux", http.HandlerFunc(ok), "GET", "/users/1", 200, ""},
		{"request replaced", replacing(handle("GET /users/{id}", ok)), "GET", "/users/1", 200, ""},
		{"request replaced, Route", replacing(httpmw.Route(handle("GET /users/{id}", ok))), "GET", "/users/1", 200, "/users/{id}"},
		{"deadline", httpmw.Deadline(budget)(handle("GET /users/{id}", ok)), "GET", "/users/1", 200, "/users/{id}"},
		{"sub mux", sub, "GET", "/api/users/1", 200, "/api/users/{id}"},
		{"mux below a mux and a deadline", handle("/", func(w http.ResponseWriter, r *http.Request) {
			httpmw.Deadline(budget)(handle("GET /users/{id}", ok)).ServeHTTP(w, r)
		}), "GET", "/users/1", 200, "/users/{id}"},
		{"StripPrefix", mounted(http.StripPrefix), "GET", "/api/users/1", 200, "/api/"},
		{"Mount", mounted(httpmw.Mount), "GET", "/api/users/1", 200, "/api/users/{id}"},
		{"Mount, Route outside", replacing(httpmw.Route(mounted(httpmw.Mount))), "GET", "/api/users/1", 200, "/api/users/{id}"},
		{"Mount in Mount", deep, "GET", "/v1/api/users/1", 200, "/v1/api/users/{id}"},
		{"Mount, nothing matched", mounted(httpmw.Mount), "GET", "/api/elsewhere", 404, "/api/"},
		{"Mount without a mux", mounted(func(string, http.Handler) http.Handler {
			return httpmw.Mount("/api", http.HandlerFunc(ok))
		}), "GET", "/api/elsewhere", 200, "/api/"},
		{"Mount at the root", httpmw.Mount("/", handle("GET /users/{id}", ok)), "GET", "/users/1", 200, "/users/{id}"},
		{"panic", handle("GET /users/{id}", func(http.ResponseWriter, *http.Request) { panic("no") }), "GET", "/users/1", 500, "/users/{id}"},
		{"panic, Route", replacing(httpmw.Route(handle("GET /users/{id}", func(http.ResponseWriter, *http.Request) { panic("no") }))), "GET", "/users/1", 500, "/users/{id}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			w := direct(g.served(tc.handler), httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			server := g.server()
			name, route := tc.method, any(nil)
			if tc.route != "" {
				name, route = tc.method+" "+tc.route, tc.route
			}
			if server.Name != name {
				t.Errorf("span %q, want %q", server.Name, name)
			}
			wantSpan(t, server, map[string]any{"http.route": route, "url.path": tc.path})
			wantLine(t, g.line(server), map[string]any{"http.route": route, "url.path": tc.path})
		})
	}
}

// TestRouteWithoutRecord: they are harmless where nobody records.
func TestRouteWithoutRecord(t *testing.T) {
	h := httpmw.Route(mounted(httpmw.Mount))
	if w := direct(h, httptest.NewRequest(http.MethodGet, "/api/users/1", nil)); w.Code != http.StatusOK {
		t.Errorf("status %d, want 200", w.Code)
	}
}
