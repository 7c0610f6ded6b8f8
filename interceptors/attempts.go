// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
)

// Attempts makes the attempts of calls visible: under gRPC's own retries (the
// retryPolicy of a service config), or any others below [Record], one call is
// one span, one observation and one log line, whatever it took. With this
// option to a connection whose interceptors have Record(r), each attempt gets a
// span of its own, a child of the call's and the parent of the called server's,
// and is counted in rpc_client_attempt_duration_seconds; and the log line of a
// call that needed several says how many.
//
// It costs a stats handler and a span an attempt, about 40 allocations, and is
// of no use together with [WithOTelGRPC], which makes spans of attempts anyway.
// It panics if r is nil.
func Attempts(r *record.Recorder) grpc.DialOption {
	if r == nil {
		panic("interceptors: Attempts: nil recorder")
	}
	return grpc.WithStatsHandler(&attemptHandler{r})
}

type attemptHandler struct{ recorder *record.Recorder }

type attemptKey struct{}

// TagRPC implements [stats.Handler]: it begins an attempt.
func (h *attemptHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	ctx, a := h.recorder.StartAttempt(ctx)
	if a == nil {
		return ctx
	}
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	h.recorder.Propagator().Inject(ctx, ctxutil.MetadataCarrier(md))
	return context.WithValue(metadata.NewOutgoingContext(ctx, md), attemptKey{}, a)
}

// HandleRPC implements [stats.Handler]: it completes an attempt, and ends it.
func (h *attemptHandler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	a, ok := ctx.Value(attemptKey{}).(*record.Attempt)
	if !ok {
		return
	}
	switch s := s.(type) {
	case *stats.Begin:
		a.Begin(s.IsTransparentRetryAttempt)
	case *stats.OutHeader:
		a.SetPeer(s.RemoteAddr)
	case *stats.End:
		st := status.Convert(s.Error)
		a.Finish(clientStatuses.ofCode(st.Code()), st.Message())
	}
}

// TagConn implements [stats.Handler].
func (*attemptHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements [stats.Handler].
func (*attemptHandler) HandleConn(context.Context, stats.ConnStats) {}
