// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Config says where the load goes and how much it is.
type Config struct {
	// Gateway is the URL of the gateway, without a path.
	Gateway string
	// Order is the gRPC target of the order service, for the strangers who call methods
	// that do not exist, and Dial is what it takes to connect to it besides.
	Order string
	Dial  []grpc.DialOption
	// Requests bounds how many requests are made; 0 means until the context ends.
	Requests int
	// Rate bounds the requests started per second; 0 means no bound.
	Rate float64
	// Concurrency bounds the requests under way at once; at least 1.
	Concurrency int
	// Duration bounds the run; 0 means no bound.
	Duration time.Duration
	// Seed makes two runs ask for the same.
	Seed uint64
}

// Validate reports what is wrong with how much the load is; where it goes is
// seen by [New].
func (c Config) Validate() error {
	var errs []error
	if c.Requests < 0 {
		errs = append(errs, fmt.Errorf("load: Requests is %d, must not be negative", c.Requests))
	}
	if !(c.Rate >= 0 && c.Rate <= maxRate) {
		errs = append(errs, fmt.Errorf("load: Rate is %v, must be 0 to %v", c.Rate, maxRate))
	}
	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		errs = append(errs, fmt.Errorf("load: Concurrency is %d, must be 1 to %d", c.Concurrency, maxConcurrency))
	}
	if c.Duration < 0 {
		errs = append(errs, fmt.Errorf("load: Duration is %v, must not be negative", c.Duration))
	}
	return errors.Join(errs...)
}

func (c Config) validateTargets() error {
	var errs []error
	if u, err := url.Parse(c.Gateway); err != nil || u.Scheme == "" || u.Host == "" {
		errs = append(errs, fmt.Errorf("load: Gateway is %q, must be a URL", c.Gateway))
	}
	if c.Order == "" {
		errs = append(errs, errors.New("load: Order must be set"))
	}
	return errors.Join(errs...)
}

const (
	maxRate        = 1_000_000
	maxConcurrency = 10_000
)

// Generator makes the requests of a run. Make it with [New] and run it once.
type Generator struct {
	cfg      Config
	customer *customer
	stats    *Stats
}

// New returns a generator that reports to stats. It connects to nothing yet.
func New(cfg Config, stats *Stats) (*Generator, error) {
	if err := errors.Join(cfg.Validate(), cfg.validateTargets()); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(cfg.Order, append(cfg.Dial, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return &Generator{cfg: cfg, customer: newCustomer(cfg, conn), stats: stats}, nil
}

// Run makes the requests and returns when all of them are answered. When ctx
// ends it starts no more; those under way are not cut off.
func (g *Generator) Run(ctx context.Context) error {
	if g.cfg.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.cfg.Duration)
		defer cancel()
	}
	visits := make(chan func())
	var customers sync.WaitGroup
	for range g.cfg.Concurrency {
		customers.Go(func() {
			for visit := range visits {
				visit()
			}
		})
	}
	g.produce(ctx, visits)
	close(visits)
	customers.Wait()
	g.stats.finished()
	return g.customer.close()
}

// produce hands out visits at the rate asked for until there are enough of them
// or ctx ends. If the customers are all busy it waits, and does not catch up by
// more than one second's worth.
func (g *Generator) produce(ctx context.Context, visits chan<- func()) {
	chance := rand.New(rand.NewPCG(g.cfg.Seed, 0))
	next := time.Now()
	for n := 0; g.cfg.Requests == 0 || n < g.cfg.Requests; n++ {
		if g.cfg.Rate > 0 {
			if !sleepUntil(ctx, next) {
				return
			}
			next = next.Add(time.Duration(float64(time.Second) / g.cfg.Rate))
			if late := time.Now().Add(-time.Second); next.Before(late) {
				next = late
			}
		}
		s, v := pick(chance), visit{n: n, rand: rand.New(rand.NewPCG(g.cfg.Seed, chance.Uint64()))}
		select {
		case visits <- func() { g.visit(context.WithoutCancel(ctx), s, v) }:
		case <-ctx.Done():
			return
		}
	}
}

// visit makes one request and reports it.
func (g *Generator) visit(ctx context.Context, s *scenario, v visit) {
	g.stats.started()
	start := time.Now()
	r := s.run(ctx, g.customer, v)
	r.Scenario, r.Duration, r.Expected = s.name, time.Since(start), r.Outcome == s.want
	g.stats.done(r)
}

// sleepUntil waits for t and reports whether it came before the end of ctx.
func sleepUntil(ctx context.Context, t time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	wait := time.Until(t)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
