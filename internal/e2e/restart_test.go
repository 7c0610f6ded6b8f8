// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/internal/drill"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// withoutRetries leaves callers with nothing but what the end of a server does
// for them.
var withoutRetries = fairlead.WithPolicies(policies.WithDefaults(policies.NoRetry(), policies.NoBreaker()))

// post is where one instance after the other runs.
type post struct {
	t        *testing.T
	registry discovery.Catalog
	config   drill.Config
	stop     func()
}

// begin starts an instance and waits until it is found.
func (p *post) begin() {
	p.t.Helper()
	svc, err := drill.New(p.registry, p.config, slog.DiscardHandler, withoutRetries)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("an instance of %s ended with %v", p.config.Service, err)
		}
		p.stop = func() {}
	}
	limit, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	if err := svc.Registered(limit); err != nil {
		p.t.Fatal(err)
	}
}

// TestRollingRestart: three services of three instances each, one behind the
// other, all replaced one by one, again and again, while they are called over both
// protocols by callers that do not repeat anything. Not one call of 50,000 fails.
func TestRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("50,000 calls in real time")
	}
	registry := memory.New()
	var posts []*post
	t.Cleanup(func() {
		for _, p := range posts {
			p.stop()
		}
	})
	for _, c := range []drill.Config{
		{Service: "inventory"},
		{Service: "order", Downstream: "inventory"},
		{Service: "gateway", Downstream: "order"},
	} {
		c.DrainWait = 100 * time.Millisecond
		for range 3 {
			p := &post{t: t, registry: registry, config: c}
			p.begin()
			posts = append(posts, p)
		}
	}
	load := drill.NewLoad(t, registry, "gateway", drill.LoadConfig{Callers: 4, Options: []fairlead.Option{withoutRetries}})
	const calls = 50_000
	restarts := 0
	for load.Calls() < calls && !t.Failed() {
		for _, p := range posts {
			p.stop()
			p.begin()
			restarts++
		}
	}
	load.Stop()
	load.WantFailures(0, calls)
	t.Logf("%d restarts, %d instances answered", restarts, len(load.Served()))
	if served := len(load.Served()); served < restarts/3 {
		t.Errorf("%d instances of the gateway answered, and %d were started", served, restarts/3)
	}
}
