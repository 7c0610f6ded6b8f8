// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/telemetry/internal/batch"
)

// sink records what it gets; while hung it blocks until its context ends.
type sink struct {
	mu      sync.Mutex
	batches [][]int
	at      []time.Duration
	start   time.Time
	hung    bool
	err     error
}

func (s *sink) export(ctx context.Context, items []int) error {
	s.mu.Lock()
	hung, err := s.hung, s.err
	s.mu.Unlock()
	if hung {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, slices.Clone(items))
	s.at = append(s.at, time.Since(s.start))
	return nil
}

func (s *sink) set(hung bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung, s.err = hung, err
}

func (s *sink) got() [][]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

func newQueue(s *sink, queue, size int) *batch.Queue[int] {
	s.start = time.Now()
	return batch.New(batch.Config[int]{
		QueueSize: queue, BatchSize: size, Delay: 5 * time.Second, Timeout: 30 * time.Second, Export: s.export,
	})
}

func TestBatchesLeaveWhenFullOrWhenTheDelayIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueue(s, 10, 3)
		for i := range 4 {
			q.Add(i)
		}
		synctest.Wait()
		if diff := cmp.Diff([][]int{{0, 1, 2}}, s.got()); diff != "" {
			t.Errorf("a full batch should leave at once (-want +got):\n%s", diff)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([][]int{{0, 1, 2}, {3}}, s.got()); diff != "" {
			t.Errorf("after the delay (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]time.Duration{0, 5 * time.Second}, s.at); diff != "" {
			t.Errorf("export times (-want +got):\n%s", diff)
		}
		if err := q.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestAddNeverBlocksAndCountsWhatItDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type change struct {
			Overflowing bool
			Lost        uint64
		}
		var said []change
		s := &sink{hung: true}
		q := batch.New(batch.Config[int]{
			QueueSize: 8, BatchSize: 4, Delay: time.Second, Timeout: 10 * time.Second, Export: s.export,
			OnOverflow: func(o bool, lost uint64) { said = append(said, change{o, lost}) },
		})
		for i := range 4 { // the worker takes these and hangs on them
			q.Add(i)
		}
		synctest.Wait()
		start := time.Now()
		for i := range 20 {
			q.Add(4 + i)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Add took %v of virtual time, want 0", d)
		}
		if got, want := q.Counts(), (batch.Counts{Queued: 8, Capacity: 8, Full: 12}); got != want {
			t.Errorf("Counts() = %+v, want %+v", got, want)
		}
		s.set(false, nil)
		time.Sleep(12 * time.Second) // the hung export times out, the queue drains
		synctest.Wait()
		if diff := cmp.Diff([][]int{{4, 5, 6, 7}, {8, 9, 10, 11}}, s.got()); diff != "" {
			t.Errorf("exported (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]change{{true, 12}, {false, 12}}, said); diff != "" {
			t.Errorf("overflow should be said once and its end once (-want +got):\n%s", diff)
		}
		_ = q.Shutdown(t.Context())
	})
}

func TestFlushExportsWhatIsThereAndKeepsTheRestOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueue(s, 10, 4)
		defer func() { _ = q.Shutdown(t.Context()) }()
		q.Add(1)
		if err := q.Flush(t.Context()); err != nil {
			t.Fatalf("Flush: %v", err)
		}
		if diff := cmp.Diff([][]int{{1}}, s.got()); diff != "" {
			t.Errorf("exported (-want +got):\n%s", diff)
		}
		boom := errors.New("boom")
		s.set(false, boom)
		for i := range 3 {
			q.Add(i)
		}
		if err := q.Flush(t.Context()); !errors.Is(err, boom) {
			t.Errorf("Flush = %v, want %v", err, boom)
		}
		s.set(true, nil)
		q.Add(9)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := q.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush against a hung exporter = %v, want DeadlineExceeded", err)
		}
		s.set(false, nil)
	})
}

func TestShutdownExportsEverythingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		q := newQueue(s, 10, 4)
		for i := range 3 {
			q.Add(i)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := q.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff([][]int{{0, 1, 2}}, s.got()); diff != "" {
			t.Errorf("exported (-want +got):\n%s", diff)
		}
		q.Add(99)
		if got := q.Counts(); got.Late != 1 || got.Queued != 0 {
			t.Errorf("after shutdown Counts() = %+v, want one late item", got)
		}
		if err := q.Flush(t.Context()); err != nil {
			t.Errorf("Flush after shutdown = %v, want nil", err)
		}
	})
}

func TestShutdownIsBoundByItsContextAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{hung: true}
		q := newQueue(s, 10, 4)
		for i := range 9 { // the first 4 hang in an export
			q.Add(i)
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := q.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v, want DeadlineExceeded", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("Shutdown took %v, want exactly 3s", d)
		}
		synctest.Wait() // the worker ends by itself: the bubble would deadlock otherwise
		if got := q.Counts(); got.Late != 5 {
			t.Errorf("Counts() = %+v, want the 5 queued items counted late", got)
		}
	})
}

func TestConcurrentAddsAreAllAccountedFor(t *testing.T) {
	var exported int
	q := batch.New(batch.Config[int]{
		QueueSize: 64, BatchSize: 16, Delay: time.Millisecond, Timeout: time.Second,
		Export: func(_ context.Context, items []int) error { exported += len(items); return nil },
	})
	const workers, each = 8, 2000
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range each {
				q.Add(i)
			}
		})
	}
	wg.Wait()
	if err := q.Shutdown(t.Context()); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	c := q.Counts()
	if got := exported + int(c.Full) + int(c.Late); got != workers*each {
		t.Errorf("exported %d + full %d + late %d = %d, want %d", exported, c.Full, c.Late, got, workers*each)
	}
}

func TestShutdownOutOfTimeEndsARunningFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{hung: true}
		q := newQueue(s, 10, 4)
		q.Add(1)
		begin := time.Now()
		flushed := make(chan time.Duration, 1)
		go func() {
			_ = q.Flush(context.Background())
			flushed <- time.Since(begin)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = q.Shutdown(ctx)
		if took := <-flushed; took != time.Second {
			t.Errorf("the flush took %v, want it to end with the shutdown after 1s", took)
		}
	})
}
