// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"fmt"
	"net/http"

	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// A gateway hands two headers of an HTTP request on to a gRPC call. The -bin one
// is base64 over HTTP and bytes over gRPC; content-type belongs to this hop.
func ExampleCopy() {
	in := http.Header{}
	in.Set("X-Tenant", "acme")
	in.Set("X-Token-Bin", "AP8=")
	in.Set("Content-Type", "application/json")

	out := metadata.MD{}
	n := ctxutil.Copy(ctxutil.MetadataCarrier(out), ctxutil.HTTPCarrier(in), "X-Tenant", "X-Token-Bin", "Content-Type")
	fmt.Println(n, "copied")
	fmt.Println(out["x-tenant"])
	fmt.Printf("%q\n", out["x-token-bin"])
	// Output:
	// 2 copied
	// [acme]
	// ["\x00\xff"]
}

func ExampleParseTraceparent() {
	in := ctxutil.HTTPCarrier(http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}})

	if sc, ok := ctxutil.ParseTraceparent(in.Get(ctxutil.HeaderTraceparent)); ok {
		fmt.Println(sc.TraceID(), "sampled:", sc.IsSampled())
	}
	// Output: 4bf92f3577b34da6a3ce929d0e0e4736 sampled: true
}

// X-Trace-ID may be a trace id, in either spelling, or the caller's own id.
func ExampleParseTraceID() {
	for _, header := range []string{"4BF92F35-77B3-4DA6-A3CE-929D0E0E4736", "order-4711", "two\r\nlines"} {
		if id, ok := ctxutil.ParseTraceID(header); ok {
			fmt.Println("trace id", id)
		} else if id, ok := ctxutil.SafeID(header); ok {
			fmt.Println("correlation id", id)
		} else {
			fmt.Println("ignored")
		}
	}
	// Output:
	// trace id 4bf92f3577b34da6a3ce929d0e0e4736
	// correlation id order-4711
	// ignored
}
