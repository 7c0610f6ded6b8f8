// SPDX-License-Identifier: Apache-2.0

package fallback_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

func ExampleFallback_Do() {
	popular, err := fallback.New("recommendations", fallback.Value([]string{"anchor", "rope"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	recommend := func(context.Context) ([]string, error) { return nil, errors.New("connection refused") }
	fmt.Println(popular.Do(context.Background(), recommend))
	// Output: [anchor rope] true <nil>
}

// A fallback may know the reason, and may fail itself.
func ExampleNew() {
	last, err := fallback.New("price", func(_ context.Context, err error) (int, error) {
		if errors.Is(err, resilience.ErrOpen) {
			return 100, nil // as of yesterday
		}
		return 0, errors.New("no price known")
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	fmt.Println(last.Do(ctx, func(context.Context) (int, error) {
		return 0, &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "price", Reason: "open"}
	}))
	fmt.Println(last.Do(ctx, func(context.Context) (int, error) { return 0, errors.New("connection refused") }))
	// Output:
	// 100 true <nil>
	// 0 false connection refused; fallback "price": no price known
}

// An empty list is a good answer to a question about something that is not there.
func ExampleWithErrors() {
	errNotFound := errors.New("not found")
	empty, err := fallback.New("reviews", fallback.Value([]string{}), fallback.WithErrors(errNotFound))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(empty.Apply(context.Background(), resilience.OutcomeClientFault, errNotFound))
	// Output: [] true <nil>
}
