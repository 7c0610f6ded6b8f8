// SPDX-License-Identifier: Apache-2.0

package policylog_test

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policylog"
)

// One line when a breaker opens and one when it closes, and none for the calls it
// refuses in between.
func ExampleObserver() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	observer := policylog.Observer(logger) // for the WithObserver of every policy

	ctx := context.Background()
	observer.StateChanged(ctx, resilience.StateChange{
		Name: "payment", From: resilience.StateClosed, To: resilience.StateOpen,
		Reason: "failure ratio 0.62 of 50 calls", OpenFor: 12 * time.Second,
		TraceID: "0af7651916cd43dd8448eb211c80319c",
	})
	observer.StateChanged(ctx, resilience.StateChange{
		Name: "payment", From: resilience.StateHalfOpen, To: resilience.StateClosed, Reason: "3 probes succeeded",
	})
	// Output:
	// level=WARN msg="circuit breaker opened" trace_id=0af7651916cd43dd8448eb211c80319c name=payment from=closed to=open reason="failure ratio 0.62 of 50 calls" open_for_ms=12000
	// level=INFO msg="circuit breaker closed" name=payment from=half-open to=closed reason="3 probes succeeded"
}
