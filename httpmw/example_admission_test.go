// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// hello is a handler that has nothing to do.
var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })

// A server answers so many requests a second, and says when there is room again.
func ExampleRateLimit() {
	limit, err := ratelimit.New("greeter", 0.001, 1) // a request every 1000 s
	if err != nil {
		log.Fatal(err)
	}
	h := httpmw.Chain(hello, httpmw.RateLimit(limit))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Println(w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	// Output:
	// 200  hello
	// 429 1000 {"detail":"rate limited","policy":"rate_limit","reason":"rate limited","status":429,"title":"Too Many Requests","type":"tag:fairlead-go.github.io,2026:rejected"}
}

// Inside of the mux each client has a limit of its own for each route.
func ExampleKeyedRateLimit() {
	limit, err := ratelimit.NewKeyed("greeter", 0.001, 1)
	if err != nil {
		log.Fatal(err)
	}
	limited := httpmw.KeyedRateLimit(limit, nil) // by httpmw.PeerKey
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", limited(hello))
	mux.Handle("GET /stock/{sku}", limited(hello))
	for _, path := range []string{"/orders/1", "/orders/2", "/stock/a"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /orders/1 200
	// /orders/2 429
	// /stock/a 200
}

// A server handles so many requests at once, and so many a second: both must pass.
func ExampleConcurrency() {
	perSecond, err := ratelimit.New("greeter", 500, 100)
	if err != nil {
		log.Fatal(err)
	}
	atOnce, err := ratelimit.NewConcurrency("greeter", 1)
	if err != nil {
		log.Fatal(err)
	}
	var h http.Handler
	h = httpmw.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" { // another one comes meanwhile
			second := httptest.NewRecorder()
			h.ServeHTTP(second, httptest.NewRequest(http.MethodGet, "/second", nil))
			fmt.Println("second:", second.Code)
		}
	}), httpmw.Concurrency(ratelimit.NewBoth(perSecond, atOnce)))
	first := httptest.NewRecorder()
	h.ServeHTTP(first, httptest.NewRequest(http.MethodGet, "/first", nil))
	fmt.Println("first:", first.Code)
	// Output:
	// second: 429
	// first: 200
}

// A server finds out by itself how many requests it has capacity for, and refuses the
// rest, those that matter most last.
func ExampleShed() {
	shedder, err := shed.New("greeter")
	if err != nil {
		log.Fatal(err)
	}
	h := httpmw.Chain(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Println("working:", shedder.Snapshot().InFlight)
		_ = http.NewResponseController(w).Flush() // an event stream begins
		fmt.Println("streaming:", shedder.Snapshot().InFlight)
	}), httpmw.Shed(shedder))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/events", nil))
	// Output:
	// working: 1
	// streaming: 0
}

// A refusal is the same in the caller, and in its caller.
func ExampleCheckResponse() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpmw.WriteError(w, r, fmt.Errorf("charging: %w", &resilience.RejectedError{
			Policy: resilience.PolicyBreaker, Name: "bank", Reason: "open", RetryAfter: 12 * time.Second,
		}))
	}))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	err = httpmw.CheckResponse(resp)
	refusal, _ := errors.AsType[*resilience.RejectedError](err)
	fmt.Println(resp.Status, errors.Is(err, resilience.ErrOpen), refusal.Reason, refusal.RetryAfter, refusal.Remote)
	// Output:
	// 503 Service Unavailable true open 12s true
}

func ExampleWriteError() {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/orders/7", nil)
	httpmw.WriteError(w, r, errors.New("dial tcp 10.0.0.7:5432: connection refused"))
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 500 {"status":500,"title":"Internal Server Error","type":"about:blank"}
}
