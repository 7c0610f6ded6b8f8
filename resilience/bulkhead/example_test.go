// SPDX-License-Identifier: Apache-2.0

package bulkhead_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
)

func ExampleBulkhead_Allow() {
	b, err := bulkhead.New("payment", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	first, err := b.Allow(ctx)
	fmt.Println(err)
	_, err = b.Allow(ctx)
	fmt.Println(err, errors.Is(err, resilience.ErrOverloaded))
	first.Done()
	second, err := b.Allow(ctx)
	fmt.Println(err)
	second.Done()
	// Output:
	// <nil>
	// bulkhead "payment": full true
	// <nil>
}

// Up to fifty calls wait for one of twenty slots, for a tenth of a second each.
func ExampleWithQueue() {
	b, err := bulkhead.New("payment", 20, bulkhead.WithQueue(50, 100*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = b.Do(context.Background(), func(context.Context) error {
		fmt.Printf("%+v\n", b.Snapshot())
		return nil
	})
	fmt.Println(err)
	// Output:
	// {Name:payment InFlight:1 Max:20 Queued:0 MaxQueue:50}
	// <nil>
}
