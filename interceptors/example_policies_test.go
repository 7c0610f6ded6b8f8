// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// starting is a server that is not there yet for its first n calls.
func starting(n int) func(context.Context) error {
	return func(context.Context) error {
		if n--; n >= 0 {
			return status.Error(codes.Unavailable, "starting")
		}
		return nil
	}
}

// Everything that is said of a downstream service, for all of its methods: here retry
// and breaker by default, and what is set of this service.
func ExamplePolicies() {
	set, err := policies.New(policies.WithService("inventory",
		policies.Bulkhead(100),
		policies.Method("/grpc.testing.TestService/EmptyCall", policies.NoRetry())))
	if err != nil {
		log.Fatal(err)
	}
	rec := newRecorder()
	client, stop := connect(grpc.NewServer(), starting(2), interceptors.DialOptions(
		interceptors.Record(rec),
		interceptors.Policies(set.Service("inventory")),
		interceptors.Attempts(rec))...)
	defer stop()
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output: <nil>
}

// A call that fails by no fault of its own is made again, and if that was in vain the
// error says how often and why not once more.
func ExampleRetry() {
	policy, err := retry.New("inventory",
		retry.WithMaxAttempts(3),
		retry.WithBackoff(time.Millisecond, 10*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	client, stop := connect(grpc.NewServer(), starting(100), interceptors.DialOptions(interceptors.Retry(policy))...)
	defer stop()
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(status.Code(err), errors.Is(err, resilience.ErrAttemptsExhausted))
	fmt.Println(err)
	// Output:
	// Unavailable true
	// attempts exhausted after 3 attempts: rpc error: code = Unavailable desc = starting
}

// A call that takes long is sent once more, and the first answer counts.
func ExampleHedge() {
	policy, err := hedge.New("inventory", hedge.WithDelay(10*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	slow := make(chan bool, 1)
	slow <- true
	client, stop := connect(grpc.NewServer(), func(ctx context.Context) error {
		select {
		case <-slow: // the first of the two
			<-ctx.Done()
			return ctx.Err()
		default:
			return nil
		}
	}, interceptors.DialOptions(interceptors.Hedge(policy))...)
	defer stop()
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	// Output: <nil>
}

// A service that fails is left alone.
func ExampleBreaker() {
	b, err := breaker.New("inventory", breaker.WithMinCalls(2))
	if err != nil {
		log.Fatal(err)
	}
	client, stop := connect(grpc.NewServer(), starting(2), interceptors.DialOptions(interceptors.Breaker(b))...)
	defer stop()
	for range 3 {
		_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
		fmt.Println(status.Code(err), errors.Is(err, resilience.ErrOpen))
	}
	// Output:
	// Unavailable false
	// Unavailable false
	// Unavailable true
}

// A service is sent no more calls than was agreed upon: they wait for their turn, and if
// that is too long a wait they are refused.
func ExampleRateLimited() {
	l, err := ratelimit.New("inventory", 1, 1, ratelimit.WithMaxWait(100*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	client, stop := connect(grpc.NewServer(), starting(0), interceptors.DialOptions(interceptors.RateLimited(l))...)
	defer stop()
	for range 2 {
		_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
		fmt.Println(status.Code(err), errors.Is(err, resilience.ErrRateLimited))
	}
	// Output:
	// OK false
	// ResourceExhausted true
}

// A service that is slow has no more than its share of what this process does.
func ExampleBulkhead() {
	b, err := bulkhead.New("inventory", 1)
	if err != nil {
		log.Fatal(err)
	}
	arrived, leave := make(chan bool), make(chan bool)
	client, stop := connect(grpc.NewServer(), func(context.Context) error {
		arrived <- true
		<-leave
		return nil
	}, interceptors.DialOptions(interceptors.Bulkhead(b))...)
	defer stop()
	first := make(chan error)
	go func() {
		_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
		first <- err
	}()
	<-arrived
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(status.Code(err), errors.Is(err, resilience.ErrOverloaded))
	close(leave)
	fmt.Println(<-first)
	// Output:
	// Unavailable true
	// <nil>
}

// Each attempt has a span and is counted, and the call's line says how many there were.
func ExampleAttempts() {
	rec := newRecorder()
	policy, err := retry.New("inventory", retry.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	client, stop := connect(grpc.NewServer(), starting(3), interceptors.DialOptions(
		interceptors.Record(rec), interceptors.Retry(policy), interceptors.Attempts(rec))...)
	defer stop()
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(status.Code(err))
	// Output:
	// level=WARN msg="rpc client call" rpc.method=grpc.testing.TestService/UnaryCall rpc.response.status_code=UNAVAILABLE attempts=3 error.type=UNAVAILABLE outcome=transient error=starting
	// Unavailable
}

// A stream is retried for as long as what was sent is kept, and says so if it was not.
func ExampleWithReplay() {
	policy, err := retry.New("inventory", retry.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range []int{10, 11} {
		client, stop := connect(grpc.NewServer(), starting(1), interceptors.DialOptions(
			interceptors.Retry(policy, interceptors.WithReplay(10, 64<<10)))...)
		upload, err := client.StreamingInputCall(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		for range n {
			if err := upload.Send(&testgrpc.StreamingInputCallRequest{}); err != nil {
				break // CloseAndRecv says why
			}
		}
		_, err = upload.CloseAndRecv()
		fmt.Println(n, "messages:", err)
		stop()
	}
	// Output:
	// 10 messages: <nil>
	// 11 messages: not replayable after 1 attempts: stream cannot be replayed: more than 10 messages were sent: rpc error: code = Unavailable desc = starting
}
