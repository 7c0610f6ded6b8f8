// SPDX-License-Identifier: Apache-2.0

package resilience_test

import (
	"fmt"
	"testing"

	"github.com/fairlead-go/fairlead/resilience"
)

func TestOutcomeNamesAreDistinct(t *testing.T) {
	seen := map[string]resilience.Outcome{}
	for o := resilience.OutcomeOK; o <= resilience.OutcomeRejected; o++ {
		name := o.String()
		if name == "" || name == "invalid" {
			t.Errorf("outcome %d has no name", o)
		}
		if other, dup := seen[name]; dup {
			t.Errorf("outcomes %d and %d are both %q", o, other, name)
		}
		seen[name] = o
	}
	if got := (resilience.OutcomeRejected + 1).String(); got != "invalid" {
		t.Errorf("an unknown outcome is %q, want invalid", got)
	}
}

func TestIsFault(t *testing.T) {
	for o, want := range map[resilience.Outcome]bool{
		resilience.OutcomeOK:             false,
		resilience.OutcomeClientFault:    false,
		resilience.OutcomeCanceled:       false,
		resilience.OutcomeServerFault:    true,
		resilience.OutcomeTransient:      true,
		resilience.OutcomeOverload:       true,
		resilience.OutcomeCallerDeadline: true,
		resilience.OutcomeTimeout:        true,
		resilience.OutcomeRejected:       true,
	} {
		if got := o.IsFault(); got != want {
			t.Errorf("%v.IsFault() = %v, want %v", o, got, want)
		}
	}
}

func ExampleOutcome() {
	o := resilience.OutcomeOverload
	fmt.Println(o, o.IsFault())
	// Output: overload true
}
