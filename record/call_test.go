// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// TestFromContext: a call is found by what is done for it, and not by work that
// was detached from it, which outlives it.
func TestFromContext(t *testing.T) {
	r, err := record.New()
	if err != nil {
		t.Fatal(err)
	}
	if record.FromContext(t.Context()) != nil {
		t.Error("a call was found where there is none")
	}
	call := r.StartRPCServer(t.Context(), r.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
	inner := context.WithValue(call, struct{}{}, 1)
	if got := record.FromContext(inner); got != call {
		t.Errorf("FromContext = %p, want the call %p", got, call)
	}
	found := make(chan *record.Call)
	ctxutil.Detach(inner, "later", time.Minute, func(ctx context.Context) error {
		if ctxutil.TraceID(ctx) != call.TraceID() {
			t.Error("detached work lost the identity")
		}
		found <- record.FromContext(ctx)
		return nil
	})
	if got := <-found; got != nil {
		t.Errorf("detached work found the call %p, want none", got)
	}
	call.FinishRPC(record.NewRPCStatus(true, 0, resilience.OutcomeOK), "")
	if call.Duration() <= 0 {
		t.Errorf("a finished call took %v", call.Duration())
	}
}
