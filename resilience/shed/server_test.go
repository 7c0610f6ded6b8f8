// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// server is a server of known capacity: workers that need a time for each call,
// and a queue before them that is first in, first out and has no end. A call that
// nobody waits for any more is worked off like any other, as servers do.
type server struct {
	mu      sync.Mutex
	workers int
	busy    int
	queue   []chan struct{}
	service func() time.Duration
}

func newServer(workers int, service func() time.Duration) *server {
	return &server{workers: workers, service: service}
}

// handle does the work of one call.
func (s *server) handle() {
	s.mu.Lock()
	if s.busy >= s.workers {
		turn := make(chan struct{})
		s.queue = append(s.queue, turn)
		s.mu.Unlock()
		<-turn
		s.mu.Lock()
	} else {
		s.busy++
	}
	d := s.service()
	s.mu.Unlock()
	time.Sleep(d)
	s.mu.Lock()
	s.busy--
	s.start()
	s.mu.Unlock()
}

// start lets calls begin for which there are workers. It requires mu.
func (s *server) start() {
	for s.busy < s.workers && len(s.queue) > 0 {
		s.busy++
		close(s.queue[0])
		s.queue = s.queue[1:]
	}
}

// change changes the server under load.
func (s *server) change(workers int, service func() time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workers, s.service = workers, service
	s.start()
}

// constant, exponential and bimodal are times of service with a mean of d.
func constant(d time.Duration) func() time.Duration {
	return func() time.Duration { return d }
}

func exponential(d time.Duration, r *rand.Rand) func() time.Duration {
	return func() time.Duration { return time.Duration(r.ExpFloat64() * float64(d)) }
}

func bimodal(d time.Duration, r *rand.Rand) func() time.Duration {
	return func() time.Duration {
		if r.IntN(10) == 0 {
			return d * 55 / 10
		}
		return d / 2
	}
}

// load is calls that come whether or not the server can take them, at a steady
// rate with random distances.
type load struct {
	perSecond float64
	priority  shed.Priority
	// patience is how long a caller waits; what is served later is of no use.
	patience time.Duration
}

// result is what became of a load.
type result struct {
	offered, shed, served, late int
	took                        []time.Duration // of the admitted, served in time or not
	elapsed                     time.Duration
}

func (r result) goodput() float64 { return float64(r.served) / r.elapsed.Seconds() }

func (r result) quantile(q float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	slices.Sort(r.took)
	return r.took[int(q*float64(len(r.took)-1))]
}

// run offers the loads for a time of the bubble's clock, and waits until all is
// over. A nil shedder admits everything.
func run(t *testing.T, srv *server, s *shed.Shedder, seed uint64, d time.Duration, loads ...load) []result {
	t.Helper()
	results := make([]result, len(loads))
	var wg, calls sync.WaitGroup
	for i, l := range loads {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		var mu sync.Mutex
		r := &results[i]
		r.elapsed = d
		wg.Go(func() {
			for end := time.Now().Add(d); time.Now().Before(end); {
				time.Sleep(time.Duration(random.ExpFloat64() / l.perSecond * float64(time.Second)))
				r.offered++
				calls.Go(func() {
					start := time.Now()
					admitted := serve(t.Context(), srv, s, l)
					took := time.Since(start)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case !admitted:
						r.shed++
						return
					case took <= l.patience:
						r.served++
					default:
						r.late++
					}
					r.took = append(r.took, took)
				})
			}
		})
	}
	wg.Wait()
	calls.Wait()
	return results
}

// serve makes one call and reports whether it was admitted.
func serve(ctx context.Context, srv *server, s *shed.Shedder, l load) bool {
	if s == nil {
		srv.handle()
		return true
	}
	start := time.Now()
	lease, err := s.Allow(ctx, l.priority)
	if err != nil {
		return false
	}
	defer lease.Release()
	srv.handle()
	if time.Since(start) > l.patience {
		lease.Done(ctx, resilience.OutcomeCallerDeadline)
	} else {
		lease.Done(ctx, resilience.OutcomeOK)
	}
	return true
}

// newShedder returns a shedder that goes by latency alone.
func newShedder(t testing.TB, opts ...shed.Option) *shed.Shedder {
	t.Helper()
	s, err := shed.New("orders", shed.WithoutCPU(), shed.Options(opts...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
