// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/interceptors"
)

// allowed are the differences between the two engines, each with its reason.
// What is not in here must be the same; and what is must have been seen.
var allowed = []struct {
	scenario string // "" for any
	what     string // a prefix
	reason   string
}{
	{"", "server span network.peer.", "recommended by the conventions; otelgrpc has none"},
	{"", "client span network.peer.", "recommended by the conventions; otelgrpc has none"},
	{"", "server span error.type", "required by the conventions where a call failed; otelgrpc has it on metrics alone"},
	{"", "client span error.type", "required by the conventions where a call failed; otelgrpc has it on metrics alone"},
	{"", "server line duration", "a record that makes no span reads the clock itself, once more"},
	{"", "client line duration", "a record that makes no span reads the clock itself, once more"},
	{"", "client line span", "otelgrpc's client span is made below the record, which has its caller's"},
	{"", "client exemplar span", "otelgrpc's client span is made below the record, which has its caller's"},
	{"a code of nobody's", "server span rpc.response.status_code", "otelgrpc makes up names; the record's are as few as its labels"},
	{"a code of nobody's", "client span rpc.response.status_code", "otelgrpc makes up names; the record's are as few as its labels"},
	{"a code of nobody's", "server span status", "nobody knows that it is the caller's fault, so it counts as the server's"},
	{"a code of nobody's", "server metric", "otelgrpc makes up names, of any number a peer sends"},
	{"a code of nobody's", "client metric", "otelgrpc makes up names, of any number a peer sends"},
	{"unknown method", "server span name", "the conventions ask for _OTHER; otelgrpc has the peer's text"},
	{"unknown method", "server span rpc.method", "the conventions ask for _OTHER and rpc.method_original; otelgrpc has the peer's text"},
	{"unknown method", "server metric", "the conventions ask for _OTHER; otelgrpc makes a series of everything (CVE-2023-47108's kind)"},
	{"dialled by name", "client span server.", "the conventions ask for the logical name; otelgrpc's stats handler has the address it resolved to"},
	{"dialled by name", "client metric", "the conventions ask for the logical name; otelgrpc's stats handler has a series for each address"},
}

// engines make the spans of a call. Both are told of the same metrics and logs.
var engines = []struct {
	name    string
	options func(*measurements) []interceptors.RecordOption
}{
	{"ours", func(*measurements) []interceptors.RecordOption { return nil }},
	{"otelgrpc", func(m *measurements) []interceptors.RecordOption {
		return []interceptors.RecordOption{interceptors.WithOTelGRPC(otelgrpc.WithMeterProvider(m))}
	}},
}

// facts is what is known of one run: what, in words, and its value.
type facts map[string]string

// scenario is one call, or something like it.
type scenario struct {
	name    string
	service *service
	call    func(context.Context, *grpc.ClientConn) error
	byName  bool // dialled by a name, not by an address
	cut     bool // ends in the middle
}

func scenarios() []scenario {
	var all []scenario
	for _, kind := range callKinds {
		made := func(ctx context.Context, cc *grpc.ClientConn) error {
			return kind.call(ctx, testgrpc.NewTestServiceClient(cc))
		}
		for _, e := range ends {
			all = append(all, scenario{name: e.name + ", " + kind.name, service: &service{handle: e.handle}, call: made})
		}
		begun := func(do func(context.CancelFunc)) scenario {
			started := make(chan struct{}, 8)
			return scenario{
				cut: true,
				service: &service{handle: func(ctx context.Context) error {
					started <- struct{}{}
					return untilDone(ctx)
				}},
				call: func(ctx context.Context, cc *grpc.ClientConn) error {
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					go func() { <-started; do(cancel) }()
					return made(ctx, cc)
				},
			}
		}
		canceled := begun(func(cancel context.CancelFunc) { cancel() })
		canceled.name = "canceled by the caller, " + kind.name
		late := begun(func(context.CancelFunc) {})
		late.name = "deadline passed, " + kind.name
		wait := late.call
		late.call = func(ctx context.Context, cc *grpc.ClientConn) error {
			ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			return wait(ctx, cc)
		}
		all = append(all, canceled, late, scenario{name: "dialled by name, " + kind.name, service: &service{}, call: made, byName: true})
	}
	return append(all, scenario{name: "unknown method", service: &service{}, call: func(ctx context.Context, cc *grpc.ClientConn) error {
		// Nothing is sent: a message on its way while the answer is there already
		// fails with io.EOF, which grpc-go tells stats handlers as success.
		cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/no.such/Method")
		if err != nil {
			return err
		}
		return cs.RecvMsg(&testgrpc.Empty{})
	}})
}

// TestEnginesAgree holds both engines against each other over real sockets.
func TestEnginesAgree(t *testing.T) {
	seen := make([]bool, len(allowed))
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			ours, theirs := observe(t, s, 0), observe(t, s, 1)
			for _, what := range slices.Sorted(maps.Keys(union(ours, theirs))) {
				if ours[what] == theirs[what] {
					continue
				}
				ok := false
				for i, a := range allowed {
					if strings.HasPrefix(s.name, a.scenario) && strings.HasPrefix(what, a.what) {
						ok, seen[i] = true, true
					}
				}
				if !ok {
					t.Errorf("%s:\n    ours %q\notelgrpc %q", what, ours[what], theirs[what])
				}
			}
		})
	}
	for i, a := range allowed {
		if !seen[i] {
			t.Errorf("the difference %q (%s) is allowed, and there is none", a.what, a.scenario)
		}
	}
}

func union(a, b facts) facts {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}

// observe makes the call with one of the engines, and returns what is to be
// seen of it. Ids and ports, which differ, are replaced by whose they are.
func observe(t *testing.T, s scenario, engine int) facts {
	t.Helper()
	tel, measured := newTelemetry(t, sdktrace.AlwaysSample()), &measurements{}
	opts := engines[engine].options(measured)
	var md metadata.MD
	see := interceptors.ServerFuncs{
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			md, _ = metadata.FromIncomingContext(ctx)
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			md, _ = metadata.FromIncomingContext(ss.Context())
			return next(srv, ss)
		},
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target, addr := "passthrough:///"+lis.Addr().String(), lis.Addr().String()
	do := interceptors.DialOptions(interceptors.Record(tel.recorder, opts...))
	if s.byName {
		target = "passthrough:///inventory:80"
		do = append(do, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}))
	}
	cc := serveOn(t, lis, target, s.service,
		interceptors.ServerOptions(interceptors.Record(tel.recorder, opts...), interceptors.Recovery(), see), do)

	ctx, caller := tel.provider.Tracer("test").Start(t.Context(), "caller", trace.WithSpanKind(trace.SpanKindInternal))
	ctx = baggage.ContextWithBaggage(metadata.AppendToOutgoingContext(ctx, "x-request-id", "own"), bag(t, "user=42"))
	err = s.call(ctx, cc)
	caller.End()
	waitFor(t, func() bool {
		return len(tel.ended(trace.SpanKindServer)) == 1 && len(tel.ended(trace.SpanKindClient)) == 1 &&
			len(tel.logs.all(t)) == 2 && (engine == 0 || measured.count() == 2)
	})
	tel.noneLeft(t)
	tel.idle(t)

	server, client := tel.one(t, trace.SpanKindServer), tel.one(t, trace.SpanKindClient)
	whose := map[string]string{
		server.SpanContext().SpanID().String(): "server's", client.SpanContext().SpanID().String(): "client's",
		caller.SpanContext().SpanID().String(): "caller's", caller.SpanContext().TraceID().String(): "the trace",
	}
	name := func(text string) string {
		for id, who := range whose {
			text = strings.ReplaceAll(text, id, who)
		}
		_, port, _ := net.SplitHostPort(addr)
		// Which clock rings first, the client's or the server's, is chance.
		text = strings.ReplaceAll(text, "stream terminated by RST_STREAM with error code: CANCEL", "context deadline exceeded")
		return strings.ReplaceAll(text, port, "PORT")
	}
	f := facts{"error": name(fmt.Sprint(err))}
	for key := range md {
		switch key {
		case ":authority", "user-agent", "content-type", "grpc-accept-encoding":
		default:
			f["header "+key] = name(strings.Join(md.Get(key), "|"))
		}
	}
	for side, span := range map[string]sdktrace.ReadOnlySpan{"server": server, "client": client} {
		f[side+" span name"] = span.Name()
		f[side+" span parent"] = name(span.Parent().SpanID().String())
		f[side+" span trace"] = name(span.SpanContext().TraceID().String())
		f[side+" span status"] = name(fmt.Sprint(span.Status().Code, " ", span.Status().Description))
		for _, kv := range span.Attributes() {
			value := name(kv.Value.Emit())
			if string(kv.Key) == "network.peer.port" {
				value = "PORT"
			}
			f[side+" span "+string(kv.Key)] = value
		}
		for _, e := range span.Events() {
			f[side+" span event "+e.Name] = "there"
		}
		if n := len(span.Links()); n > 0 {
			f[side+" span links"] = fmt.Sprint(n)
		}
		observeRecord(t, f, tel, side, span, name)
		if s.cut { // how many messages got through is chance
			delete(f, side+" line messages_sent")
			delete(f, side+" line messages_received")
		}
		// What otelgrpc measures is to have the names and attributes of ours.
		if engine == 1 {
			f[side+" metric"] = name(measured.of("rpc." + side + ".call.duration"))
		} else {
			f[side+" metric"] = f[side+" series"]
		}
	}
	return f
}

// observeRecord notes what the record says of a side: its log line, series and
// exemplar, which are the same whoever makes the spans.
func observeRecord(t *testing.T, f facts, tel *telemetry, side string, span sdktrace.ReadOnlySpan, name func(string) string) {
	t.Helper()
	line := tel.logs.withMessage(t, "rpc "+side+" call")
	f[side+" line span"] = name(fmt.Sprint(line["span_id"]))
	f[side+" line trace"] = name(fmt.Sprint(line["trace_id"]))
	if line["duration_ms"] == float64(span.EndTime().Sub(span.StartTime()))/float64(time.Millisecond) {
		f[side+" line duration"] = "the span's"
	}
	for _, key := range []string{"rpc.method", "rpc.response.status_code", "error.type", "outcome", "error", "level", "messages_sent", "messages_received", "panic"} {
		f[side+" line "+key] = name(fmt.Sprint(line[key]))
	}
	series := tel.family(t, "rpc_"+side+"_call_duration_seconds")
	if len(series) != 1 || series[0].GetHistogram().GetSampleCount() != 1 {
		t.Fatalf("series of the %s: %v", side, series)
	}
	attrs := map[string]string{}
	for _, l := range series[0].GetLabel() {
		if l.GetValue() == "" {
			continue
		}
		key := strings.ReplaceAll(l.GetName(), "_", ".")
		if key == "rpc.response.status.code" {
			key = "rpc.response.status_code"
		}
		attrs[key] = name(l.GetValue())
	}
	f[side+" series"] = "rpc." + side + ".call.duration" + format(attrs)
	if ex := exemplarOf(series[0]); ex != nil {
		for _, l := range ex.GetLabel() {
			f[side+" exemplar "+strings.TrimSuffix(l.GetName(), "_id")] = name(l.GetValue())
		}
	}
}

func bag(t *testing.T, s string) baggage.Baggage {
	t.Helper()
	b, err := baggage.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// waitFor waits for something that happens on the other side of a real socket.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); !done(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("waited in vain")
		}
	}
}
