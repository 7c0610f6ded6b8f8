// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
)

func ExampleNewServer() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	srv, err := httpmw.NewServer("127.0.0.1:0", hello, httpmw.WithPlaintext())
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", srv.Addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- httpmw.Serve(srv, ln) }()

	client, err := httpmw.NewClient("hello", httpmw.WithPlaintext(), httpmw.WithTimeout(2*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Get("http://" + ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	fmt.Printf("%s %s\n", resp.Status, body)

	_ = srv.Shutdown(context.Background())
	fmt.Println(<-served)
	// Output:
	// 200 OK hello
	// http: Server closed
}

// Without a word about TLS there is no server.
func ExampleNewServer_tlsIsTheDefault() {
	_, err := httpmw.NewServer(":8443", http.NotFoundHandler())
	fmt.Println(err)
	_, err = httpmw.NewServer(":8443", http.NotFoundHandler(), httpmw.WithTLS(&tls.Config{}))
	fmt.Println(err)
	// Output:
	// httpmw: NewServer: TLS: exactly one of WithTLS and WithPlaintext is required
	// httpmw: NewServer: TLS: the config has no certificate
}

func ExampleCheckTTL() {
	srv, err := httpmw.NewServer(":8080", http.NotFoundHandler(), httpmw.WithPlaintext())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(httpmw.CheckTTL(srv, 30*time.Second))
	fmt.Println(httpmw.CheckTTL(srv, 25*time.Second))
	// Output:
	// <nil>
	// httpmw: CheckTTL: IdleTimeout 25s: must be above zero and below the registry TTL of 25s
}

func ExampleNewClient() {
	payment, err := httpmw.NewClient("payment", httpmw.WithTimeout(2*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = payment.Get("http://payment.internal/charge")
	fmt.Println(errors.Is(err, httpmw.ErrPlaintext))
	fmt.Println(err)
	// Output:
	// true
	// Get "http://payment.internal/charge": httpmw: client "payment": plain http refused
}

func ExampleWithTransports() {
	signed := func(next http.RoundTripper) http.RoundTripper {
		return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("X-Signature", "…")
			fmt.Println("signed", r.URL)
			return next.RoundTrip(r)
		})
	}
	client, err := httpmw.NewClient("ledger", httpmw.WithTransports(signed))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Get("http://ledger.internal/entries")
	fmt.Println(errors.Is(err, httpmw.ErrPlaintext))
	// Output:
	// signed http://ledger.internal/entries
	// true
}

func ExampleChain() {
	named := func(name string) httpmw.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Println(name)
				next.ServeHTTP(w, r)
			})
		}
	}
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fmt.Println("handler") })
	httpmw.Chain(handler, named("outermost"), named("inner")).ServeHTTP(nil, nil)
	// Output:
	// outermost
	// inner
	// handler
}
