// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"net"
	"runtime/debug"
	"sync"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

// Recording makes one record of every call: identity, span, metrics and
// request log in one pass. It is the outermost layer on both sides.
type Recording struct {
	recorder *record.Recorder
	adopt    bool // spans are otelgrpc's
	otel     []otelgrpc.Option

	// Layers folded in by ServerOptions; nil ones are not there.
	recovery *Recovering
	deadline *Deadlines
}

var (
	_ ServerInterceptor = (*Recording)(nil)
	_ ClientInterceptor = (*Recording)(nil)
)

// RecordOption configures [Record].
type RecordOption interface{ applyRecord(*Recording) }

type recordOption func(*Recording)

func (f recordOption) applyRecord(i *Recording) { f(i) }

// Record returns the interceptors that make the record of every call with r.
// They come first in a chain. A panic on its way through is recorded and goes
// on: add [Recovery] to end it.
//
// Every answer carries the trace id in the header x-trace-id, and x-request-id
// if the caller sent one. Of a call that fails before it has answered anything
// they are in the trailer: a header would say that the server has begun to
// answer, and end gRPC's own retries. An answer that is degraded says so in the
// trailer, see [KeyDegraded]. It panics if r is nil.
func Record(r *record.Recorder, opts ...RecordOption) *Recording {
	if r == nil {
		panic("interceptors: Record: nil recorder")
	}
	i := &Recording{recorder: r}
	for _, o := range opts {
		o.applyRecord(i)
	}
	return i
}

// UnaryServer returns the interceptor for unary calls served.
func (i *Recording) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		m := i.recorder.RPCServerMethod(info.FullMethod, metrics.Unary)
		call := i.startServer(ctx, m)
		returned := false
		defer i.endServer(call, nil, &returned, req, &resp, &err)
		resp, err = i.serve(call, req, next)
		returned = true
		return resp, err
	}
}

// serve runs the layers folded into the record, and then next.
func (i *Recording) serve(call *record.Call, req any, next grpc.UnaryHandler) (any, error) {
	if i.deadline == nil {
		return next(call, req)
	}
	return i.deadline.serve(call, req, next)
}

// StreamServer returns the interceptor for streams served. A call to a method
// that the server has not registered is recorded under the method _OTHER.
func (i *Recording) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		name := info.FullMethod
		if srv == nil { // grpc-go passes no implementation to its unknown service handler
			name = ""
		}
		m := i.recorder.RPCServerMethod(name, streamKind(info.IsClientStream, info.IsServerStream))
		call := i.startServer(ss.Context(), m)
		if srv == nil {
			call.SetOriginalMethod(info.FullMethod)
		}
		returned := false
		counted := &serverStream{ServerStream: ss, ctx: call, call: call}
		var none any
		defer i.endServer(call, counted, &returned, nil, &none, &err)
		err = i.serveStream(srv, counted, next)
		returned = true
		return err
	}
}

func (i *Recording) serveStream(srv any, ss *serverStream, next grpc.StreamHandler) error {
	if i.deadline == nil {
		return next(srv, ss)
	}
	ctx, cancel, err := i.deadline.start(ss.call, true)
	if err != nil {
		return err
	}
	defer cancel()
	ss.ctx = ctx
	return next(srv, ss)
}

// startServer begins the record.
func (i *Recording) startServer(ctx context.Context, m *record.RPC) *record.Call {
	var remote, local net.Addr
	if p, ok := peer.FromContext(ctx); ok {
		remote, local = p.Addr, p.LocalAddr
	}
	in := i.incoming(ctx)
	ctx = withPreviousAttempts(ctx)
	if i.adopt {
		return i.recorder.AdoptRPCServer(ctx, m, in, remote)
	}
	return i.recorder.StartRPCServer(ctx, m, in, remote, local)
}

// KeyDegraded is the key of the trailer that is "true" in an answer that is not what was
// asked for, or not all of it, because a fallback stood in for a call that failed: in the
// answer of the server that made the call, see [record.Degrade], and in the stand-in
// itself.
const KeyDegraded = "x-degraded"

var degradedTrailer = metadata.Pairs(KeyDegraded, "true")

// answers holds the metadata of answers for reuse: grpc-go copies what it is
// given.
var answers = sync.Pool{New: func() any {
	return &answer{md: metadata.MD{ctxutil.KeyTraceID: {""}}, requestID: []string{""}}
}}

type answer struct {
	md        metadata.MD
	requestID []string
}

// answerIDs puts the call's ids into its answer: into the header or, if that is
// not to be sent or was sent already, into the trailer.
func answerIDs(call *record.Call, header bool) {
	a := answers.Get().(*answer)
	a.md[ctxutil.KeyTraceID][0] = call.TraceID()
	if call.CorrelationID != "" {
		a.requestID[0] = call.CorrelationID
		a.md[ctxutil.KeyRequestID] = a.requestID
	}
	if !header || grpc.SetHeader(call, a.md) != nil {
		_ = grpc.SetTrailer(call, a.md) // fails only outside of a server, where nobody reads it
	}
	delete(a.md, ctxutil.KeyRequestID)
	answers.Put(a)
}

// incoming reads the caller's identity, one header at a time: a copy of the
// metadata would cost more than the whole record.
func (i *Recording) incoming(ctx context.Context) record.Incoming {
	in := record.Incoming{
		Traceparent: last(metadata.ValueFromIncomingContext(ctx, ctxutil.KeyTraceparent)),
		Baggage:     metadata.ValueFromIncomingContext(ctx, ctxutil.KeyBaggage),
		RequestID:   last(metadata.ValueFromIncomingContext(ctx, ctxutil.KeyRequestID)),
	}
	if in.Traceparent != "" {
		in.Tracestate = metadata.ValueFromIncomingContext(ctx, ctxutil.KeyTracestate)
	}
	in.TraceID = last(metadata.ValueFromIncomingContext(ctx, ctxutil.KeyTraceID))
	if i.recorder.ReadsHeaders() {
		in.Headers = func() ctxutil.Carrier {
			md, _ := metadata.FromIncomingContext(ctx)
			return ctxutil.MetadataCarrier(md)
		}
	}
	return in
}

// endServer is deferred around a handler. It finishes the record, and makes of
// *err what the peer is to see. A handler that has not returned has panicked,
// or ended its goroutine, which nobody can answer for. Of a unary call ss is nil.
func (i *Recording) endServer(call *record.Call, ss *serverStream, returned *bool, req any, resp *any, err *error) {
	if !*returned {
		*resp, *err = nil, errGoexit
		if v := recover(); v != nil {
			call.Panicked(v, debug.Stack())
			if i.recovery == nil {
				finish(call, serverStatuses, errPanic, req, nil)
				panic(v)
			}
			*err = i.recovery.answer(call, v)
		}
	}
	if ss == nil || !ss.answered.Load() {
		answerIDs(call, *err == nil)
	}
	switch {
	case *err != nil:
		tellPushback(call, *err)
	case call.Degraded() != "":
		_ = grpc.SetTrailer(call, degradedTrailer) // fails only outside of a server
	}
	*err = finish(call, serverStatuses, *err, req, *resp).Err()
}

// finish finishes the record of a call that ended with err, and returns what
// that is to a peer. Of messages that are not known, or not of one call, it is
// given nil.
func finish(call *record.Call, table *statuses, err error, req, resp any) *status.Status {
	if err != nil {
		resp = nil // not sent, or not received; and a handler's typed nil would have a size
	}
	s, st := table.of(call, err)
	if call.Logs(s.Outcome()) {
		call.SetSizes(size(req), size(resp))
	}
	call.FinishRPC(s, st.Message())
	return st
}

// last returns the last value of a header: the one that the nearest hop added.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// size returns the encoded size of a protobuf message in bytes, or -1.
func size(m any) int64 {
	if pm, ok := m.(proto.Message); ok {
		return int64(proto.Size(pm))
	}
	return -1
}

// streamKind names the kind of a stream for metrics.
func streamKind(client, server bool) metrics.RPCType {
	switch {
	case client && server:
		return metrics.BidiStream
	case client:
		return metrics.ClientStream
	case server:
		return metrics.ServerStream
	default:
		return metrics.Unary
	}
}
