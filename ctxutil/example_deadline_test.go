// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// A call gets what its caller allows, less the reserve for the reply.
func ExampleWithBudget() {
	budget, err := ctxutil.NewBudget(
		ctxutil.WithReserve(20*time.Millisecond),
		ctxutil.WithMaxTimeout(10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	request, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	ctx, cancel, err := ctxutil.WithBudget(request, budget)
	if err != nil {
		log.Fatal(err)
	}
	defer cancel()
	callers, _ := request.Deadline()
	ours, _ := ctx.Deadline()
	fmt.Println("held back:", callers.Sub(ours))
	// Output: held back: 20ms
}

// A call that cannot be answered in time is refused before it is sent.
func ExampleWithBudget_exhausted() {
	request, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()

	_, cancel, err := ctxutil.WithBudget(request, ctxutil.Budget{})
	defer cancel()
	fmt.Println(errors.Is(err, ctxutil.ErrBudgetExhausted), errors.Is(err, context.DeadlineExceeded))
	fmt.Println(err)
	// Output:
	// true true
	// ctxutil: deadline budget exhausted: 0s left, 0s reserved
}

// Over HTTP the deadline travels in X-Request-Timeout-Ms.
func ExampleTimeoutFrom() {
	sent := http.Header{}
	sent.Set(ctxutil.HeaderRequestTimeout, ctxutil.FormatTimeoutMillis(1500*time.Millisecond))

	timeout, ok := ctxutil.TimeoutFrom(ctxutil.HTTPCarrier(sent))
	fmt.Println(timeout, ok)
	// Output: 1.5s true
}

// Two requests end with the same error, for different reasons.
func ExampleEndedBy() {
	caller, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	ours, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, ctxutil.ErrTimeout)
	defer cancel()

	for _, ctx := range []context.Context{caller, ours} {
		<-ctx.Done()
		fmt.Println(ctx.Err(), "by", ctxutil.EndedBy(ctx))
	}
	// Output:
	// context deadline exceeded by caller_deadline
	// context deadline exceeded by timeout
}
