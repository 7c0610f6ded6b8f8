// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/logging"
)

const (
	testTrace = "0af7651916cd43dd8448eb211c80319c"
	testSpan  = "b7ad6b7169203331"
)

func spanContext(t testing.TB, traceID, spanID string) trace.SpanContext {
	t.Helper()
	tid, err := trace.TraceIDFromHex(traceID)
	if err != nil {
		t.Fatal(err)
	}
	sid, err := trace.SpanIDFromHex(spanID)
	if err != nil {
		t.Fatal(err)
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid})
}

// newRequest returns the context of a request with the ids above.
func newRequest(t testing.TB) *scope.Scope {
	t.Helper()
	ctx := trace.ContextWithSpanContext(context.Background(), spanContext(t, testTrace, testSpan))
	s := new(scope.Scope)
	s.Init(ctx, trace.SpanFromContext(ctx))
	return s
}

// noTime drops the time, which no test can know.
func noTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.Attr{}
	}
	return a
}

func newJSON(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: noTime})
}

func newText(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: noTime})
}

// line returns the one line that log writes as JSON.
func line(t testing.TB, log func(*slog.Logger), opts ...logging.Option) string {
	t.Helper()
	var buf bytes.Buffer
	log(slog.New(logging.NewHandler(newJSON(&buf), opts...)))
	s := strings.TrimSuffix(buf.String(), "\n")
	if strings.Contains(s, "\n") {
		t.Fatalf("got several lines:\n%s", s)
	}
	return s
}

// parse returns a JSON line as a map.
func parse(t testing.TB, line string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return m
}

// noDuplicates fails if an object in the JSON line has a key twice.
func noDuplicates(t testing.TB, line string) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(line))
	var value func(path string)
	value = func(path string) {
		tok, err := dec.Token()
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		switch tok {
		case json.Delim('{'):
			seen := map[string]bool{}
			for dec.More() {
				tok, err := dec.Token()
				if err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				key := tok.(string)
				if seen[key] {
					t.Errorf("key %q is there twice in %s", path+key, line)
				}
				seen[key] = true
				value(path + key + ".")
			}
			_, _ = dec.Token()
		case json.Delim('['):
			for dec.More() {
				value(path + "[].")
			}
			_, _ = dec.Token()
		}
	}
	value("")
}

// inRequest passes every record on in the context of a request.
type inRequest struct {
	slog.Handler
	ctx context.Context
}

func (h inRequest) Handle(_ context.Context, r slog.Record) error {
	return h.Handler.Handle(h.ctx, r)
}

func (h inRequest) WithAttrs(attrs []slog.Attr) slog.Handler {
	return inRequest{h.Handler.WithAttrs(attrs), h.ctx}
}

func (h inRequest) WithGroup(name string) slog.Handler {
	return inRequest{h.Handler.WithGroup(name), h.ctx}
}
