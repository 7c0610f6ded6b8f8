// SPDX-License-Identifier: Apache-2.0

package app

import (
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
)

// The names of the services.
const (
	Gateway   = "gateway"
	Order     = "order"
	Inventory = "inventory"
	Payment   = "payment"
	Notify    = "notify"
)

// Names returns the services in the order in which they start: each after those
// it calls. They stop the other way round.
func Names() []string { return []string{Notify, Payment, Inventory, Order, Gateway} }

const (
	// loopback is where everything listens but the gateway, if that is told to.
	loopback = "127.0.0.1:0"
	// drainTimeout bounds how long a service finishes what it has begun.
	drainTimeout = 10 * time.Second
)

// Config says how the shop runs. The zero value but for Dir is a healthy shop
// that logs nowhere and exports nothing.
type Config struct {
	// Dir is the folder of the databases; required.
	Dir string
	// GatewayAddr is where the gateway listens; the default is a free port of
	// the loopback interface.
	GatewayAddr string
	// Faults is what is wrong.
	Faults chaos.Faults
	// Policies is the folder of the services' policies, as package policies reads
	// it; empty is those that are compiled in.
	Policies string
	// OTLP sends traces, metrics and logs to a collector, as OTEL_* says.
	OTLP bool
	// Log is where the services' log lines go, in JSON, besides the traces that
	// are kept; nil is nowhere. It must be safe for concurrent use.
	Log io.Writer
	// Observe, if set, is called for each service before it starts, with its
	// metrics, and says who else sees its spans and log records. It is for tests.
	Observe func(service string, metrics prometheus.Gatherer) (sdktrace.SpanProcessor, slog.Handler)
}

func (c Config) gatewayAddr() string {
	if c.GatewayAddr == "" {
		return loopback
	}
	return c.GatewayAddr
}
