// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// A server answers so many calls a second, and says when there is room again. To a
// client with a record a refusal is what it was on the server.
func ExampleRateLimit() {
	limit, err := ratelimit.New("greeter", 0.001, 1) // a call every 1000 s
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(interceptors.ServerOptions(interceptors.RateLimit(limit))...)

	client, stop := connect(srv, func(context.Context) error { return nil },
		interceptors.DialOptions(interceptors.Record(newRecorder()))...)
	defer stop()
	for range 2 {
		_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
		fmt.Println(status.Code(err), errors.Is(err, resilience.ErrRateLimited))
	}
	if refusal, ok := errors.AsType[*resilience.RejectedError](err); ok {
		fmt.Println(refusal.Policy, refusal.Name, refusal.Remote, refusal.RetryAfter.Round(time.Second))
	}
	// Output:
	// OK false
	// level=WARN msg="rpc client call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=RESOURCE_EXHAUSTED error.type=RESOURCE_EXHAUSTED outcome=overload error="rate limited"
	// ResourceExhausted true
	// rate_limit greeter true 16m40s
}

// Each client has a limit of its own for each method. Who a client is says its
// certificate or, without one, its address; a function of one's own may know better.
func ExampleKeyedRateLimit() {
	limit, err := ratelimit.NewKeyed("greeter", 0.001, 1)
	if err != nil {
		log.Fatal(err)
	}
	perClient := func(ctx context.Context, method string) ratelimit.Key {
		key := interceptors.PeerKey(ctx, method)
		key.Method = "" // one limit for all methods
		return key
	}
	srv := grpc.NewServer(interceptors.ServerOptions(interceptors.KeyedRateLimit(limit, perClient))...)

	client, stop := connect(srv, func(context.Context) error { return nil })
	defer stop()
	for range 2 {
		_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
		fmt.Println(status.Code(err))
	}
	// Output:
	// OK
	// ResourceExhausted
}

// A server handles so many calls at once, and so many a second: both must pass.
func ExampleConcurrency() {
	perSecond, err := ratelimit.New("greeter", 500, 100)
	if err != nil {
		log.Fatal(err)
	}
	atOnce, err := ratelimit.NewConcurrency("greeter", 1)
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(interceptors.ServerOptions(
		interceptors.Concurrency(ratelimit.NewBoth(perSecond, atOnce)))...)

	busy, done := make(chan struct{}), make(chan struct{})
	client, stop := connect(srv, func(context.Context) error { busy <- struct{}{}; <-done; return nil })
	defer stop()
	first := make(chan error)
	go func() {
		_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
		first <- err
	}()
	<-busy
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	close(done)
	fmt.Println(<-first)
	// Output:
	// rpc error: code = ResourceExhausted desc = too many calls at once
	// <nil>
}

// A server finds out by itself how many calls it has capacity for, and refuses the
// rest, those that matter most last.
func ExampleShed() {
	shedder, err := shed.New("greeter", shed.WithPriorities(func(ctx context.Context, method string) shed.Priority {
		if method == "/shop.Reports/Export" {
			return shed.PrioritySheddable
		}
		return shed.ByMethod(ctx, method) // health checks are the last to be refused
	}))
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(interceptors.ServerOptions(
		interceptors.Record(newRecorder()), interceptors.Recovery(), interceptors.Shed(shedder))...)

	client, stop := connect(srv, func(context.Context) error {
		fmt.Println("calls under way:", shedder.Snapshot().InFlight)
		return nil
	})
	defer stop()
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output:
	// calls under way: 1
	// level=INFO msg="rpc server call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=OK
	// <nil>
}
