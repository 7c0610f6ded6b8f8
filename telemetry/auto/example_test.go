// SPDX-License-Identifier: Apache-2.0

package auto_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"

	"github.com/fairlead-go/fairlead/telemetry/auto"
)

// The import has done everything: code that knows only the OpenTelemetry API
// makes real spans. A real program calls auto.Shutdown last.
func Example() {
	_, span := otel.Tracer("example").Start(context.Background(), "work")
	defer span.End()
	fmt.Println(auto.Err(), span.SpanContext().IsValid())
	// Output: <nil> true
}
