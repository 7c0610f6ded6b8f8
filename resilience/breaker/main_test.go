// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ok             = resilience.OutcomeOK
	clientFault    = resilience.OutcomeClientFault
	serverFault    = resilience.OutcomeServerFault
	transient      = resilience.OutcomeTransient
	overload       = resilience.OutcomeOverload
	canceled       = resilience.OutcomeCanceled
	callerDeadline = resilience.OutcomeCallerDeadline
	timedOut       = resilience.OutcomeTimeout
	rejected       = resilience.OutcomeRejected
)

const (
	closed   = resilience.StateClosed
	halfOpen = resilience.StateHalfOpen
	open     = resilience.StateOpen
)

var errDown = errors.New("down")

// newBreaker returns a breaker that trips at the fourth failure of four, is open
// for 5 s and wants 2 probes.
func newBreaker(t testing.TB, opts ...breaker.Option) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New("payment", breaker.Options(
		breaker.WithMinCalls(4), breaker.WithOpenTime(5*time.Second), breaker.WithJitter(0),
		breaker.WithProbes(2), breaker.WithProbeLease(30*time.Second)), breaker.Options(opts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// allow wants a call to be admitted.
func allow(t testing.TB, b *breaker.Breaker) breaker.Lease {
	t.Helper()
	lease, err := b.Allow(t.Context())
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return lease
}

// call makes n calls that end with outcome; all have to be admitted.
func call(t testing.TB, b *breaker.Breaker, n int, outcome resilience.Outcome) {
	t.Helper()
	for range n {
		lease := allow(t, b)
		lease.Done(t.Context(), outcome, 0, 0)
	}
}

func wantState(t testing.TB, b *breaker.Breaker, want resilience.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("state %v, want %v", got, want)
	}
}

// refused wants a call to be refused, and returns how.
func refused(t testing.TB, b *breaker.Breaker) *resilience.RejectedError {
	t.Helper()
	lease, err := b.Allow(t.Context())
	if err == nil {
		lease.Release()
		t.Fatal("admitted, want a refusal")
	}
	e, ok := errors.AsType[*resilience.RejectedError](err)
	if !ok {
		t.Fatalf("refused with %T, want *resilience.RejectedError", err)
	}
	return e
}

// leave calls f, of which nothing comes back.
func leave(b *breaker.Breaker, f func(context.Context) error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		_ = b.Do(context.Background(), f)
	}()
	<-done
}
