// SPDX-License-Identifier: Apache-2.0

package timeout_test

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience/timeout"
)

func ExampleTimeout_Do() {
	limit, err := timeout.New("payment", 20*time.Millisecond)
	if err != nil {
		fmt.Println(err)
		return
	}
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}

	ctx := context.Background()
	err = limit.Do(ctx, hang)
	fmt.Println(timeout.Outcome(ctx, err), "-", err)

	ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	err = limit.Do(ctx, hang)
	fmt.Println(timeout.Outcome(ctx, err), "-", err)
	// Output:
	// timeout - timeout "payment": exceeded 20ms
	// caller_deadline - context deadline exceeded
}
