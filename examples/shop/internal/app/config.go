// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
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
	// serverTimeout bounds a request of a service that others find by name, and serverIdle
	// how long it keeps a connection that nobody uses: longer than its clients, so that
	// none sends a request on one that is being closed.
	serverTimeout, serverIdle, clientIdle = 5 * time.Second, 5 * time.Second, 4 * time.Second
	// ttl is how long the registry lists an instance that has died. It is longer than
	// what an instance gives its requests, and short enough to be seen.
	ttl = 8 * time.Second
	// drainWait is how long an instance that ends goes on taking requests when it is no
	// longer in the registry. All of this is on one machine: callers know within
	// milliseconds.
	drainWait = 100 * time.Millisecond
	// minBackoff and maxBackoff bound how long a registry that is away is left alone.
	minBackoff, maxBackoff = 100 * time.Millisecond, time.Second
	// confirmTime is how long instances are kept that the registry lost while it was away:
	// longer than it takes them to register again, which is at the next heartbeat.
	confirmTime = ttl/3 + 2*maxBackoff
)

// Scalable returns the services of which there can be several instances. Others find
// them by name, and what they keep is in a database that they share. Customers know
// one gateway, and nobody calls notify, which takes its work from a queue.
func Scalable() []string { return []string{Payment, Inventory, Order} }

// DefaultNamespace is the environment of the services, if nobody says otherwise.
const DefaultNamespace discovery.Namespace = "shop"

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
	// Registry is where services are registered and found; the default is one in the
	// memory of this process. One that nobody can register in finds what it says.
	Registry discovery.Catalog
	// Namespace is the environment that they are registered in; the default is
	// [DefaultNamespace].
	Namespace discovery.Namespace
	// Scale says of how many instances a service is to have more than one at the start;
	// see [Scalable].
	Scale map[string]int
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

// withDefaults returns the configuration with what was left out.
func (c Config) withDefaults() Config {
	if c.Registry == nil {
		c.Registry = memory.New()
	}
	c.Namespace = cmp.Or(c.Namespace, DefaultNamespace)
	return c
}

// Watching returns how the services, and others who call them, watch the registry.
func (c Config) Watching() []discovery.WatcherOption {
	return []discovery.WatcherOption{discovery.WithBackoff(minBackoff, maxBackoff), discovery.WithConfirmTime(confirmTime)}
}

func (c Config) gatewayAddr() string {
	if c.GatewayAddr == "" {
		return loopback
	}
	return c.GatewayAddr
}
