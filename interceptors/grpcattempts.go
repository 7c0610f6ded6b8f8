// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/record"
)

// GRPCAttempts makes the attempts of gRPC's own retries (the retryPolicy of a service
// config) visible, which take place below all interceptors. With this option to a
// connection whose interceptors have Record(r), each attempt gets a span of its own, a
// child of the call's and the parent of the called server's, and is counted in
// rpc_client_attempt_duration_seconds; and the log line of a call that needed several
// says how many. Without it, such a call is one span, one observation and one log line
// all the same.
//
// It costs a stats handler and a span an attempt, about 40 allocations. It is of no use
// together with [WithOTelGRPC], which makes spans of attempts anyway, nor with
// [Attempts], which is for retries by our policies. It panics if r is nil.
func GRPCAttempts(r *record.Recorder) grpc.DialOption {
	if r == nil {
		panic("interceptors: GRPCAttempts: nil recorder")
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
	// gRPC itself says how many attempts there were before.
	return context.WithValue(outgoingAttempt(ctx, a, 0), attemptKey{}, a)
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
