// SPDX-License-Identifier: Apache-2.0

package goldentest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/fairlead-go/fairlead/metrics"
)

// reporter drives our metrics from the same hooks that drive the provider's.
type reporter struct {
	method   *metrics.RPCMethod
	mu       sync.Mutex
	finished bool
}

func (r *reporter) PostCall(err error, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished { // the stream client reports an end for each Recv after it
		return
	}
	r.finished = true
	code := status.Code(err)
	if s := provider.FromError(err); s != nil {
		code = s.Code()
	}
	r.method.End(uint32(code), "", d, metrics.Exemplar{})
}

func (r *reporter) PostMsgSend(_ any, err error, _ time.Duration) {
	if err == nil {
		r.method.Sent()
	}
}

func (r *reporter) PostMsgReceive(_ any, err error, _ time.Duration) {
	if err == nil {
		r.method.Received()
	}
}

type reportable struct{ set *metrics.Set }

var types = map[interceptors.GRPCType]metrics.RPCType{
	interceptors.Unary:        metrics.Unary,
	interceptors.ClientStream: metrics.ClientStream,
	interceptors.ServerStream: metrics.ServerStream,
	interceptors.BidiStream:   metrics.BidiStream,
}

func (r reportable) report(side metrics.Side, meta interceptors.CallMeta) interceptors.Reporter {
	m := r.set.RPC(metrics.RPCKey{Side: side, Method: meta.FullMethod(), Type: types[meta.Typ], ServerAddress: "bufnet"})
	m.Begin(metrics.Exemplar{})
	return &reporter{method: m}
}

func (r reportable) ServerReporter(ctx context.Context, meta interceptors.CallMeta) (interceptors.Reporter, context.Context) {
	return r.report(metrics.Server, meta), ctx
}

func (r reportable) ClientReporter(ctx context.Context, meta interceptors.CallMeta) (interceptors.Reporter, context.Context) {
	return r.report(metrics.Client, meta), ctx
}

// service answers each kind of call; a number asks for so many messages or, below
// zero, for that code.
type service struct{}

type message = wrapperspb.Int64Value

func (service) answer(n int64) error {
	if n < 0 {
		return status.Error(codes.Code(-n), "asked for")
	}
	return nil
}

var description = grpc.ServiceDesc{
	ServiceName: "golden.Service",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Unary",
		Handler: func(srv any, ctx context.Context, decode func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
			in := new(message)
			if err := decode(in); err != nil {
				return nil, err
			}
			info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/golden.Service/Unary"}
			return i(ctx, in, info, func(_ context.Context, req any) (any, error) {
				return req, service{}.answer(req.(*message).GetValue())
			})
		},
	}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Up", ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for in := new(message); ; {
				if err := s.RecvMsg(in); errors.Is(err, io.EOF) {
					return s.SendMsg(in)
				} else if err != nil {
					return err
				}
				if err := (service{}).answer(in.GetValue()); err != nil {
					return err
				}
			}
		}},
		{StreamName: "Down", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			in := new(message)
			if err := s.RecvMsg(in); err != nil {
				return err
			}
			for range in.GetValue() {
				if err := s.SendMsg(in); err != nil {
					return err
				}
			}
			return service{}.answer(in.GetValue())
		}},
		{StreamName: "Both", ClientStreams: true, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for in := new(message); ; {
				if err := s.RecvMsg(in); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := (service{}).answer(in.GetValue()); err != nil {
					return err
				}
				if err := s.SendMsg(in); err != nil {
					return err
				}
			}
		}},
	},
}

// stream makes one call of a streaming method to its end.
func stream(t *testing.T, conn *grpc.ClientConn, method string, send ...int64) {
	t.Helper()
	i := slices.IndexFunc(description.Streams, func(d grpc.StreamDesc) bool { return d.StreamName == method })
	desc := &description.Streams[i]
	s, err := conn.NewStream(t.Context(), desc, "/golden.Service/"+method)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range send {
		// A stream that the server ended refuses what is sent; how many it takes
		// before is a race, so nothing is sent after what ends it.
		if err := s.SendMsg(wrapperspb.Int64(n)); err != nil {
			t.Fatal(err)
		}
		if method == "Both" && n >= 0 {
			if err := s.RecvMsg(new(message)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if !desc.ServerStreams {
		_ = s.RecvMsg(new(message)) // its error is what the metrics are to say
		return
	}
	for s.RecvMsg(new(message)) == nil {
	}
}

// TestSameAsGoGRPCMiddleware makes calls of every kind and every code through a
// server and a client that report to both, and compares all that is gathered.
func TestSameAsGoGRPCMiddleware(t *testing.T) {
	original, ours := prometheus.NewRegistry(), prometheus.NewRegistry()
	sm := provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram())
	cm := provider.NewClientMetrics(provider.WithClientHandlingTimeHistogram())
	original.MustRegister(sm, cm)
	set, err := metrics.New(ours, metrics.WithGRPCMiddlewareNames())
	if err != nil {
		t.Fatal(err)
	}
	r := reportable{set}

	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(sm.UnaryServerInterceptor(), interceptors.UnaryServerInterceptor(r)),
		grpc.ChainStreamInterceptor(sm.StreamServerInterceptor(), interceptors.StreamServerInterceptor(r)))
	server.RegisterService(&description, service{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///bufnet",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(cm.UnaryClientInterceptor(), interceptors.UnaryClientInterceptor(r)),
		grpc.WithChainStreamInterceptor(cm.StreamClientInterceptor(), interceptors.StreamClientInterceptor(r)))
	if err != nil {
		t.Fatal(err)
	}

	for code := range int64(17) {
		_ = conn.Invoke(t.Context(), "/golden.Service/Unary", wrapperspb.Int64(-code), new(message))
	}
	_ = conn.Invoke(t.Context(), "/golden.Service/Missing", wrapperspb.Int64(0), new(message))
	stream(t, conn, "Up", 1, 2, 3)
	stream(t, conn, "Up", 1, -5)
	stream(t, conn, "Down", 4)
	stream(t, conn, "Down", -13)
	stream(t, conn, "Both", 1, 2)
	stream(t, conn, "Both", 1, -14)

	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	server.GracefulStop() // after it, both sides have counted all
	serving.Wait()

	want, got := gather(t, original), gather(t, ours)
	maps.DeleteFunc(got, func(name string, _ []string) bool { return !strings.HasPrefix(name, "grpc_") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics differ (-go-grpc-middleware +ours):\n%s", diff)
	}
	if len(want) != 10 {
		t.Errorf("the original has %d metrics, want 5 for each side: %q", len(want), slices.Sorted(maps.Keys(want)))
	}
}

// TestSameNamesAndLabels compares what is described, without a call.
func TestSameNamesAndLabels(t *testing.T) {
	describe := func(c prometheus.Collector) []string {
		ch := make(chan *prometheus.Desc, 100)
		c.Describe(ch)
		close(ch)
		var all []string
		for d := range ch {
			if s := d.String(); strings.Contains(s, `fqName: "grpc_`) {
				all = append(all, s)
			}
		}
		return all
	}
	set, err := metrics.New(prometheus.NewRegistry(), metrics.WithGRPCMiddlewareNames())
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(
		describe(provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram())),
		describe(provider.NewClientMetrics(provider.WithClientHandlingTimeHistogram())))
	got := describe(set)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("descriptions differ (-go-grpc-middleware +ours):\n%s", diff)
	}
}

// gather returns, for each family, its type and help and then its children: labels,
// and values where those do not depend on the clock.
func gather(t *testing.T, g prometheus.Gatherer) map[string][]string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range families {
		out := []string{f.GetType().String() + " " + f.GetHelp()}
		for _, m := range f.GetMetric() {
			var line strings.Builder
			for _, l := range m.GetLabel() {
				fmt.Fprintf(&line, "%s=%q ", l.GetName(), l.GetValue())
			}
			if c := m.GetCounter(); c != nil {
				fmt.Fprintf(&line, "= %v", c.GetValue())
			}
			if h := m.GetHistogram(); h != nil {
				fmt.Fprintf(&line, "count %d, buckets", h.GetSampleCount())
				for _, b := range h.GetBucket() {
					fmt.Fprintf(&line, " %v", b.GetUpperBound())
				}
			}
			out = append(out, line.String())
		}
		all[f.GetName()] = out
	}
	return all
}
