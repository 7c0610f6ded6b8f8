// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxTraceBytes bounds what is read of another process's answer.
const maxTraceBytes = 8 << 20

// Handler serves the traces of source: GET /traces/{id} for people, and GET
// /traces/{id}/json for [Remote]. It shows what requests carried: keep it on
// loopback.
func Handler(source Source) http.Handler {
	h := debug{source}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /traces/{id}", h.text)
	mux.HandleFunc("GET /traces/{id}/json", h.json)
	return mux
}

type debug struct{ source Source }

func (d debug) text(w http.ResponseWriter, r *http.Request) {
	if t := d.trace(w, r); t != nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, t.Render())
	}
}

func (d debug) json(w http.ResponseWriter, r *http.Request) {
	if t := d.trace(w, r); t != nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(t)
	}
}

// trace returns the trace asked for, or answers that there is none.
func (d debug) trace(w http.ResponseWriter, r *http.Request) *Trace {
	t, err := d.source.Trace(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, ErrUnknownTrace):
		http.Error(w, "nothing is known of this trace, or no longer", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	return t
}

// Remote is the [Recorder] of another process, served by its [Handler].
type Remote struct {
	// Base is the URL of the handler, without a path.
	Base string
	// Client makes the requests; nil is invalid.
	Client *http.Client
}

var _ Source = Remote{}

// Trace implements [Source].
func (r Remote) Trace(ctx context.Context, id string) (*Trace, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Base+"/traces/"+url.PathEscape(id)+"/json", nil)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, ErrUnknownTrace
	default:
		return nil, fmt.Errorf("report: %s: %s", r.Base, resp.Status)
	}
	t := &Trace{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxTraceBytes)).Decode(t); err != nil {
		return nil, fmt.Errorf("report: %s: %w", r.Base, err)
	}
	return t, nil
}
