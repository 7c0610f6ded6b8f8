// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// mostCalls is what a service that fails may get for each request.
const mostCalls = 1.2

// chained is a way through three hops.
type chained struct {
	name string
	way  []protocol
}

// chains are those that are tried. The race detector, which takes ten times as long,
// has to do with the one that has a bit of everything.
var chains = func() []chained {
	if raceEnabled {
		return allChains[2:]
	}
	return allChains
}()

var allChains = []chained{
	{"gRPC", []protocol{grpcHop, grpcHop, grpcHop}},
	{"HTTP", []protocol{httpHop, httpHop, httpHop}},
	{"HTTP gRPC HTTP", []protocol{httpHop, grpcHop, httpHop}},
}

// naive are retries as everybody makes them.
var naive = chainOption{
	each: []policies.ClientOption{
		policies.Retry(retry.WithNestedRetries(), retry.WithBackoff(time.Millisecond, time.Millisecond)),
		policies.NoBudget(), policies.NoBreaker(),
	},
	careless: true,
}

// withoutBreakers leaves retries alone to keep a storm away: their budget, that they
// are not nested, and push-back.
var withoutBreakers = chainOption{each: []policies.ClientOption{policies.NoBreaker()}}

// notNested are naive retries, but none of what is being retried further up.
var notNested = chainOption{
	each: []policies.ClientOption{
		policies.Retry(retry.WithBackoff(time.Millisecond, time.Millisecond)), policies.NoBudget(), policies.NoBreaker(),
	},
	careless: true,
}

// amplification is how many calls each service got for a request.
func amplification(before, after []int64, requests int) (factors []float64, text string) {
	for i := range after {
		f := float64(after[i]-before[i]) / float64(requests)
		factors = append(factors, f)
		text += fmt.Sprintf(" %.2f", f)
	}
	return factors, text
}

// outage is a storm to be: what is offered while the last service fails, for how
// long, and how many calls it may get for each request.
type outage struct {
	name        string
	option      chainOption
	load        load
	lasts       time.Duration
	least, most float64
}

// TestStorm: the last of three services fails every call, and everybody on the way
// retries twice. What the others make of that is what it has to bear on top.
func TestStorm(t *testing.T) {
	var trials []trial
	for _, o := range []outage{
		{"naive", naive, load{perSecond: 10, patience: time.Minute}, 2 * time.Second, 20, 27},
		{"defaults", chainOption{}, load{perSecond: 100, patience: 2 * time.Second}, 4 * time.Second, 0, mostCalls},
		{"without breakers", withoutBreakers, load{perSecond: 100, patience: time.Minute}, 4 * time.Second, 1, mostCalls},
	} {
		for _, c := range chains {
			trials = append(trials, trial{o.name + "/" + c.name, func(t *testing.T) func() *verdict {
				chain := newChain(t, onLoopback, c.way, o.option)
				return func() *verdict { return o.strike(t.Context(), chain) }
			}})
		}
	}
	together(t, trials)
}

// TestLongStorm is an outage that lasts, in virtual time.
func TestLongStorm(t *testing.T) {
	for _, o := range []outage{
		{"defaults", chainOption{}, load{perSecond: 50, patience: 2 * time.Second}, 20 * time.Second, 0, mostCalls},
		{"without breakers", withoutBreakers, load{perSecond: 50, patience: 2 * time.Second}, 20 * time.Second, 1, mostCalls},
		{"no retries of retries", notNested, load{perSecond: 20, patience: 2 * time.Second}, 2 * time.Second, 7, 7},
	} {
		for _, c := range chains {
			t.Run(o.name+"/"+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { o.strike(t.Context(), newChain(t, inMemory, c.way, o.option)).tell(t) })
			})
		}
	}
}

// strike lets the last service of a chain fail.
func (o outage) strike(ctx context.Context, c *chain) *verdict {
	well := o.load.run(ctx, 500*time.Millisecond, c.call())
	before := c.arrived()
	c.last.fail(0)
	ill := o.load.run(ctx, o.lasts, c.call())
	factors, text := amplification(before, c.arrived(), len(ill))
	v := &verdict{}
	v.logf("%d requests, calls for each, hop by hop:%s; breakers %v", len(ill), text, c.breakers())
	if well.share() != 1 || ill.served() > 0 {
		v.faultf("%d of %d requests served before the outage, %d during it, want all and none", well.served(), len(well), ill.served())
	}
	if last := factors[len(factors)-1]; last < o.least || last > o.most {
		v.faultf("%.2f calls to the last service for each request, want %v to %v", last, o.least, o.most)
	}
	return v
}
