// SPDX-License-Identifier: Apache-2.0

package health

import (
	"net/http"
	"strconv"
	"time"
)

// HandlerOption changes a handler of a [Set].
type HandlerOption interface{ applyHandler(*handler) }

type handlerOption func(*handler)

func (o handlerOption) applyHandler(h *handler) { o(h) }

// WithErrors shows what failing checks returned, with ?verbose. That may name hosts,
// users and more: it is for handlers that only those who run the process can reach.
func WithErrors() HandlerOption {
	return handlerOption(func(h *handler) { h.errors = true })
}

// handler answers probes.
type handler struct {
	set    *Set
	live   bool // about liveness alone
	errors bool
}

// Livez answers 200 for as long as the process can answer, and 503 if a [Vital]
// goroutine has stopped beating. It neither runs nor shows anything else: restarting
// a process does not mend what it depends on.
func (s *Set) Livez(opts ...HandlerOption) http.Handler {
	return newHandler(handler{set: s, live: true}, opts)
}

// Readyz answers 200 if the process can take requests, otherwise 503:
//
//	{"status":"failing","timestamp":"2026-11-21T09:00:00.5Z","failing":["redis"],"db":"ok","db_ping_ms":12,"redis":"timeout","redis_ping_ms":1000}
//
// The status is "ok" or as in [Status], the timestamp that of the answer in UTC, and for
// each check there is its state and how long its last run took, in milliseconds.
// "failing" names those that keep the process from being ready. With ?verbose, "checks"
// has more of each. What checks returned is not shown; see [WithErrors].
//
// Under a pattern with a wildcard named check, such as "GET /readyz/{check}", it answers
// for that check alone: 200 if it passes, otherwise 503, and 404 if there is none.
//
// The handler runs no check. It takes GET and HEAD, and its answers are not to be
// stored.
func (s *Set) Readyz(opts ...HandlerOption) http.Handler {
	return newHandler(handler{set: s}, opts)
}

// Healthz answers as [Set.Readyz] does, for those who ask by the older name.
func (s *Set) Healthz(opts ...HandlerOption) http.Handler { return s.Readyz(opts...) }

func newHandler(h handler, opts []HandlerOption) http.Handler {
	for _, o := range opts {
		o.applyHandler(&h)
	}
	return &h
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	code, body := h.answer(r.PathValue("check"), r.URL.Query().Has("verbose"))
	text := body.bytes()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if r.Method == http.MethodGet {
		_, _ = w.Write(text) // the prober is gone if this fails
	}
}

// answer returns what to say about the set, or one check of it.
func (h *handler) answer(check string, verbose bool) (int, object) {
	results, status, ok := h.set.Results(), "ok", true
	if h.live {
		if ok = h.set.Alive(); !ok {
			status = StatusFailing.String()
		}
	} else if s := h.set.Status(); s != StatusReady {
		status, ok = s.String(), false
	}
	shown := results[:0]
	for _, r := range results {
		if (!h.live || r.Criticality == Vital) && (check == "" || check == r.Name) {
			shown = append(shown, r)
		}
	}
	if check != "" {
		if len(shown) == 0 {
			return http.StatusNotFound, object{{"status", "unknown"}}
		}
		status, ok = "ok", shown[0].Passing
		if !ok {
			status = StatusFailing.String()
		}
	}
	body := object{{"status", status}, {"timestamp", time.Now().UTC().Format(time.RFC3339Nano)}}
	if !ok && check == "" {
		body = body.with("failing", h.failing(shown))
	}
	body = body.withStates(shown)
	if verbose {
		body = body.with("checks", details(shown, h.errors))
	}
	if !ok {
		return http.StatusServiceUnavailable, body
	}
	return http.StatusOK, body
}

// failing names the checks that are the reason of a bad answer.
func (h *handler) failing(results []Result) []string {
	names := []string{}
	for _, r := range results {
		if h.live && r.State == StateStuck || !h.live && !r.Passing && r.Criticality != Optional {
			names = append(names, r.Name)
		}
	}
	return names
}
