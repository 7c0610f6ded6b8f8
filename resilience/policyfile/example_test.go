// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"fmt"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/policyfile"
)

// The file has every key there is; see it for what they mean. Options in code come after
// it, as one more layer.
func ExampleReadFile() {
	opts, err := policyfile.ReadFile("testdata/full.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := policies.New(append(opts, policies.WithObserver(resilience.Observer{}))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	payment := set.Service("payment")
	fmt.Println("payment:", payment.Client().RateLimit.Snapshot().Limit, "calls a second,", payment.Client().Bulkhead.Snapshot().Max, "at once")
	for _, method := range payment.Methods() {
		c := payment.Method(method)
		fmt.Printf("%s: retried %v, hedged %v\n", method, c.Retry != nil, c.Hedge != nil)
	}
	// Output:
	// payment: 100 calls a second, 50 at once
	// GET /charges/{id}: retried false, hedged true
	// POST /charges: retried false, hedged false
}

func ExampleParse() {
	opts, err := policyfile.Parse([]byte(`
defaults:
  retry: {per_try_timeout: 500ms}
services:
  payment:
    rate_limit: {limit: 100, burst: 20}
    methods:
      POST /charges: {retry: off}
server:
  concurrency: {max: 200}
  shed: on
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := policies.New(opts...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("POST /charges is retried:", set.Service("payment").Method("POST /charges").Retry != nil)
	fmt.Println("GET /charges is retried:", set.Service("payment").Method("GET /charges").Retry != nil)
	fmt.Println("at once:", set.Server().Concurrency.Snapshot().Max)
	// Output:
	// POST /charges is retried: false
	// GET /charges is retried: true
	// at once: 200
}

// Everything that is wrong is told at once.
func ExampleParse_errors() {
	_, err := policyfile.Parse([]byte(`services:
  payment:
    retry:
      max_attempts: 0
      per_try_timeout: 500
      retry_on: [transient, client_fault]
    bulkead: {max: 50}
    methods:
      charges: {retry: off}
`))
	fmt.Println(err)
	// Output:
	// policyfile:4:21: services.payment.retry.max_attempts 0: must be at least 1, which is the first attempt
	// policyfile:5:24: services.payment.retry.per_try_timeout 500: must be a duration with its unit, such as 200ms or 1m30s
	// policyfile:6:29: services.payment.retry.retry_on client_fault: must be server_fault, transient, overload, timeout or rejected: no other changes when the call is made again
	// policyfile:7:5: services.payment.bulkead: unknown key: did you mean bulkhead?
	// policyfile:9:7: services.payment.methods.charges: must be a gRPC method such as "/pkg.Service/Method", all methods of a gRPC service such as "/pkg.Service/", or an HTTP pattern such as "POST /charges/{id}"
}
