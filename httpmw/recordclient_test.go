// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/codes"

	"github.com/fairlead-go/fairlead/httpmw"
)

// answers is a transport that makes its answers up.
func answers(code int, body io.ReadCloser) http.RoundTripper {
	return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: code, Body: body, ContentLength: -1, Header: http.Header{}, Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
	})
}

// roundTrip sends a request straight through the record, without an http.Client.
func (g *rig) roundTrip(ctx context.Context, rt http.RoundTripper) (*http.Response, error) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop:8080/orders/1", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return httpmw.RecordTransport(g.recorder, "")(rt).RoundTrip(req)
}

// TestBodyEndsTheRecord: a record ends with the response's body, however that is.
func TestBodyEndsTheRecord(t *testing.T) {
	for _, tc := range []struct {
		name    string
		use     func(t *testing.T, resp *http.Response, cancel func())
		reason  any
		outcome any
		bytes   any
	}{
		{"read to its end", func(_ *testing.T, resp *http.Response, _ func()) { _, _ = io.ReadAll(resp.Body) }, nil, nil, 8.0},
		{"closed unread", func(_ *testing.T, resp *http.Response, _ func()) { _ = resp.Body.Close() }, nil, nil, nil},
		{"read in part and closed", func(_ *testing.T, resp *http.Response, _ func()) {
			_, _ = io.ReadFull(resp.Body, make([]byte, 3))
			_ = resp.Body.Close()
		}, nil, nil, 3.0},
		{"closed twice, read after that", func(_ *testing.T, resp *http.Response, _ func()) {
			_ = resp.Body.Close()
			_ = resp.Body.Close()
			_, _ = io.ReadAll(resp.Body)
		}, nil, nil, nil},
		{"read to its end, then canceled", func(_ *testing.T, resp *http.Response, cancel func()) {
			_, _ = io.ReadAll(resp.Body)
			cancel()
			_ = resp.Body.Close()
		}, nil, nil, 8.0},
		{"neither, and canceled", func(_ *testing.T, _ *http.Response, cancel func()) { cancel() }, "canceled", "canceled", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resp, err := g.roundTrip(ctx, answers(200, io.NopCloser(strings.NewReader("response"))))
			if err != nil {
				t.Fatal(err)
			}
			if open := g.seen.Run(t).Spans()[0].End; !open.IsZero() {
				t.Error("the span ended before the body did")
			}
			tc.use(t, resp, cancel)
			wantSpan(t, g.client(), map[string]any{
				"http.response.status_code": int64(200), "error.type": tc.reason, "server.address": "shop", "server.port": int64(8080),
			})
			wantLine(t, g.line(g.client()), map[string]any{
				"http.response.status_code": 200.0, "outcome": tc.outcome, "response_bytes": tc.bytes, "peer": "shop:8080",
			})
		})
	}
}

// TestNoBody: there is nothing to wait for.
func TestNoBody(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"nil": nil, "http.NoBody": http.NoBody} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			resp, err := g.roundTrip(t.Context(), answers(204, body))
			if err != nil || resp.Body != body {
				t.Fatalf("%v, %v", resp, err)
			}
			wantSpan(t, g.client(), map[string]any{"http.response.status_code": int64(204), "error.type": nil})
		})
	}
	for _, code := range []int{http.StatusNoContent, http.StatusNotModified} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			g := newRig(t)
			base, plain := listen(t, g.served(handle("GET /", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })), false)
			resp, err := g.clientOf(plain, "").Get(base)
			if err != nil {
				t.Fatal(err)
			}
			wantSpan(t, g.client(), map[string]any{"http.response.status_code": int64(code)}) // before the body is closed
			_ = resp.Body.Close()
		})
	}
}

// brokenBody breaks off after a few bytes.
type brokenBody struct{ io.Reader }

func (brokenBody) Close() error { return nil }

// TestBodyBreaksOff: the status stays, and the error says that it is not all.
func TestBodyBreaksOff(t *testing.T) {
	g := newRig(t)
	broken := errors.New("connection reset")
	body := brokenBody{io.MultiReader(strings.NewReader("half"), errReader{broken})}
	resp, err := g.roundTrip(t.Context(), answers(200, body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, broken) {
		t.Errorf("read: %v", err)
	}
	if g.client().Status != codes.Error {
		t.Error("the span is no error")
	}
	wantLine(t, g.line(g.client()), map[string]any{
		"http.response.status_code": 200.0, "error.type": "body", "outcome": "transient",
		"error": "reading the body: connection reset", "response_bytes": 4.0,
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestTransportDoesNotReturn: a panic and a Goexit below are recorded, and go on.
func TestTransportDoesNotReturn(t *testing.T) {
	t.Run("panic", func(t *testing.T) {
		g := newRig(t)
		wantPanic(t, "no", func() {
			_, _ = g.roundTrip(t.Context(), roundTripperFunc(func(*http.Request) (*http.Response, error) { panic("no") }))
		})
		wantLine(t, g.line(g.client()), map[string]any{"error.type": "panic", "outcome": "server_fault"})
	})
	t.Run("goexit", func(t *testing.T) {
		g := newRig(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = g.roundTrip(t.Context(), roundTripperFunc(func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil }))
		})
		wg.Wait()
		wantLine(t, g.line(g.client()), map[string]any{"error.type": "panic"})
	})
}

// TestEndsRace: of a body's end, its Close and its context's end, which may come
// at the same time from three goroutines, one ends the record.
func TestEndsRace(t *testing.T) {
	g := newRig(t)
	const calls = 200
	for range calls {
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := g.roundTrip(ctx, answers(200, io.NopCloser(strings.NewReader("response"))))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.ReadAll(resp.Body) })
		wg.Go(func() { _ = resp.Body.Close() })
		wg.Go(cancel)
		wg.Wait()
	}
	if n := g.settle().Logs().With("http client request").Len(); n != calls {
		t.Errorf("%d lines for %d requests", n, calls)
	}
}
