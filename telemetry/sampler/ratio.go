// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Ratio samples this fraction, 0 to 1, of the traces. The trace id decides, so
// services with the same fraction choose the same traces, and a smaller fraction
// chooses a subset. It is sdktrace.TraceIDRatioBased with the fraction checked.
func Ratio(fraction float64) (sdktrace.Sampler, error) {
	if !(fraction >= 0 && fraction <= 1) { // not NaN either
		return nil, fmt.Errorf("sampler: Ratio: fraction is %v, must be between 0 and 1", fraction)
	}
	return sdktrace.TraceIDRatioBased(fraction), nil
}

// ParentBased follows the decision of the parent span, remote or local, and asks
// root only for traces that start here. It panics if root is nil.
func ParentBased(root sdktrace.Sampler) sdktrace.Sampler {
	if root == nil {
		panic("sampler: ParentBased: nil root")
	}
	return sdktrace.ParentBased(root)
}
