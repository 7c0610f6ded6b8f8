// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/record"
)

// Route returns mux as a handler that notes the pattern a request matched, for
// chains in which a middleware between [Record] and the mux replaces the
// request: the pattern is then set on a request that Record never sees. It goes
// directly around the mux. Where it is not needed it does no harm.
func Route(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer noteRoute(r, "")
		mux.ServeHTTP(w, r)
	})
}

// Mount returns mux, whose patterns begin below prefix, as a handler for the
// whole: it strips prefix off the path as [http.StripPrefix] does, and puts it
// in front of the route that the record gets. prefix is part of the program,
// such as "/api", and not of a request:
//
//	mux.Handle("/api/", httpmw.Mount("/api", api)) // "GET /users/{id}" is the route /api/users/{id}
//
// With StripPrefix alone all of them would be the route /api/. A request that
// mux does not know is that.
func Mount(prefix string, mux http.Handler) http.Handler {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return Route(mux)
	}
	return http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = "" // the outer mux's: the request is a copy, made with it
		defer noteRoute(r, prefix)
		mux.ServeHTTP(w, r)
	}))
}

// noteRoute is deferred, because a handler may panic after it was matched. What
// a mux further in has noted goes before the pattern of this one.
func noteRoute(r *http.Request, prefix string) {
	call := record.FromContext(r.Context())
	if call == nil {
		return
	}
	if route := cmp.Or(call.Route(), r.Pattern); route != "" {
		call.SetRoute(prefix + semconv.HTTPRoute(route))
	}
}
