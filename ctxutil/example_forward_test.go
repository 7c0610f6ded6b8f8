// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// The tenant travels on from HTTP to gRPC; the cookie, which nobody listed, stays.
func ExampleForward() {
	forward, err := ctxutil.NewForward([]string{"X-Tenant", "X-Canary"})
	if err != nil {
		log.Fatal(err)
	}
	in := http.Header{"X-Tenant": {"acme"}, "Cookie": {"session=secret"}}
	headers, dropped := forward.Extract(ctxutil.HTTPCarrier(in))

	out := metadata.MD{}
	forward.Inject(headers, ctxutil.MetadataCarrier(out))
	fmt.Println(out["x-tenant"], "of", len(out), "sent,", dropped, "dropped")
	// Output: [acme] of 1 sent, 0 dropped
}

func ExampleWithForwarded() {
	ctx := context.Background() // in a handler: the request's

	ctx, err := ctxutil.WithForwarded(ctx, "X-Canary", "blue")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ctxutil.ForwardedValue(ctx, "x-canary"))
	fmt.Println(ctxutil.Forwarded(ctx))
	// Output:
	// blue
	// [{x-canary [blue]}]
}

func ExampleNewForward_refused() {
	_, err := ctxutil.NewForward([]string{"X-Tenant", "grpc-timeout"})
	fmt.Println(err)
	// Output: ctxutil: NewForward: header "grpc-timeout": the name is empty or reserved
}
