// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stage is what is flushed and shut down of one signal.
type stage struct {
	signal   signal
	flush    func(context.Context) error
	shutdown func(context.Context) error
}

// ForceFlush exports what is waiting: traces, then metrics, then logs. Errors
// are joined. Call it where a process may be frozen, at the end of a cloud
// function for instance.
func (t *Telemetry) ForceFlush(ctx context.Context) error {
	return t.inTurn(ctx, "flush", func(s stage) func(context.Context) error { return s.flush })
}

// Shutdown exports what is waiting and stops everything: traces, then metrics,
// then logs. It takes no longer than ctx allows; a signal whose collector does
// not answer gets its share of that time only. What could not be exported is
// dropped and counted in [Telemetry.Stats]. Errors are joined. Later calls wait
// for the first and return its error.
//
// Without a deadline in ctx each signal is bounded by the time-out of one
// export (OTEL_EXPORTER_OTLP_TIMEOUT, 10 seconds) that fails.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	t.stopOnce.Do(func() { // a second caller waits here for the first
		t.stopErr = t.inTurn(ctx, "shut down", func(s stage) func(context.Context) error { return s.shutdown })
	})
	return t.stopErr
}

func (t *Telemetry) inTurn(ctx context.Context, doing string, of func(stage) func(context.Context) error) error {
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	var errs []error
	for i, s := range t.stages {
		sharing, cancel := share(ctx, len(t.stages)-i)
		if err := of(s)(sharing); err != nil {
			errs = append(errs, fmt.Errorf("telemetry: %s %s: %w", doing, s.signal.name, err))
		}
		cancel()
	}
	return errors.Join(errs...)
}

// share gives the first of n parts of the time left in ctx.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}
