// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// UnaryClient returns the interceptor for unary calls made.
func (i *Recording) UnaryClient() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) (err error) {
		call := i.startClient(ctx, method, cc, metrics.Unary)
		var at peer.Peer
		returned := false
		defer func() {
			if at.Addr != nil {
				call.SetPeer(at.Addr)
			}
			ended := err
			if !returned { // a panic, which goes on, or runtime.Goexit
				ended = errPanic
			}
			finish(call, clientStatuses, ended, req, reply)
		}()
		err = invoke(i.outgoing(call), method, req, reply, cc, append(slices.Clip(opts), grpc.Peer(&at))...)
		err = reconstructed(err, cc.Target())
		returned = true
		return err
	}
}

// StreamClient returns the interceptor for streams opened. The record is
// finished when the stream is over: with its last message or error or, for
// callers that give up and never receive those, when its context ends or its
// connection is closed.
func (i *Recording) StreamClient() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		call := i.startClient(ctx, method, cc, streamKind(desc.ClientStreams, desc.ServerStreams))
		var ended sync.Once // and not a flag: who comes second returns to its caller with all done
		done := func(err error) {
			ended.Do(func() { finish(call, clientStatuses, err, nil, nil) })
		}
		openErr := errPanic // until open has returned
		defer func() {
			if openErr != nil {
				done(openErr)
			}
		}()
		var at peer.Peer
		atFinish := func(err error) {
			if at.Addr != nil {
				call.SetPeer(at.Addr)
			}
			if isGivenUp(err) {
				done(err)
			}
		}
		var cs grpc.ClientStream
		cs, openErr = open(i.outgoing(call), desc, cc, method,
			append(slices.Clip(opts), grpc.Peer(&at), grpc.OnFinish(atFinish))...)
		if openErr != nil {
			return nil, reconstructed(openErr, cc.Target())
		}
		return &recordedStream{clientStream: newClientStream(cs, desc, done), call: call, target: cc.Target()}, nil
	}
}

func (i *Recording) startClient(ctx context.Context, method string, cc *grpc.ClientConn, kind metrics.RPCType) *record.Call {
	m := i.recorder.RPCClientMethod(method, cc.Target(), kind)
	if i.adopt {
		return i.recorder.ShadowRPCClient(ctx, m)
	}
	return i.recorder.StartRPCClient(ctx, m)
}

// outgoing returns the call's context with its identity in the metadata.
func (i *Recording) outgoing(call *record.Call) context.Context {
	out := call.Outgoing()
	var buf [12]string
	kv := buf[:0]
	add := func(key, value string) {
		if value != "" {
			kv = append(kv, key, value)
		}
	}
	if !i.adopt { // otelgrpc injects these itself
		add(ctxutil.KeyTraceparent, out.Traceparent)
		add(ctxutil.KeyTracestate, out.Tracestate)
		add(ctxutil.KeyBaggage, out.Baggage)
		add(ctxutil.KeyTraceID, out.TraceID)
		kv = appendInjected(kv, call)
	}
	add(ctxutil.KeyRequestID, out.RequestID)
	if n := retry.PreviousAttempts(call); n > 0 {
		add(keyPreviousAttempts, strconv.Itoa(n))
	}
	kv = appendForwarded(kv, call, out.Forwarded)
	if len(kv) == 0 {
		return call
	}
	return metadata.AppendToOutgoingContext(withoutKeys(call, kv), kv...)
}

// appendInjected appends what propagators beyond W3C's have to say.
func appendInjected(kv []string, call *record.Call) []string {
	var md metadata.MD
	call.Inject(func() ctxutil.Carrier {
		md = metadata.MD{}
		return ctxutil.MetadataCarrier(md)
	})
	for k, vs := range md {
		for _, v := range vs {
			kv = append(kv, k, v)
		}
	}
	return kv
}

// appendForwarded appends the forwarded headers that the call does not have
// itself.
func appendForwarded(kv []string, call *record.Call, headers []ctxutil.Header) []string {
	if len(headers) == 0 {
		return kv
	}
	own, _ := metadata.FromOutgoingContext(call)
	for _, h := range headers {
		if len(own[h.Key]) > 0 {
			continue
		}
		for _, v := range h.Values {
			kv = append(kv, h.Key, v)
		}
	}
	return kv
}

// withoutKeys returns ctx without outgoing metadata of the keys in kv, which
// somebody who forwards all metadata may have put there: a second traceparent
// would make the first one count or neither.
func withoutKeys(ctx context.Context, kv []string) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx) // a copy, if there is any
	if !ok {
		return ctx
	}
	clash := false
	for i := 0; i < len(kv); i += 2 {
		if _, there := md[kv[i]]; there {
			clash = true
			delete(md, kv[i])
		}
	}
	if !clash {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md)
}
