// SPDX-License-Identifier: Apache-2.0

// Package timeout bounds how long one attempt of a call may take, and tells a time
// limit of ours that passed from the caller's deadline and from a caller that gave
// up.
//
//	t, err := timeout.New("payment", 2*time.Second)
//	…
//	err = t.Do(ctx, func(ctx context.Context) error { … })
//	switch timeout.Outcome(ctx, err) {
//	case resilience.OutcomeTimeout:        // we stopped waiting: payment is slow
//	case resilience.OutcomeCallerDeadline: // the caller's time was over
//	}
//
// Whose doing it was travels as the cause of the context: [ctxutil.ErrTimeout]
// here, and so it counts against the downstream service in package breaker, which
// ignores the other two.
//
// It cannot stop a function that ignores its context: it waits for it. It is no
// deadline budget for a whole call: that is [ctxutil.WithBudget].
//
// # Cost
//
// Where the caller's deadline is nearer than the timeout, nothing is made: no
// context, no timer, no allocation.
package timeout
