// SPDX-License-Identifier: Apache-2.0

package resilience_test

import (
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

func TestRejectedErrorReads(t *testing.T) {
	for _, tc := range []struct {
		e    resilience.RejectedError
		want string
	}{
		{resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "payment", Reason: "open", RetryAfter: 12 * time.Second}, `breaker "payment": open; retry after 12s`},
		{resilience.RejectedError{Policy: resilience.PolicyBulkhead, Name: "payment", Reason: "full"}, `bulkhead "payment": full`},
		{resilience.RejectedError{Policy: resilience.PolicyConcurrency, Name: "order", Reason: "too many calls at once", RetryAfter: 100 * time.Millisecond}, `concurrency "order": too many calls at once; retry after 100ms`},
		{resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "order", Reason: "open", RetryAfter: 12 * time.Second, Remote: true}, `breaker "order" (remote): open; retry after 12s`},
		{resilience.RejectedError{Policy: resilience.PolicyBreaker, Reason: "open"}, `breaker: open`},
		{resilience.RejectedError{Policy: resilience.PolicyBreaker, Reason: "open", Remote: true}, `breaker (remote): open`},
		{resilience.RejectedError{Policy: resilience.PolicyShed, Name: "order", Remote: true}, `shed "order" (remote): rejected`},
		{resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "a\n\"b\"", Reason: "open"}, `breaker "a\n\"b\"": open`},
	} {
		if got := tc.e.Error(); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}
