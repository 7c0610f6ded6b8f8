// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"net"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
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

	// Layers folded in by ServerOptions; nil ones are not there.
	recovery *Recovering
	deadline *Deadlines
}

var (
	_ ServerInterceptor = (*Recording)(nil)
	_ ClientInterceptor = (*Recording)(nil)
)

// Record returns the interceptors that make the record of every call with r.
// They come first in a chain. A panic on its way through is recorded and goes
// on: add [Recovery] to end it.
//
// Every answer carries the trace id in the header x-trace-id, and x-request-id
// if the caller sent one.
func Record(r *record.Recorder) *Recording {
	if r == nil {
		panic("interceptors: Record: nil recorder")
	}
	return &Recording{recorder: r}
}

// UnaryServer returns the interceptor for unary calls served.
func (i *Recording) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		m := i.recorder.RPCServerMethod(info.FullMethod, metrics.Unary)
		call := i.startServer(ctx, m)
		returned := false
		defer func() {
			if !returned {
				if v := recover(); v != nil {
					call.Panicked(v, debug.Stack())
					if i.recovery == nil {
						i.finishServer(call, errPanic)
						panic(v)
					}
					resp, err = nil, i.recovery.answer(call, v)
				} else { // runtime.Goexit
					err = errPanic
				}
			}
			if call.Logs() {
				call.SetSizes(size(req), size(resp))
			}
			err = i.finishServer(call, err)
		}()
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
		defer func() {
			if !returned {
				if v := recover(); v != nil {
					call.Panicked(v, debug.Stack())
					if i.recovery == nil {
						i.finishServer(call, errPanic)
						panic(v)
					}
					err = i.recovery.answer(call, v)
				} else { // runtime.Goexit
					err = errPanic
				}
			}
			err = i.finishServer(call, err)
		}()
		err = i.serveStream(srv, &serverStream{ServerStream: ss, ctx: call, call: call}, next)
		returned = true
		return err
	}
}

func (i *Recording) serveStream(srv any, ss *serverStream, next grpc.StreamHandler) error {
	if i.deadline == nil {
		return next(srv, ss)
	}
	ctx, cancel, err := i.deadline.start(ss.call)
	if err != nil {
		return err
	}
	defer cancel()
	ss.ctx = ctx
	err = next(srv, ss)
	noteTimeout(ctx, err)
	return err
}

// startServer begins the record and answers with its ids.
func (i *Recording) startServer(ctx context.Context, m *record.RPC) *record.Call {
	var remote, local net.Addr
	if p, ok := peer.FromContext(ctx); ok {
		remote, local = p.Addr, p.LocalAddr
	}
	in := i.incoming(ctx)
	var call *record.Call
	if i.adopt {
		call = i.recorder.AdoptRPCServer(ctx, m, in, remote)
	} else {
		call = i.recorder.StartRPCServer(ctx, m, in, remote, local)
	}
	answerIDs(ctx, call)
	return call
}

// answers holds the metadata of answers for reuse: grpc-go copies what it is
// given.
var answers = sync.Pool{New: func() any {
	return &answer{md: metadata.MD{ctxutil.KeyTraceID: {""}}, requestID: []string{""}}
}}

type answer struct {
	md        metadata.MD
	requestID []string
}

// answerIDs puts the call's ids into the header of its answer.
func answerIDs(ctx context.Context, call *record.Call) {
	a := answers.Get().(*answer)
	a.md[ctxutil.KeyTraceID][0] = call.TraceID()
	if call.CorrelationID != "" {
		a.requestID[0] = call.CorrelationID
		a.md[ctxutil.KeyRequestID] = a.requestID
	}
	_ = grpc.SetHeader(ctx, a.md) // fails only outside of a server, where nobody reads it
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

// finishServer finishes the record and returns err as the peer is to see it.
func (i *Recording) finishServer(call *record.Call, err error) error {
	s, message := serverStatuses.of(call, err)
	call.FinishRPC(s, message)
	if err == nil {
		return nil
	}
	return statusOf(err).Err()
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
	if pm, ok := m.(proto.Message); ok && pm != nil {
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
