// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

var (
	rpcOK       = record.NewRPCStatus(true, 0, resilience.OutcomeOK)
	rpcInternal = record.NewRPCStatus(true, 13, resilience.OutcomeServerFault)
)

// bench is a Recorder and what it writes.
type bench struct {
	*record.Recorder
	spans    *tracetest.SpanRecorder
	registry *prometheus.Registry
	log      bytes.Buffer
}

func newBench(t *testing.T, opts ...record.Option) *bench {
	t.Helper()
	b := &bench{spans: tracetest.NewSpanRecorder(), registry: prometheus.NewRegistry()}
	set, err := metrics.New(b.registry)
	if err != nil {
		t.Fatal(err)
	}
	b.Recorder, err = record.New(append([]record.Option{
		record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans))),
		record.WithMetrics(set),
		record.WithLogger(slog.New(slog.NewJSONHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines returns what was logged.
func (b *bench) lines(t *testing.T) []map[string]any {
	t.Helper()
	var out []map[string]any
	for text := range strings.Lines(b.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// observations counts those of a histogram, over all its series.
func (b *bench) observations(t *testing.T, name string) (series int, n uint64) {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			series++
			n += m.GetHistogram().GetSampleCount()
		}
	}
	return series, n
}

// TestFirstFinishCounts, whoever comes second, and however close.
func TestFirstFinishCounts(t *testing.T) {
	b := newBench(t)
	for range 100 {
		call := b.StartRPCServer(t.Context(), b.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
		if call.Duration() != 0 {
			t.Errorf("a call under way took %v", call.Duration())
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { call.FinishRPC(rpcOK, "") })
			wg.Go(func() { call.FinishRPC(rpcInternal, "broken") })
		}
		wg.Wait()
	}
	_, n := b.observations(t, "rpc_server_call_duration_seconds")
	if spans, lines := len(b.spans.Ended()), len(b.lines(t)); n != 100 || spans != 100 || lines != 100 {
		t.Errorf("100 calls: %d observations, %d spans, %d lines", n, spans, lines)
	}
	for i, s := range b.spans.Ended() {
		failed := s.Status().Description == "broken"
		if line := b.lines(t)[i]; (line["rpc.response.status_code"] == "INTERNAL") != failed || (line["level"] == "ERROR") != failed || (line["outcome"] != nil) != failed {
			t.Fatalf("the span failed: %v, and the line says %v", failed, line)
		}
	}
}

// TestRPCTargets: a client's server is what was dialled.
func TestRPCTargets(t *testing.T) {
	for target, want := range map[string][2]string{
		"inventory":                        {"inventory", ""},
		"inventory:443":                    {"inventory", "443"},
		"dns:///inventory:443":             {"inventory", "443"},
		"dns://8.8.8.8/inventory:443":      {"inventory", "443"},
		"passthrough:///10.1.2.3:80":       {"10.1.2.3", "80"},
		"passthrough:///[::1]:80":          {"::1", "80"},
		"consul://agent/inventory?ns=prod": {"inventory", ""},
		"unix:///run/inventory.sock":       {"/run/inventory.sock", ""},
		"dns:inventory:443":                {"inventory", "443"},
		"unix:run/inventory.sock":          {"run/inventory.sock", ""},
		"unix-abstract:inventory":          {"inventory", ""},
	} {
		t.Run(target, func(t *testing.T) {
			b := newBench(t)
			call := b.StartRPCClient(t.Context(), b.RPCClientMethod("/a.B/C", target, metrics.Unary))
			call.FinishRPC(rpcOK, "")
			attrs := map[attribute.Key]string{}
			for _, kv := range b.spans.Ended()[0].Attributes() {
				attrs[kv.Key] = kv.Value.Emit()
			}
			if got := [2]string{attrs["server.address"], attrs["server.port"]}; got != want {
				t.Errorf("server %q, want %q", got, want)
			}
		})
	}
}

// TestMethodsPastTheLimit share a name and a series, but each call is still
// told, or not, to the host that it goes to.
func TestMethodsPastTheLimit(t *testing.T) {
	b := newBench(t)
	for i := range 1500 {
		call := b.StartRPCClient(t.Context(), b.RPCClientMethod(fmt.Sprintf("/a.B/M%d", i), "inventory", metrics.Unary))
		call.FinishRPC(rpcOK, "")
	}
	spans := b.spans.Ended()
	if spans[0].Name() != "a.B/M0" || spans[1499].Name() != "_OTHER" {
		t.Errorf("spans %q and %q, want the first by its name and the last as _OTHER", spans[0].Name(), spans[1499].Name())
	}
	series, n := b.observations(t, "rpc_client_call_duration_seconds")
	if series > 1001 || n != 1500 {
		t.Errorf("%d series with %d observations, want at most 1001 with 1500", series, n)
	}
	for target, told := range map[string]bool{"inventory": true, "api.example.com": false} {
		call := b.StartRPCClient(t.Context(), b.RPCClientMethod("/a.B/New", target, metrics.Unary))
		if got := call.Outgoing().Traceparent != ""; got != told {
			t.Errorf("%s was told: %v, want %v", target, got, told)
		}
	}
}

// TestQuiet: success of what is asked all the time is worth a line at debug
// level only; its failure is as loud as any.
func TestQuiet(t *testing.T) {
	for _, tc := range []struct {
		method string
		names  []string // nil for the default
		quiet  bool
	}{
		{"/grpc.health.v1.Health/Check", nil, true},
		{"/grpc.health.v1.Health/Watch", nil, true},
		{"/grpc.health.v1.Healthy/Check", nil, false},
		{"/shop.Order/Get", nil, false},
		{"/shop.Order/Get", []string{"shop.Order/Get"}, true},
		{"/shop.Order/Put", []string{"shop.Order/Get"}, false},
		{"/shop.Order/Put", []string{"shop.Order/"}, true},
		{"/grpc.health.v1.Health/Check", []string{}, false},
	} {
		t.Run(fmt.Sprint(tc.method, tc.names), func(t *testing.T) {
			var opts []record.Option
			if tc.names != nil {
				opts = append(opts, record.WithQuiet(tc.names...))
			}
			b := newBench(t, opts...)
			for _, s := range []*record.RPCStatus{rpcOK, rpcInternal} {
				b.StartRPCServer(t.Context(), b.RPCServerMethod(tc.method, metrics.Unary), record.Incoming{}, nil, nil).FinishRPC(s, "")
			}
			want := []any{"INFO", "ERROR"}
			if tc.quiet {
				want[0] = "DEBUG"
			}
			lines := b.lines(t)
			if got := []any{lines[0]["level"], lines[1]["level"]}; !cmp.Equal(got, want) {
				t.Errorf("levels %v, want %v", got, want)
			}
		})
	}
}

func TestLevel(t *testing.T) {
	const debug, info, warn, fault = slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError
	for outcome, want := range map[resilience.Outcome][2]slog.Level{ // server, client
		resilience.OutcomeOK:             {info, debug},
		resilience.OutcomeClientFault:    {info, warn},
		resilience.OutcomeServerFault:    {fault, warn},
		resilience.OutcomeTransient:      {warn, warn},
		resilience.OutcomeOverload:       {warn, warn},
		resilience.OutcomeCanceled:       {info, info},
		resilience.OutcomeCallerDeadline: {warn, warn},
		resilience.OutcomeTimeout:        {warn, warn},
		resilience.OutcomeRejected:       {warn, warn},
	} {
		for i, kinds := range [][]record.Kind{{record.RPCServer, record.HTTPServer}, {record.RPCClient, record.HTTPClient}} {
			for _, k := range kinds {
				if got := record.Level(k, outcome); got != want[i] {
					t.Errorf("Level(%q, %v) = %v, want %v", k.Message(), outcome, got, want[i])
				}
			}
		}
	}
}

// TestClientLineHasTheRequest: what was added to a request is on the lines of
// the calls made for it, without a key twice.
func TestClientLineHasTheRequest(t *testing.T) {
	b := newBench(t)
	server := b.StartRPCServer(t.Context(), b.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{RequestID: "req-7"}, nil, nil)
	ctxutil.Add(server, slog.String("order_id", "o-1"), slog.String("rpc.method", "fake"), slog.Int("n", 1))
	client := b.StartRPCClient(server, b.RPCClientMethod("/d.E/F", "inventory", metrics.Unary))
	ctxutil.Add(client, slog.Int("n", 2))
	client.FinishRPC(rpcOK, "")
	server.FinishRPC(rpcOK, "")
	ctxutil.Add(server, slog.String("late", "x")) // bears no fruit and no harm
	lines := b.lines(t)
	for i, want := range []map[string]any{
		{"rpc.method": "d.E/F", "order_id": "o-1", "request_id": "req-7", "n": 2.0},
		{"rpc.method": "a.B/C", "order_id": "o-1", "request_id": "req-7", "n": 1.0},
	} {
		for k, v := range want {
			if lines[i][k] != v {
				t.Errorf("line %d: %s = %v, want %v", i, k, lines[i][k], v)
			}
		}
		if n := strings.Count(strings.Split(b.log.String(), "\n")[i], `"n":`); n != 1 {
			t.Errorf("line %d has the key n %d times", i, n)
		}
	}
}

// TestPeersTextOnSpans is bounded and valid UTF-8: one invalid string would
// cost OTLP a whole batch of spans.
func TestPeersTextOnSpans(t *testing.T) {
	b := newBench(t)
	hostile := "\xff\xfe" + strings.Repeat("é", 5000)
	call := b.StartRPCServer(t.Context(), b.RPCServerMethod("", metrics.Unary), record.Incoming{}, nil, nil)
	call.SetOriginalMethod("/" + hostile)
	call.Panicked(errors.New(hostile), nil)
	call.FinishRPC(rpcInternal, hostile)
	span := b.spans.Ended()[0]
	texts := []string{span.Status().Description}
	for _, kv := range append(span.Attributes(), span.Events()[0].Attributes...) {
		texts = append(texts, kv.Value.Emit())
	}
	for _, s := range texts {
		if !utf8.ValidString(s) || len(s) > 1100 {
			t.Errorf("%d bytes on the span: %.40q", len(s), s)
		}
	}
	if line := b.lines(t)[0]; len(line["error"].(string)) > 1100 || len(line["panic"].(string)) > 1100 {
		t.Errorf("error of %d bytes, panic of %d", len(line["error"].(string)), len(line["panic"].(string)))
	}
}

// elsewhere is a panic that began on another goroutine.
type elsewhere struct{}

func (elsewhere) Panicked() (any, []byte) { return "out of stock", []byte("goroutine 7 [running]") }

// TestPanicElsewhere is noted as it was where it began.
func TestPanicElsewhere(t *testing.T) {
	b := newBench(t)
	call := b.StartRPCServer(t.Context(), b.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
	call.Panicked(elsewhere{}, []byte("goroutine 1 [running]"))
	call.FinishRPC(rpcInternal, "")
	if line := b.lines(t)[0]; line["panic"] != "out of stock" || line["stack"] != "goroutine 7 [running]" {
		t.Errorf("panic %v, stack %v; want those of the goroutine that panicked", line["panic"], line["stack"])
	}
}

// TestWithRedact: attributes reach the span as the redactor leaves them.
func TestWithRedact(t *testing.T) {
	b := newBench(t, record.WithRedact(func(a slog.Attr) slog.Attr {
		if a.Key == "password" {
			a.Value = slog.StringValue("***")
		}
		return a
	}))
	call := b.StartRPCServer(t.Context(), b.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
	ctxutil.Add(call, slog.String("password", "hunter2"))
	call.FinishRPC(rpcOK, "")
	for _, kv := range b.spans.Ended()[0].Attributes() {
		if kv.Key == "password" && kv.Value.AsString() != "***" {
			t.Errorf("password on the span: %q", kv.Value.AsString())
		}
	}
}

func TestBadRecorderOptions(t *testing.T) {
	_, err := record.New(record.WithIngress(9), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "record: ") || !strings.Contains(err.Error(), "WithIngress: 9") || !strings.Contains(err.Error(), "nil option") {
		t.Errorf("err = %v", err)
	}
}

// TestNothingAskedFor: without metrics and logger a call has its identity.
func TestNothingAskedFor(t *testing.T) {
	rec, err := record.New()
	if err != nil {
		t.Fatal(err)
	}
	call := rec.StartRPCServer(context.Background(), rec.RPCServerMethod("/a.B/C", metrics.BidiStream), record.Incoming{}, nil, nil)
	call.Sent()
	call.Received()
	call.FinishRPC(rpcOK, "")
	if len(call.TraceID()) != 32 || len(call.SpanID()) != 16 || call.Logs(resilience.OutcomeServerFault) {
		t.Errorf("ids %q and %q, logs: %v", call.TraceID(), call.SpanID(), call.Logs(resilience.OutcomeServerFault))
	}
}
