// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"

	"github.com/fairlead-go/fairlead/resilience/policies"
)

// protocol is how one service of a chain is called.
type protocol struct {
	name string
	// serve starts a service whose requests go to next.
	serve func(t *testing.T, at place, rec *record.Recorder, next step)
	// serveAlone starts one that knows nothing of Fairlead.
	serveAlone func(t *testing.T, at place, next step)
	// connect returns the step that calls a service with its policies.
	connect func(t *testing.T, at place, rec *record.Recorder, to *policies.Service) step
}

var grpcHop = protocol{
	name: "gRPC",
	serve: func(t *testing.T, at place, rec *record.Recorder, next step) {
		_, server := deadlines(t)
		serveGRPC(t, at, &service{next: next}, interceptors.Record(rec), interceptors.Recovery(), interceptors.Deadline(server))
	},
	serveAlone: func(t *testing.T, at place, next step) { serveGRPC(t, at, &service{next: next}) },
	connect: func(t *testing.T, at place, rec *record.Recorder, to *policies.Service) step {
		client, _ := deadlines(t)
		c := dialGRPC(t, at, to.Name(), interceptors.Record(rec), interceptors.Deadline(client), interceptors.Policies(to))
		stub := testgrpc.NewTestServiceClient(c)
		return func(ctx context.Context) error { return unary(ctx, stub) }
	},
}

var httpHop = protocol{
	name: "HTTP",
	serve: func(t *testing.T, at place, rec *record.Recorder, next step) {
		_, server := deadlines(t)
		serveHTTP(t, at, answering(next), httpmw.Record(rec), httpmw.Recovery(), httpmw.Deadline(server))
	},
	serveAlone: func(t *testing.T, at place, next step) { serveHTTP(t, at, answering(next)) },
	connect: func(t *testing.T, at place, rec *record.Recorder, to *policies.Service) step {
		client, _ := deadlines(t)
		c := dialHTTP(t, at, to.Name(), httpmw.RecordTransport(rec, to.Name()), httpmw.DeadlineTransport(client), httpmw.PoliciesTransport(to))
		return func(ctx context.Context) error { return get(ctx, c, "http://"+to.Name()+"/") }
	},
}

// answering does a step for a request, and answers with its error if it has one.
func answering(next step) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := next(r.Context())
		if e, ok := errors.AsType[*sick](err); ok {
			e.write(w)
			return
		}
		httpmw.WriteError(w, r, err)
	})
}

// deadlines are the budgets of clients and servers.
func deadlines(t *testing.T) (client, server ctxutil.Budget) {
	t.Helper()
	server, err := ctxutil.NewBudget(ctxutil.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	return ctxutil.Budget{}, server
}

// chain is callers outside and the services that their requests go through, each
// calling the next, down to the last.
type chain struct {
	callers []step
	last    patient
	// clients are the ways from each service to the next: first those of the callers,
	// one each, and then one of each service but the last.
	clients []*client
	calls   []atomic.Int64 // that arrived at each service
}

// client is what there is to be seen of the way to a service.
type client struct {
	name     string
	policies *policies.Service

	mu      sync.Mutex
	changes []change
}

// change is a breaker that changed its state at a time.
type change struct {
	resilience.StateChange
	at time.Time
}

// observer notes what the client's breaker does.
func (c *client) observer() resilience.Observer {
	return resilience.Observer{StateChanged: func(_ context.Context, e resilience.StateChange) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes = append(c.changes, change{e, time.Now()})
	}}
}

// history returns what the client's breaker did.
func (c *client) history() []change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]change(nil), c.changes...)
}

// chainOption changes a chain.
type chainOption struct {
	// each is what is said of every client's service.
	each []policies.ClientOption
	// careless services answer for whatever fails behind them with a plain failure
	// of their own.
	careless bool
	// callers is how many there are; 1 if it is 0.
	callers int
}

// newChain starts a service for each protocol, the last of which does what
// [chain.last] does.
func newChain(t *testing.T, where func(*testing.T) place, way []protocol, o chainOption) *chain {
	t.Helper()
	c := &chain{calls: make([]atomic.Int64, len(way))}
	next := c.last.handle
	for i := len(way) - 1; i >= 0; i-- {
		at, handle := where(t), next
		arrive := func(ctx context.Context) error {
			c.calls[i].Add(1)
			err := handle(ctx)
			if err != nil && o.careless {
				return &sick{}
			}
			return err
		}
		if i == len(way)-1 {
			way[i].serveAlone(t, at, arrive)
		} else {
			way[i].serve(t, at, recorderOf(t), arrive)
		}
		connect := func(from string) step {
			to := &client{name: from + " → service-" + strconv.Itoa(i+1)}
			set, err := policies.New(policies.WithObserver(to.observer()), policies.WithDefaults(o.each...))
			if err != nil {
				t.Fatal(err)
			}
			to.policies = set.Service("service-" + strconv.Itoa(i+1))
			c.clients = append(c.clients, to)
			return way[i].connect(t, at, recorderOf(t), to.policies)
		}
		if i > 0 {
			next = connect("service-" + strconv.Itoa(i))
			continue
		}
		for n := range max(o.callers, 1) {
			c.callers = append(c.callers, connect("caller-"+strconv.Itoa(n+1)))
		}
	}
	slices.Reverse(c.clients)
	return c
}

// call makes a request of one of the callers, who take turns.
func (c *chain) call() step {
	var turn atomic.Int64
	return func(ctx context.Context) error {
		return c.callers[int(turn.Add(1))%len(c.callers)](ctx)
	}
}

func recorderOf(t *testing.T) *record.Recorder {
	t.Helper()
	rec, err := record.New()
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// breakers returns the states of the breakers, from the caller's on.
func (c *chain) breakers() []resilience.State {
	var out []resilience.State
	for _, to := range c.clients {
		if b := to.policies.Breaker(); b != nil {
			out = append(out, b.State())
		}
	}
	return out
}

// arrived returns how many calls have come to each service so far.
func (c *chain) arrived() []int64 {
	out := make([]int64, len(c.calls))
	for i := range c.calls {
		out[i] = c.calls[i].Load()
	}
	return out
}

// patient is a service that is well, or sick, or hangs.
type patient struct {
	state   atomic.Pointer[sick] // nil: it is well
	hanging atomic.Bool
	held    atomic.Int64 // calls that hang
	// work is how long it needs for a call when it is well.
	work time.Duration
}

func (p *patient) handle(ctx context.Context) error {
	if p.hanging.Load() {
		p.held.Add(1)
		defer p.held.Add(-1)
		<-ctx.Done()
		return ctx.Err()
	}
	if s := p.state.Load(); s != nil {
		return s
	}
	pause(ctx, p.work)
	return nil
}

// fail makes it fail every call; those who are to come back after a time are told.
func (p *patient) fail(after time.Duration) { p.state.Store(&sick{after: after}) }

// hang makes it answer no more.
func (p *patient) hang() { p.hanging.Store(true) }

// heal makes it well.
func (p *patient) heal() {
	p.state.Store(nil)
	p.hanging.Store(false)
}
