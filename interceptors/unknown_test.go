// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
)

// series counts all there are.
func (tel *telemetry) series(t *testing.T) int {
	t.Helper()
	families, err := tel.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}

// TestUnknownMethods: calls to methods that nobody registered are seen, ended,
// and one series, whatever they are called (grpc-go#3847).
func TestUnknownMethods(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery()), nil)
	const calls = 100
	for i := range calls {
		var trailer metadata.MD
		err := cc.Invoke(t.Context(), fmt.Sprintf("/no.such.Service%d/Method", i), &testgrpc.Empty{}, &testgrpc.Empty{}, grpc.Trailer(&trailer))
		st := status.Convert(err)
		if st.Code() != codes.Unimplemented || strings.Contains(st.Message(), "no.such") {
			t.Fatalf("err = %v, want Unimplemented, and not what was asked for", err)
		}
		if len(trailer.Get("x-trace-id")) != 1 {
			t.Fatalf("trailer %v has no trace id", trailer)
		}
	}
	tel.noneLeft(t)
	tel.idle(t)
	spans := tel.ended(trace.SpanKindServer)
	if len(spans) != calls {
		t.Fatalf("%d spans, want %d", len(spans), calls)
	}
	attrs := attrsOf(spans[7])
	if spans[7].Name() != "_OTHER" || attrs["rpc.method"].AsString() != "_OTHER" ||
		attrs["rpc.method_original"].AsString() != "no.such.Service7/Method" ||
		attrs["rpc.response.status_code"].AsString() != "UNIMPLEMENTED" {
		t.Errorf("span %q: %v", spans[7].Name(), attrs)
	}
	series := tel.family(t, "rpc_server_call_duration_seconds")
	if len(series) != 1 || label(series[0], "rpc_method") != "_OTHER" || series[0].GetHistogram().GetSampleCount() != calls {
		t.Errorf("series: %v, want one of _OTHER that counts %d", series, calls)
	}
	for _, line := range tel.logs.all(t) {
		if line["rpc.method"] != "_OTHER" || line["level"] != "INFO" {
			t.Fatalf("line: %v", line)
		}
	}
}

// unknownMethodSeries is all that any number of calls to methods that do not
// exist adds to a fresh registry's series, whatever they are called: their
// duration, and the gauge of calls in progress.
const unknownMethodSeries = 2

// TestRandomMethodsAreBounded, and no text of theirs breaks anything.
func TestRandomMethodsAreBounded(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	fresh := tel.series(t)
	cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery()), nil)
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		name := make([]byte, 1+r.IntN(40))
		for i := range name {
			for name[i] < '!' || name[i] == 0x7f { // HTTP/2 has no control characters
				name[i] = byte(r.UintN(256))
			}
		}
		err := cc.Invoke(t.Context(), "/"+string(name)+"/"+string(name), &testgrpc.Empty{}, &testgrpc.Empty{})
		if status.Code(err) != codes.Unimplemented {
			t.Fatalf("method %q: %v, want Unimplemented", name, err)
		}
	}
	if err := cc.Invoke(t.Context(), "/a/"+strings.Repeat("x", 10_000), &testgrpc.Empty{}, &testgrpc.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Fatalf("a long method: %v, want Unimplemented", err)
	}
	if got := tel.series(t); got != fresh+unknownMethodSeries {
		t.Errorf("%d series, want %d", got, fresh+unknownMethodSeries)
	}
	tel.noneLeft(t)
	for _, s := range tel.ended(trace.SpanKindServer) {
		original := attrsOf(s)["rpc.method_original"].AsString()
		if !utf8.ValidString(original) || len(original) > 3*1024 || s.Name() != "_OTHER" {
			t.Fatalf("span %q: rpc.method_original = %q", s.Name(), original)
		}
	}
}
