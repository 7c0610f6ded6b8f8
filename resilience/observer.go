// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"context"
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// Observer is told what policies decide. Every function is optional.
//
// They are called synchronously, on the goroutine of the call that is decided
// upon, outside of any lock of the policy's: they may ask the policy whatever
// they want, but must not block.
type Observer struct {
	// Rejected is called for each call that is refused.
	Rejected func(ctx context.Context, e *RejectedError)
	// StateChanged is called when a breaker changes its state.
	StateChanged func(ctx context.Context, e StateChange)
	// Attempted is called after each attempt of a retried or hedged call.
	Attempted func(ctx context.Context, e Attempt)
	// LimitChanged is called when an adaptive limit has moved.
	LimitChanged func(ctx context.Context, e LimitChange)
	// FellBack is called when a degraded reply stood in for a failed call.
	FellBack func(ctx context.Context, e Fallback)
	// Degraded is called when a policy goes on without something it needs, such
	// as a shared limiter without its server, and again when it is back.
	Degraded func(ctx context.Context, e Degradation)
}

// State is the state of a breaker.
type State uint8

// The states.
const (
	StateClosed State = iota
	StateHalfOpen
	StateOpen
)

// String returns "closed", "half-open" or "open".
func (s State) String() string {
	switch s {
	case StateClosed:
		return "closed"
	case StateHalfOpen:
		return "half-open"
	case StateOpen:
		return "open"
	default:
		return "invalid"
	}
}

// StateChange is a breaker that changed its state.
type StateChange struct {
	Name     string
	From, To State
	// Reason says why: "failure ratio 0.62 of 50 calls", "probe failed", "forced".
	Reason string
	// OpenFor is how long the breaker will be open, if it is.
	OpenFor time.Duration
	// TraceID is the trace of the call that made the difference; may be empty.
	TraceID string
}

// Attempt is one attempt of a call.
type Attempt struct {
	Policy Policy // PolicyRetry or PolicyHedge
	Name   string
	Number int // 1 is the first
	Max    int
	Err    error
	// Outcome is how the attempt ended.
	Outcome Outcome
	// Again says that another attempt follows, after Backoff.
	Again   bool
	Backoff time.Duration
	// Reason says why there is no other attempt after one that failed.
	Reason string
	// Budget is how many retries the budget had left after this attempt's
	// decision; negative if there is no budget.
	Budget float64
}

// LimitChange is an adaptive limit that moved.
type LimitChange struct {
	Policy   Policy
	Name     string
	From, To int
}

// Fallback is a degraded reply.
type Fallback struct {
	Name string
	// Err is what made it necessary.
	Err error
}

// Degradation is a policy that goes on without something it needs.
type Degradation struct {
	Policy Policy
	Name   string
	// Since is when it began; zero if it is over.
	Since time.Time
	Err   error
}

// Observers returns an observer that tells each of obs in turn.
func Observers(obs ...Observer) Observer {
	var out Observer
	for _, o := range obs {
		out.Rejected = observe.BothWith(out.Rejected, o.Rejected)
		out.StateChanged = observe.BothWith(out.StateChanged, o.StateChanged)
		out.Attempted = observe.BothWith(out.Attempted, o.Attempted)
		out.LimitChanged = observe.BothWith(out.LimitChanged, o.LimitChanged)
		out.FellBack = observe.BothWith(out.FellBack, o.FellBack)
		out.Degraded = observe.BothWith(out.Degraded, o.Degraded)
	}
	return out
}
