// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/logging"
)

// payloadLines returns what PayloadLog wrote, by direction, without what any
// line has.
func payloadLines(t *testing.T, log *bytes.Buffer) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if m["msg"] != httpmw.MessagePayload || m["level"] != "DEBUG" || m["http.request.method"] == nil || m["url.path"] != "/login" {
			t.Errorf("line %s", line)
		}
		direction := m["direction"].(string)
		for _, k := range []string{"time", "level", "msg", "http.request.method", "url.path", "side", "direction"} {
			delete(m, k)
		}
		out[direction] = m
	}
	return out
}

// debugLog is a logger without any redaction of its own.
func debugLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestPayloadLog(t *testing.T) {
	long := strings.Repeat("x", httpmw.DefaultMaxPayloadBytes)
	own, err := logging.NewRedactor(logging.WithRedactedKeys("pet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name              string
		opts              []httpmw.PayloadOption
		contentType, body string
		encoding          string
		want              map[string]any // besides content_type
	}{
		{name: "JSON", contentType: "application/json", body: `{"user":"ada","password":"s3cret","n":12345678901234567890,"in":{"api_key":"s3cret","list":[{"token":"s3cret","ok":true}]}}`,
			want: map[string]any{"bytes": 123.0, "payload": map[string]any{
				"user": "ada", "password": "[REDACTED]", "n": 12345678901234567890.0,
				"in": map[string]any{"api_key": "[REDACTED]", "list": []any{map[string]any{"token": "[REDACTED]", "ok": true}}},
			}}},
		{name: "a kind of JSON", contentType: "application/problem+json; charset=utf-8", body: `[1,"two"]`,
			want: map[string]any{"bytes": 9.0, "payload": []any{1.0, "two"}}},
		{name: "empty object", contentType: "application/json", body: `{}`, want: map[string]any{"bytes": 2.0, "payload": map[string]any{}}},
		{name: "not JSON after all", contentType: "application/json", body: `{"password":"s3cret"`,
			want: map[string]any{"bytes": 20.0, "payload_error": "not JSON"}},
		{name: "two values", contentType: "application/json", body: `{"a":1}{"password":"s3cret"}`,
			want: map[string]any{"bytes": 28.0, "payload_error": "not JSON"}},
		{name: "long JSON", contentType: "application/json", body: `{"a":"` + long + `"}`,
			want: map[string]any{"bytes": 4104.0, "truncated": true}},
		{name: "text", contentType: "text/plain; charset=utf-8", body: "hello\xff", want: map[string]any{"bytes": 6.0, "payload": "hello\uFFFD"}},
		{name: "long text", contentType: "text/plain", body: long + "y", want: map[string]any{"bytes": 4097.0, "payload": long, "truncated": true}},
		{name: "JSON that says it is text", contentType: "text/plain", body: ` {"password":"s3cret"}`,
			want: map[string]any{"bytes": 22.0, "payload": map[string]any{"password": "[REDACTED]"}}},
		{name: "long JSON that says it is text", contentType: "text/plain", body: `{"password":"s3cret","a":"` + long + `"}`,
			want: map[string]any{"bytes": 4124.0, "truncated": true}},
		{name: "almost JSON that says it is text", contentType: "text/plain", body: `{"password":"s3cret",}`,
			want: map[string]any{"bytes": 22.0, "payload_error": "not JSON"}},
		{name: "form", contentType: "application/x-www-form-urlencoded", body: "user=ada&password=s3cret",
			want: map[string]any{"bytes": 24.0, "payload": "user=ada&password=REDACTED"}},
		{name: "bytes", contentType: "application/octet-stream", body: "s3cret", want: map[string]any{"bytes": 6.0}},
		{name: "compressed", contentType: "text/plain", encoding: "gzip", body: "s3cret", want: map[string]any{"bytes": 6.0}},
		{name: "malformed type", contentType: "text/ plain;;", body: "s3cret", want: map[string]any{"bytes": 6.0}},
		{name: "nothing", contentType: "application/json", want: map[string]any{"bytes": 0.0}},
		{name: "own redactor", opts: []httpmw.PayloadOption{httpmw.WithPayloadRedactor(own)}, contentType: "application/json", body: `{"pet":"s3cret","user":"ada"}`,
			want: map[string]any{"bytes": 29.0, "payload": map[string]any{"pet": "[REDACTED]", "user": "ada"}}},
		{name: "own limit", opts: []httpmw.PayloadOption{httpmw.WithMaxPayloadBytes(3)}, contentType: "text/plain", body: "hello",
			want: map[string]any{"bytes": 5.0, "payload": "hel", "truncated": true}},
		{name: "no limit left", opts: []httpmw.PayloadOption{httpmw.WithMaxPayloadBytes(0)}, contentType: "text/plain", body: "s3cret",
			want: map[string]any{"bytes": 6.0, "truncated": true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := map[string]map[string]any{"received": tc.want, "sent": tc.want}
			if tc.contentType != "" {
				tc.want["content_type"] = tc.contentType
			}
			header := http.Header{}
			for k, v := range map[string]string{"Content-Type": tc.contentType, "Content-Encoding": tc.encoding} {
				if v != "" {
					header.Set(k, v)
				}
			}
			var served, sent bytes.Buffer
			h := httpmw.PayloadLog(debugLog(&served), tc.opts...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for k := range header {
					w.Header().Set(k, header.Get(k))
				}
				if _, err := io.Copy(w, r.Body); err != nil {
					t.Error(err)
				}
			}))
			rt := httpmw.PayloadLogTransport(debugLog(&sent), tc.opts...)(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				r = r.Clone(r.Context())
				return direct(h, r).Result(), nil
			}))
			r := httptest.NewRequest(http.MethodPost, "http://shop/login", strings.NewReader(tc.body))
			r.Header = header
			resp, err := rt.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := io.ReadAll(resp.Body); string(got) != tc.body {
				t.Errorf("the body became %q", got)
			}
			for side, log := range map[string]*bytes.Buffer{"server": &served, "client": &sent} {
				if strings.Contains(log.String(), "s3cret") || !strings.Contains(log.String(), `"side":"`+side+`"`) {
					t.Errorf("%s logged %s", side, log)
				}
				if diff := cmp.Diff(want, payloadLines(t, log)); diff != "" {
					t.Errorf("%s logged (-want +got):\n%s", side, diff)
				}
			}
		})
	}
}

// TestPayloadLogIsOff unless debug lines of the request are logged, and then has
// the request's ids.
func TestPayloadLogIsOff(t *testing.T) {
	g := newRig(t)
	logger := slog.New(logging.NewHandler(g.seen.LogHandler("test"), logging.WithLevel(slog.LevelInfo)))
	debug := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Debug") != "" {
				ctxutil.SetLevel(r.Context(), slog.LevelDebug)
			}
			next.ServeHTTP(w, r)
		})
	}
	h := httpmw.Chain(handle("POST /login", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
		httpmw.Record(g.recorder), debug, httpmw.PayloadLog(logger))
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader("x"))
	direct(h, r)
	if n := g.settle().Logs().With(httpmw.MessagePayload).Len(); n != 0 {
		t.Errorf("%d lines at info level", n)
	}
	r = httptest.NewRequest(http.MethodPost, "/login", strings.NewReader("x"))
	r.Header.Set("X-Debug", "1")
	direct(h, r)
	lines := g.settle().Logs().With(httpmw.MessagePayload).All()
	if len(lines) != 2 || lines[0].TraceID == "" || lines[0].Span().Name != "POST /login" {
		t.Errorf("lines %v", lines)
	}
}

// TestPayloadLogHoldsNothingBack: answers stream, files take the short way,
// connections can be taken over, and panics go on.
func TestPayloadLogHoldsNothingBack(t *testing.T) {
	chain := func(h http.HandlerFunc) http.Handler { return httpmw.PayloadLog(debugLog(io.Discard))(h) }
	t.Run("stream", func(t *testing.T) {
		proceed := make(chan struct{})
		base, client := listen(t, chain(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			<-proceed
		}), false)
		client.Transport = httpmw.PayloadLogTransport(debugLog(io.Discard))(client.Transport)
		resp, err := client.Get(base)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "data: 1\n" {
			t.Errorf("read %q, %v", line, err)
		}
		close(proceed)
	})
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file.bin")
		if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		short, h := false, chain(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
		base, client := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(readerFrom{w, &short}, r) }), false)
		if resp := get(t, client, base); len(resp.text) != 1<<20 || !short {
			t.Errorf("%d bytes, by the short way: %v", len(resp.text), short)
		}
	})
	t.Run("hijack", func(t *testing.T) {
		base, client := listen(t, chain(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}), false)
		if resp := get(t, client, base); resp.StatusCode != http.StatusNoContent {
			t.Errorf("answered %s", resp.Status)
		}
	})
	t.Run("panic", func(t *testing.T) {
		var log bytes.Buffer
		h := httpmw.PayloadLog(debugLog(&log))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("no") }))
		wantPanic(t, "no", func() { direct(h, httptest.NewRequest(http.MethodGet, "/login", nil)) })
		if len(payloadLines(t, &log)) != 2 {
			t.Errorf("logged %s", log.String())
		}
	})
	t.Run("route", func(t *testing.T) {
		g := newRig(t)
		direct(httpmw.Chain(handle("GET /login", ok), httpmw.Record(g.recorder), httpmw.PayloadLog(debugLog(io.Discard))), httptest.NewRequest(http.MethodGet, "/login", nil))
		wantSpan(t, g.server(), map[string]any{"http.route": "/login"})
	})
}

// TestPayloadLogOfFailure: what was sent in vain is logged.
func TestPayloadLogOfFailure(t *testing.T) {
	var log bytes.Buffer
	rt := httpmw.PayloadLogTransport(debugLog(&log))(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		return nil, io.ErrUnexpectedEOF
	}))
	r := httptest.NewRequest(http.MethodPost, "http://shop/login", strings.NewReader("hello"))
	r.Header.Set("Content-Type", "text/plain")
	if _, err := rt.RoundTrip(r); err != io.ErrUnexpectedEOF {
		t.Errorf("err = %v", err)
	}
	want := map[string]map[string]any{"sent": {"content_type": "text/plain", "bytes": 5.0, "payload": "hello"}}
	if diff := cmp.Diff(want, payloadLines(t, &log)); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}

func TestPayloadLogNeedsALogger(t *testing.T) {
	wantPanic(t, "httpmw: PayloadLog: nil logger", func() { httpmw.PayloadLog(nil) })
	wantPanic(t, "httpmw: PayloadLogTransport: nil logger", func() { httpmw.PayloadLogTransport(nil) })
}
