// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"math"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience/breaker"
)

func TestBadValues(t *testing.T) {
	const faults = "a fault of the downstream service: server_fault, transient, overload or timeout"
	for _, tc := range []struct {
		opt  breaker.Option
		want string
	}{
		{breaker.WithWindow(0), "window 0s: must be at least 1ms"},
		{breaker.WithWindow(-time.Second), "window -1s: must be at least 1ms"},
		{breaker.WithMinCalls(0), "min calls 0: must be at least 1"},
		{breaker.WithFailureRatio(0), "failure ratio 0: must be more than 0 and at most 1"},
		{breaker.WithFailureRatio(1.5), "failure ratio 1.5: must be more than 0 and at most 1"},
		{breaker.WithFailureRatio(math.NaN()), "failure ratio NaN: must be more than 0 and at most 1"},
		{breaker.WithSlowCalls(0, 0.5), "slow call threshold 0s: must be positive"},
		{breaker.WithSlowCalls(time.Second, 2), "slow call ratio 2: must be more than 0 and at most 1"},
		{breaker.WithPatience(-1), "patience -1ns: must be 0 or more"},
		{breaker.WithOpenTime(time.Nanosecond), "open time 1ns: must be at least 1ms"},
		{breaker.WithJitter(-0.1), "jitter -0.1: must be from 0 to 1"},
		{breaker.WithJitter(math.NaN()), "jitter NaN: must be from 0 to 1"},
		{breaker.WithRetryAfterBounds(0, time.Second), "min retry-after 0s: must be at least 1ms"},
		{breaker.WithRetryAfterBounds(time.Minute, time.Second), "max retry-after 1s: must be at least the min retry-after, 1m0s"},
		{breaker.WithProbes(0), "probes 0: must be from 1 to 1000"},
		{breaker.WithProbeLease(0), "probe lease 0s: must be at least 1ms"},
		{breaker.WithClassifier(nil), "classifier nil: must be a function"},
		{breaker.WithFailures(), "failures []: must be at least one outcome"},
		{breaker.WithFailures(canceled), "failures canceled: must be " + faults},
		{breaker.WithFailures(transient, clientFault), "failures client_fault: must be " + faults},
		{breaker.Options(breaker.WithProbes(-1), breaker.WithMinCalls(-1)), "min calls -1: must be at least 1\nbreaker: probes -1: must be from 1 to 1000"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			_, err := breaker.New("payment", tc.opt)
			if err == nil || err.Error() != "breaker: "+tc.want {
				t.Errorf("got %v, want breaker: %s", err, tc.want)
			}
		})
	}
	if _, err := breaker.New(""); err == nil || err.Error() != `breaker: name "": must not be empty` {
		t.Errorf("got %v, want an error about the name", err)
	}
}
