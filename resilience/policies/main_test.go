// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

func mustNew(t testing.TB, opts ...policies.Option) *policies.Set {
	t.Helper()
	s, err := policies.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func down() retry.Result { return retry.Result{Outcome: resilience.OutcomeTransient, Err: errDown} }
