// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

// A call that fails is replied to with what is known from before. The log says so, and
// the trailer to those who look.
func ExampleFallback() {
	popular, err := fallback.New("popular", fallback.Value(&testgrpc.SimpleResponse{Username: "ada"}))
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer()
	client, stop := connect(srv, func(context.Context) error { return status.Error(codes.Unavailable, "down") },
		interceptors.DialOptions(
			interceptors.Record(newRecorder()),
			interceptors.Fallback(popular, "/grpc.testing.TestService/UnaryCall"))...)
	defer stop()

	var trailer metadata.MD
	reply, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{}, grpc.Trailer(&trailer))
	fmt.Println(reply.GetUsername(), err, trailer.Get(interceptors.KeyDegraded))
	// Output:
	// ada <nil> [true]
}
