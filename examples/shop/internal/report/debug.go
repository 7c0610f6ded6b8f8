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

// Handler serves the traces of source, GET /traces/{id} for people and GET
// /traces/{id}/json for [Remote], and the news of paper, GET /news. It shows what
// requests carried: keep it on loopback.
func Handler(source Source, paper Newspaper) http.Handler {
	h := debug{source, paper}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /traces/{id}", h.text)
	mux.HandleFunc("GET /traces/{id}/json", h.json)
	mux.HandleFunc("GET /news", h.news)
	return mux
}

type debug struct {
	source Source
	paper  Newspaper
}

func (d debug) news(w http.ResponseWriter, r *http.Request) {
	news, err := d.paper.News(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(news)
}

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

// Remote is the [Recorder] and the [Journal] of another process, served by its
// [Handler].
type Remote struct {
	// Base is the URL of the handler, without a path.
	Base string
	// Client makes the requests; nil is invalid.
	Client *http.Client
}

var (
	_ Source    = Remote{}
	_ Newspaper = Remote{}
)

// Trace implements [Source].
func (r Remote) Trace(ctx context.Context, id string) (*Trace, error) {
	t := &Trace{}
	if err := r.get(ctx, "/traces/"+url.PathEscape(id)+"/json", t); err != nil {
		return nil, err
	}
	return t, nil
}

// News implements [Newspaper].
func (r Remote) News(ctx context.Context) (news News, err error) {
	return news, r.get(ctx, "/news", &news)
}

// get reads what is at path into v. It fails with ErrUnknownTrace if that is
// nothing.
func (r Remote) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Base+path, nil)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return ErrUnknownTrace
	default:
		return fmt.Errorf("report: %s: %s", r.Base, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxTraceBytes)).Decode(v); err != nil {
		return fmt.Errorf("report: %s: %w", r.Base, err)
	}
	return nil
}
