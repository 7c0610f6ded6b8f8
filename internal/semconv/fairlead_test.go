// SPDX-License-Identifier: Apache-2.0

package semconv_test

import (
	"regexp"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// TestOwnAttributes: what the conventions have no name for must not take one of
// theirs, today's or tomorrow's
// (https://opentelemetry.io/docs/specs/semconv/general/naming/).
func TestOwnAttributes(t *testing.T) {
	form, seen := regexp.MustCompile(`^fairlead(\.[a-z]+(_[a-z]+)*)+$`), map[attribute.Key]bool{}
	for _, k := range []attribute.Key{
		semconv.DegradedKey, semconv.PolicyKey, semconv.PolicyNameKey, semconv.ReasonKey, semconv.RetryAfterKey,
		semconv.AttemptKey, semconv.MaxAttemptsKey, semconv.OutcomeKey, semconv.BackoffKey, semconv.BudgetRemainingKey,
		semconv.BreakerFromKey, semconv.BreakerToKey, semconv.OpenForKey,
	} {
		if !form.MatchString(string(k)) || seen[k] {
			t.Errorf("%s: must be one of a kind and begin with fairlead", k)
		}
		seen[k] = true
	}
}
