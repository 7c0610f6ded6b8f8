// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"

	"github.com/fairlead-go/fairlead"
)

// A service with one HTTP route, and a client of it with the same care.
func Example() {
	svc, err := fairlead.New("greeter",
		fairlead.WithPlaintext(),
		fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithLogHandler(slog.DiscardHandler))
	if err != nil {
		log.Fatal(err)
	}
	svc.HTTP().HandleFunc("GET /greet/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.PathValue("name"))
	})
	client, err := svc.HTTPClient("greeter")
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- svc.Run(ctx) }()

	resp, err := client.Get("http://" + svc.Addr("http") + "/greet/ada")
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Println(string(body))
	fmt.Println("trace id:", len(resp.Header.Get("X-Trace-ID")), "digits")

	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// hello, ada
	// trace id: 32 digits
	// stopped: <nil>
}

// Options that are wrong are named, all of them at once, when the service is
// made.
func ExampleNew() {
	_, err := fairlead.New("greeter", fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithDrainTimeout(-1))
	fmt.Println(err)
	// Output:
	// fairlead: New: WithDrainTimeout: -1ns is not positive
	// a server needs WithTLS or, asked for by name, WithPlaintext
}
