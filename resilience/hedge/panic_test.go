// SPDX-License-Identifier: Apache-2.0

package hedge_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// blowsUp is in the stack of a panic.
func blowsUp() { panic(errDown) }

// A panic of any attempt is the caller's, with the stack of where it happened, and the
// other attempts are over by then.
func TestPanic(t *testing.T) {
	for name, panics := range map[string]int{"the first": 1, "the second": 2, "one that lost": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, hedge.WithDelay(100*ms), hedge.WithMaxAttempts(3), hedge.WithoutBudget())
				over := make([]error, 3)
				began := time.Now()
				defer func() {
					v, ok := recover().(*hedge.PanicError)
					if !ok || v.Value != errDown || !errors.Is(v, errDown) || !strings.Contains(v.Error(), "blowsUp") {
						t.Fatalf("recovered %v", v)
					}
					if value, stack := v.Panicked(); value != errDown || !strings.Contains(string(stack), "blowsUp") {
						t.Errorf("Panicked() = %v and %s", value, stack)
					}
					if took := time.Since(began); took != 250*ms {
						t.Errorf("after %v, want 250ms", took)
					}
					for i, cause := range over {
						if i+1 != panics && cause != ctxutil.ErrHedgeLost && !(panics == 3 && i == 1) {
							t.Errorf("attempt %d was ended by %v, want %v", i+1, cause, ctxutil.ErrHedgeLost)
						}
					}
				}()
				hedge.Do(t.Context(), p, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
					switch {
					case panics == 3 && a.Number == 2: // the winner
						time.Sleep(150 * ms)
						return 0, retry.Result{}
					case panics == 3 && a.Number == 3:
						<-ctx.Done()
						blowsUp()
					case a.Number == panics:
						time.Sleep(250*ms - time.Since(began))
						blowsUp()
					}
					<-ctx.Done()
					over[a.Number-1] = context.Cause(ctx)
					return 0, retry.Result{}
				}, nil)
			})
		})
	}
}

// A call that is not hedged panics as if there were no policy.
func TestPanicWithoutHedge(t *testing.T) {
	defer func() {
		if v := recover(); v != errDown {
			t.Errorf("recovered %v", v)
		}
	}()
	hedge.Do(t.Context(), mustNew(t), func(context.Context, retry.Attempt) (int, retry.Result) { panic(errDown) }, nil)
}

func TestPanicWithoutError(t *testing.T) {
	defer func() {
		v, ok := recover().(*hedge.PanicError)
		if !ok || v.Value != "no error" || v.Unwrap() != nil || len(v.Stack) == 0 {
			t.Errorf("recovered %#v", v)
		}
	}()
	hedge.Do(t.Context(), mustNew(t, hedge.WithDelay(time.Hour)), func(context.Context, retry.Attempt) (int, retry.Result) { panic("no error") }, nil)
}

// PAINS 13: runtime.Goexit, as by t.FailNow, reports too.
func TestGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithDelay(100*ms))
		returned := false
		done := make(chan struct{})
		go func() {
			defer close(done)
			hedge.Do(t.Context(), p, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
				if a.Number == 2 {
					runtime.Goexit()
				}
				<-ctx.Done()
				return 0, retry.Result{}
			}, nil)
			returned = true
		}()
		<-done
		if returned {
			t.Error("Do returned a value that no attempt gave")
		}
	})
}

// Callbacks that panic leave no attempt behind: the bubble would not end. Its own context
// would end them, so that is not the call's.
func TestPanicOfCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, hedge.WithDelay(100*ms))
		defer func() {
			if v := recover(); v != errDown {
				t.Errorf("recovered %v", v)
			}
		}()
		hedge.Do(context.Background(), p, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
			if a.Number == 1 {
				time.Sleep(110 * ms)
				return 0, retry.Result{Outcome: resilience.OutcomeTransient, Err: errDown}
			}
			<-ctx.Done()
			return 0, retry.Result{}
		}, func(int) { panic(errDown) })
	})
}
