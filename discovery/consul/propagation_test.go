// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
)

// propagation measures how long it takes from a request that changes the registry to the
// subscriber of a watcher, on a real agent: for instances that come, that begin to fail,
// and that go, in turns.
type propagation struct {
	registration discovery.Registration
	changed      chan int
}

func newPropagation(t testing.TB, s *server) *propagation {
	t.Helper()
	b := newBackend(t, consul.WithAddress(s.address))
	q := discovery.Query{Namespace: "prod", Service: "order"}
	stays, err := b.Registration(discovery.Instance{Namespace: q.Namespace, Service: q.Service, Address: "10.0.0.1:80"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stays.Register(t.Context(), time.Hour, discovery.HealthPassing); err != nil {
		t.Fatal(err)
	}
	p := &propagation{changed: make(chan int, 16)}
	if p.registration, err = b.Registration(discovery.Instance{Namespace: q.Namespace, Service: q.Service, Address: "10.0.0.2:80"}); err != nil {
		t.Fatal(err)
	}
	w, err := discovery.NewWatcher(b, q.Namespace, discovery.WithoutChurnBrake())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if _, err := w.Subscribe(q, func(snap *discovery.Snapshot) { p.changed <- snap.Instances.Len() }); err != nil {
		t.Fatal(err)
	}
	p.await(t, 1)
	return p
}

func (p *propagation) await(t testing.TB, want int) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case n := <-p.changed:
			if n == want {
				return
			}
		case <-limit:
			t.Fatalf("no change to %d instances", want)
		}
	}
}

// round makes four changes, and returns how long each took to be seen.
func (p *propagation) round(t testing.TB) []time.Duration {
	t.Helper()
	var took []time.Duration
	for _, step := range []struct {
		want int
		do   func(context.Context) error
	}{
		{2, func(ctx context.Context) error {
			_, err := p.registration.Register(ctx, time.Hour, discovery.HealthPassing)
			return err
		}},
		{1, func(ctx context.Context) error {
			_, err := p.registration.Heartbeat(ctx, discovery.HealthFailing)
			return err
		}},
		{2, func(ctx context.Context) error {
			_, err := p.registration.Heartbeat(ctx, discovery.HealthPassing)
			return err
		}},
		{1, p.registration.Deregister},
	} {
		start := time.Now()
		if err := step.do(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.await(t, step.want)
		took = append(took, time.Since(start))
	}
	return took
}

// distribution sorts, and returns what is said of it.
func distribution(took []time.Duration) (p50, p99, most time.Duration) {
	slices.Sort(took)
	at := func(share float64) time.Duration { return took[min(int(share*float64(len(took))), len(took)-1)] }
	return at(0.5), at(0.99), took[len(took)-1]
}

// TestPropagation holds a change to 20 ms, in 99 of 100 cases. The machine may be busy
// with other tests, so that the best of some attempts counts.
func TestPropagation(t *testing.T) {
	p := newPropagation(t, devAgent(t))
	const limit = 20 * time.Millisecond
	var said []string
	for range 5 {
		var took []time.Duration
		for range 50 {
			took = append(took, p.round(t)...)
		}
		p50, p99, most := distribution(took)
		said = append(said, fmt.Sprintf("p50 %v, p99 %v, most %v", p50, p99, most))
		if p99 <= limit {
			t.Logf("%d changes: %s", len(took), said[len(said)-1])
			return
		}
	}
	t.Errorf("p99 is above %v in each attempt: %v", limit, said)
}

// BenchmarkPropagation is a change of the registry until a subscriber has it: four of
// them in an operation. It reports the distribution.
func BenchmarkPropagation(b *testing.B) {
	p := newPropagation(b, devAgent(b))
	var took []time.Duration
	for b.Loop() {
		took = append(took, p.round(b)...)
	}
	p50, p99, most := distribution(took)
	b.ReportMetric(float64(p50.Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(p99.Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(most.Microseconds())/1000, "max-ms")
}
