// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// unsteady is a service that answers 503 to every request but each n-th.
func unsteady(n int32) *httptest.Server {
	var calls atomic.Int32
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%n != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "charged")
	}))
}

// A client of one downstream service, with all that belongs to it: one record for each
// request, its deadline, the service's policies, and a record for each attempt.
func ExamplePoliciesTransport() {
	srv := unsteady(2)
	defer srv.Close()
	rec, err := record.New(record.WithLogger(exampleLogger()))
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := policies.New(
		policies.WithObserver(record.PolicyEvents()),
		policies.WithService("payment",
			policies.Retry(retry.WithBackoff(time.Millisecond, time.Millisecond)),
			policies.Bulkhead(20),
			policies.Method("POST /refunds", policies.NoRetry())))
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := httpmw.NewClient("payment", httpmw.WithPlaintext(), httpmw.WithTransports(
		httpmw.RecordTransport(rec, "payment"),
		httpmw.DeadlineTransport(ctxutil.Budget{}),
		httpmw.PoliciesTransport(set.Service("payment")),
		httpmw.AttemptTransport(rec)))
	if err != nil {
		fmt.Println(err)
		return
	}
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodPut, srv.URL+"/charges/7", strings.NewReader("7 EUR"))
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output:
	// level=DEBUG msg="http client request" http.request.method=PUT server.address=payment url.path=/charges/7 http.response.status_code=200 attempts=2 request_bytes=5 response_bytes=7
	// 200 charged
}

// A POST may do its work twice, and is sent once, unless it has a key by which the
// server knows it again. When there is no other attempt, the last answer is the answer,
// and CheckResponse says why there is no other.
func ExampleRetryTransport() {
	srv := unsteady(2)
	defer srv.Close()
	policy, err := retry.New("payment", retry.WithMaxAttempts(3), retry.WithBackoff(time.Millisecond, 10*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: httpmw.RetryTransport(policy)(srv.Client().Transport)}
	charge := func(key string) {
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL+"/charges", strings.NewReader("7 EUR"))
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		if err := httpmw.CheckResponse(resp); err != nil {
			e, _ := errors.AsType[*resilience.AttemptsError](err)
			fmt.Println(resp.StatusCode, "after attempt", e.Attempts, "and no other:", e.Reason)
			return
		}
		fmt.Println(resp.StatusCode)
	}
	charge("")
	charge("order-7")
	charge("")
	charge("order-8")
	// Output:
	// 503 after attempt 1 and no other: not idempotent
	// 200
	// 503 after attempt 1 and no other: not idempotent
	// 200
}

// The second attempt is faster, and so it is the answer.
func ExampleHedgeTransport() {
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			<-r.Context().Done() // slow, until it is canceled
			return
		}
		_, _ = io.WriteString(w, "12 in stock, says attempt "+r.Header.Get(httpmw.HeaderPreviousAttempts)+"+1")
	}))
	defer srv.Close()
	policy, err := hedge.New("inventory", hedge.WithDelay(10*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: httpmw.HedgeTransport(policy)(srv.Client().Transport)}
	resp, err := client.Get(srv.URL + "/stock/17")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
	// Output: 12 in stock, says attempt 1+1
}

// A service that asks for patience gets it: nothing is sent to it for that long.
func ExampleBreakerTransport() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	b, err := breaker.New("payment", breaker.WithMinCalls(3), breaker.WithJitter(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: httpmw.BreakerTransport(b)(srv.Client().Transport)}
	for range 4 {
		resp, err := client.Get(srv.URL)
		if err != nil {
			rejected, _ := errors.AsType[*resilience.RejectedError](err)
			fmt.Println(errors.Is(err, gobreaker.ErrOpenState), rejected.Reason, "for", rejected.RetryAfter.Round(time.Second))
			return
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 503
	// 503
	// 503
	// true open for 30s
}

// A third party that allows ten requests a second gets no more; the next one waits.
func ExampleRateLimitTransport() {
	srv := unsteady(1)
	defer srv.Close()
	limit, err := ratelimit.New("geocoder", 10, 1, ratelimit.WithMaxWait(time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: httpmw.RateLimitTransport(limit)(srv.Client().Transport)}
	start := time.Now()
	for range 2 {
		resp, err := client.Get(srv.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	fmt.Println("at least 90ms for two:", time.Since(start) >= 90*time.Millisecond)
	// Output: at least 90ms for two: true
}

// A slot is taken for as long as the answer is read.
func ExampleBulkheadTransport() {
	srv := unsteady(1)
	defer srv.Close()
	b, err := bulkhead.New("reports", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: httpmw.BulkheadTransport(b)(srv.Client().Transport)}
	first, err := client.Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Get(srv.URL)
	fmt.Println("while it is read:", errors.Is(err, resilience.ErrOverloaded))
	first.Body.Close()
	second, err := client.Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	second.Body.Close()
	fmt.Println("after that:", second.StatusCode)
	// Output:
	// while it is read: true
	// after that: 200
}

// Each attempt goes out with an identity of its own, so that the spans of the servers
// are below the attempt that reached them.
func ExampleAttemptTransport() {
	srv := unsteady(3)
	defer srv.Close()
	rec, err := record.New(record.WithLogger(exampleLogger()))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := retry.New("payment", retry.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: httpmw.ChainTransport(srv.Client().Transport,
		httpmw.RecordTransport(rec, "payment"), httpmw.RetryTransport(policy), httpmw.AttemptTransport(rec))}
	resp, err := client.Get(srv.URL + "/charges/7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	// Output:
	// level=DEBUG msg="http client request" http.request.method=GET server.address=payment url.path=/charges/7 http.response.status_code=200 attempts=3 request_bytes=0 response_bytes=7
}
