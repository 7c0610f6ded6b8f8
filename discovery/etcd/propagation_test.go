// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
)

// trail changes an instance in a real etcd, and waits until a subscriber of a watcher in
// another back end is told.
type trail struct {
	g    discovery.Registration
	seen chan int // weights, as they come
	b    *etcd.Backend
}

func newTrail(t testing.TB) *trail {
	t.Helper()
	server := startServer(t, "--unsafe-no-fsync=false") // as it is run
	writer := realBackend(t, etcd.WithEndpoints(server.endpoint))
	reader := realBackend(t, etcd.WithEndpoints(server.endpoint))
	w, err := discovery.NewWatcher(reader, order.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	tr := &trail{seen: make(chan int, 100), b: writer}
	if _, err := w.Subscribe(order, func(s *discovery.Snapshot) {
		for in := range s.Instances.All() {
			tr.seen <- in.Weight
		}
	}); err != nil {
		t.Fatal(err)
	}
	tr.change(t, 1) // connections are made
	return tr
}

// change writes a weight, and returns how long it took to be seen, from before the write
// began and from when it was confirmed; the latter is 0 if it was seen before.
func (tr *trail) change(t testing.TB, weight int) (whole, told time.Duration) {
	t.Helper()
	in := instance(1)
	in.Weight = weight
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	key := keyOf(in)
	start := time.Now()
	if _, err := tr.b.Client().Put(ctx, key, string(encoded(in))); err != nil {
		t.Fatal(err)
	}
	confirmed := time.Now()
	for {
		select {
		case got := <-tr.seen:
			if got == weight {
				return time.Since(start), max(time.Since(confirmed), 0)
			}
		case <-ctx.Done():
			t.Fatalf("weight %d was not seen", weight)
		}
	}
}

// percentile returns the value that a share of the sorted ones does not exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// maxPropagation is how long a change may take from the registry to pickers, for 99 of
// 100.
const maxPropagation = 20 * time.Millisecond

func TestPropagation(t *testing.T) {
	tr := newTrail(t)
	var whole, told []time.Duration
	for n := range 500 {
		w, c := tr.change(t, n+2)
		whole, told = append(whole, w), append(told, c)
	}
	slices.Sort(whole)
	slices.Sort(told)
	t.Logf("from the write: p50 %v, p99 %v; from its confirmation: p50 %v, p99 %v",
		percentile(whole, 0.5), percentile(whole, 0.99), percentile(told, 0.5), percentile(told, 0.99))
	if p99 := percentile(told, 0.99); p99 > maxPropagation {
		t.Errorf("p99 is %v, want at most %v", p99, maxPropagation)
	}
}

// BenchmarkPropagation measures one change at a time, from before it is written to when a
// subscriber is told, with a real etcd on the same machine.
func BenchmarkPropagation(b *testing.B) {
	tr := newTrail(b)
	var all []time.Duration
	for n := 0; b.Loop(); n++ {
		w, _ := tr.change(b, n%60000+2)
		all = append(all, w)
	}
	slices.Sort(all)
	b.ReportMetric(float64(percentile(all, 0.5).Microseconds()), "p50-µs")
	b.ReportMetric(float64(percentile(all, 0.99).Microseconds()), "p99-µs")
}
