// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

func Example() {
	// A limit of one, so that the second call is too much.
	s, err := shed.New("orders", shed.WithInitialLimit(1), shed.WithMinLimit(1), shed.WithRetryAfter(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	lease, err := s.Allow(ctx, shed.PriorityNormal)
	fmt.Println("first: ", err)
	_, err = s.Allow(ctx, shed.PriorityNormal)
	fmt.Println("second:", err, errors.Is(err, resilience.ErrOverloaded))
	health, err := s.Allow(ctx, shed.PriorityHealth)
	fmt.Println("health:", err)
	health.Done(ctx, resilience.OutcomeOK)
	lease.Done(ctx, resilience.OutcomeOK)
	// Output:
	// first:  <nil>
	// second: shed "orders": overloaded true
	// health: <nil>
}

func ExampleShedder_Do() {
	s, err := shed.New("orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Do(context.Background(), shed.PriorityNormal, func(context.Context) error {
		fmt.Println("in flight:", s.Snapshot().InFlight)
		return nil
	})
	fmt.Println(err, s.Snapshot().InFlight)
	// Output:
	// in flight: 1
	// <nil> 0
}

func ExampleWithPriorities() {
	s, err := shed.New("orders", shed.WithPriorities(func(ctx context.Context, method string) shed.Priority {
		switch {
		case strings.HasPrefix(method, "/orders.Payments/"):
			return shed.PriorityCritical
		case strings.HasPrefix(method, "/orders.Reports/"):
			return shed.PrioritySheddable
		default:
			return shed.ByMethod(ctx, method)
		}
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for _, method := range []string{"/orders.Payments/Pay", "/orders.Reports/Monthly", "/orders.Orders/Get", "/readyz"} {
		fmt.Println(method, s.Priority(ctx, method))
	}
	batch := shed.ContextWithPriority(ctx, shed.PrioritySheddable)
	fmt.Println("in a batch:", s.Priority(batch, "/orders.Orders/Get"))
	// Output:
	// /orders.Payments/Pay critical
	// /orders.Reports/Monthly sheddable
	// /orders.Orders/Get normal
	// /readyz health
	// in a batch: sheddable
}

func ExampleNew_badValue() {
	_, err := shed.New("orders", shed.WithTolerance(0.5), shed.WithSmoothing(2))
	fmt.Println(err)
	// Output:
	// shed: smoothing 2: must be more than 0 and at most 1
	// shed: tolerance 0.5: must be from 1 to 10
}
