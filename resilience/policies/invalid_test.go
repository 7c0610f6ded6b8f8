// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// Each error names service, method, field, value and rule, and none is told twice.
func TestNewRefuses(t *testing.T) {
	payment := func(opts ...policies.ClientOption) []policies.Option {
		return []policies.Option{policies.WithService("payment", opts...)}
	}
	for _, tc := range []struct {
		name string
		opts []policies.Option
		want []string
	}{
		{
			"retry", payment(policies.Retry(retry.WithMaxAttempts(0))),
			[]string{`policies: service "payment": retry: max attempts 0: must be at least 1, which is the first attempt`},
		}, {
			"hedge", payment(policies.Hedge(hedge.WithQuantile(1))),
			[]string{`policies: service "payment": hedge: quantile 1: must be more than 0 and less than 1`},
		}, {
			"breaker", payment(policies.Breaker(breaker.WithFailureRatio(1.5), breaker.WithWindow(0))),
			[]string{
				`policies: service "payment": breaker: window 0s: must be at least 1ms`,
				`policies: service "payment": breaker: failure ratio 1.5: must be more than 0 and at most 1`,
			},
		}, {
			"rate limit", payment(policies.RateLimit(-1, 0)),
			[]string{
				`policies: service "payment": ratelimit: limit -1: must be more than 0 events per second, or rate.Inf`,
				`policies: service "payment": ratelimit: burst 0: must be at least 1`,
			},
		}, {
			"bulkhead", payment(policies.Bulkhead(0)),
			[]string{`policies: service "payment": bulkhead: max 0: must be at least 1`},
		}, {
			"budget", payment(policies.Budget(retry.WithShare(math.NaN()))),
			[]string{`policies: service "payment": retry: budget: share NaN: must be a fraction from 0 to 1`},
		}, {
			"a method", payment(policies.Method("/a/b", policies.Retry(retry.WithRetryOn(resilience.OutcomeClientFault)))),
			[]string{`policies: service "payment": method "/a/b": retry: retry on client_fault: must be server_fault, transient, overload, timeout or rejected: no other changes when the call is made again`},
		}, {
			"between layers", payment(
				policies.Retry(retry.WithOverallTimeout(time.Second)),
				policies.Method("/a/", policies.Retry(retry.WithPerTryTimeout(2*time.Second)))),
			[]string{`policies: service "payment": method "/a/": retry: per-try timeout 2s: must be shorter than the overall timeout, 1s`},
		}, {
			"the defaults, told once", []policies.Option{
				policies.WithDefaults(policies.Retry(retry.WithMaxAttempts(-1)), policies.Method("/a/b", policies.Retry())),
				policies.WithService("payment", policies.Retry(), policies.Method("/c/d", policies.Retry())),
				policies.WithService("order"),
			},
			[]string{`policies: defaults: retry: max attempts -1: must be at least 1, which is the first attempt`},
		}, {
			"a gRPC service, told once", payment(
				policies.Method("/a/", policies.Retry(retry.WithMaxAttempts(-1))),
				policies.Method("/a/b", policies.Retry(retry.WithPerTryTimeout(-1)))),
			[]string{
				`policies: service "payment": method "/a/": retry: max attempts -1: must be at least 1, which is the first attempt`,
				`policies: service "payment": method "/a/b": retry: per-try timeout -1ns: must not be negative`,
			},
		}, {
			"several services", []policies.Option{
				policies.WithService("payment", policies.Bulkhead(-1)),
				policies.WithService("order", policies.Bulkhead(-2)),
			},
			[]string{
				`policies: service "order": bulkhead: max -2: must be at least 1`,
				`policies: service "payment": bulkhead: max -1: must be at least 1`,
			},
		}, {
			"the server", []policies.Option{policies.WithServer(policies.RateLimit(0, 1), policies.Concurrency(0), policies.Shed(shed.WithMinLimit(0)))},
			[]string{
				`policies: server: ratelimit: limit 0: must be more than 0 events per second, or rate.Inf`,
				`policies: server: ratelimit: max 0: must be at least 1`,
				`policies: server: shed: min limit 0: must be at least 1`,
			},
		}, {
			"the set", []policies.Option{policies.WithMaxServices(1), policies.WithName(""), policies.WithService("", policies.Bulkhead(0)), policies.WithService("_OTHER")},
			[]string{
				`policies: name "": must not be empty`,
				`policies: max services 1: must be at least 1, and have room for the 2 that have options of their own`,
				`policies: service "": must not be empty`,
				`policies: service _OTHER: must be another name: this one stands for those beyond the most`,
			},
		}, {
			"what is switched off is not in the way", payment(policies.Breaker(breaker.WithWindow(0)), policies.NoBreaker(), policies.Bulkhead(0), policies.NoBulkhead()), nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := policies.New(tc.opts...)
			if err == nil {
				if tc.want != nil {
					t.Fatal("no error")
				}
				return
			}
			if s != nil {
				t.Error("a set in spite of the error")
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMethodNames(t *testing.T) {
	const (
		forms    = `must be a gRPC method such as "/pkg.Service/Method", all methods of a gRPC service such as "/pkg.Service/", or an HTTP pattern such as "POST /charges/{id}"`
		upper    = "must begin with an HTTP method in upper case: methods are case-sensitive"
		noHost   = "must have one space and a path that begins with a slash after the HTTP method, and no host: the service is it"
		notTaken = "must be a pattern that http.ServeMux takes: "
	)
	for name, want := range map[string]string{
		"/shop.Payment/Charge":            "",
		"/shop.Payment/":                  "",
		"/Payment/charge-all":             "",
		"GET /":                           "",
		"GET /charges":                    "",
		"POST /charges/{id}":              "",
		"GET /files/{path...}":            "",
		"GET /charges/{$}":                "",
		"PURGE /cache/":                   "",
		"":                                forms,
		"/":                               forms,
		"//":                              forms,
		"//Charge":                        forms,
		"/shop.Payment":                   forms,
		"/shop/Payment/Charge":            forms,
		"/charges/{id}":                   forms,
		"/charges/*":                      forms,
		"/shop.Payment/Char ge":           forms,
		"/shop.Payment/Charge\n":          forms,
		"shop.Payment/Charge":             forms,
		"Charge":                          forms,
		"GET":                             forms,
		"GET\t/charges":                   forms,
		"GET /charges\x00":                forms,
		" /charges":                       upper,
		"get /charges":                    upper,
		"Post /charges":                   upper,
		"GET charges":                     noHost,
		"GET payment.example.com/charges": noHost,
		"GET  /charges":                   noHost,
		"G ET /charges":                   noHost,
		"GET /{":                          notTaken + "at offset 5: bad wildcard segment (must end with '}')",
		"GET /{id}/{id}":                  notTaken + `at offset 10: duplicate wildcard name "id"`,
		"GET /a/../b":                     notTaken + "at offset 4: non-CONNECT pattern with unclean path can never match",
	} {
		_, err := policies.New(policies.WithService("payment", policies.Method(name)))
		if want != "" {
			want = `policies: service "payment": method ` + strconv.Quote(name) + ": " + want
		}
		if got := text(err); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

// One ServeMux has to take the patterns of a service; those of another are another's.
func TestPatternsOverlap(t *testing.T) {
	_, err := policies.New(policies.WithService("payment", policies.Method("GET /a/{x}"), policies.Method("GET /{y}/b")))
	want := `policies: service "payment": method "GET /{y}/b": must not match the same requests as "GET /a/{x}", or be more specific`
	if text(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	mustNew(t,
		policies.WithDefaults(policies.Method("GET /a/"), policies.Method("GET /a/{x}"), policies.Method("GET /a/b"), policies.Method("POST /{y}/b")),
		policies.WithService("payment", policies.Method("DELETE /a/{x}")),
		policies.WithService("order", policies.Method("DELETE /{y}/b")))
	if _, err := policies.New(
		policies.WithDefaults(policies.Method("GET /a/{x}")),
		policies.WithService("payment", policies.Method("GET /{y}/b"))); err == nil {
		t.Error("a pattern of a service that overlaps with one of the defaults is taken")
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
