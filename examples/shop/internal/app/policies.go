// SPDX-License-Identifier: Apache-2.0

package app

import (
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gateway"
	shoppolicies "github.com/fairlead-go/fairlead/examples/shop/policies"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// policies returns those of a service: what its file says, after what a file cannot
// say.
func (e *env) policies(name string) ([]policies.Option, error) {
	opts := []policies.Option{policies.WithObserver(e.journal.Observer(name))}
	overload := e.cfg.Faults[chaos.Payment].Overload
	switch {
	case e.cfg.Policies == shoppolicies.Off:
	case name == Gateway:
		opts = append(opts, policies.WithServer(policies.Shed(shed.WithPriorities(gateway.Priority))))
	case name == Payment && overload.PerSecond > 0:
		opts = append(opts, policies.WithServer(capacity(overload)...))
	}
	rules, err := shoppolicies.Read(e.cfg.Policies, name)
	return append(opts, rules...), err
}

// capacity are the limits of a service whose capacity is known: it refuses what is
// beyond, at once, instead of letting everybody wait.
func capacity(o chaos.Overload) []policies.ServerOption {
	burst := max(1, int(o.PerSecond/10)) // a tenth of a second's worth
	return []policies.ServerOption{
		policies.RateLimit(rate.Limit(o.PerSecond), burst),
		policies.Concurrency(2 * chaos.Workers),
	}
}
